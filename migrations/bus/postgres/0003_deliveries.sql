-- What has no row was acknowledged as soon as the node lets go of the event, although another target may still
-- be retrying: everything that did not go well became a row before.
CREATE OR REPLACE VIEW deliveries WITH (security_invoker = true) AS
SELECT e.id AS event_id,
       e.seq,
       e.type,
       m.module,
       COALESCE(d.state, CASE WHEN e.owner IS NULL THEN 'acked' ELSE 'pending' END) AS state,
       COALESCE(d.attempts, CASE WHEN e.owner IS NULL THEN 1 ELSE 0 END) AS attempts,
       d.available_at,
       COALESCE(d.errors, '[]') AS errors,
       e.created_at,
       COALESCE(d.updated_at, e.processed_at, e.created_at) AS updated_at
FROM system_events e
JOIN event_routes r ON r.id = e.route_id
CROSS JOIN LATERAL jsonb_array_elements_text(r.modules) AS m (module)
LEFT JOIN event_deliveries d ON d.event_id = e.id AND d.module = m.module
UNION ALL
SELECT d.event_id, d.seq, e.type, d.module, d.state, d.attempts, d.available_at, d.errors, d.created_at, d.updated_at
FROM event_deliveries d
JOIN system_events e ON e.id = d.event_id
WHERE NOT EXISTS (SELECT 1 FROM event_routes r WHERE r.id = e.route_id AND r.modules ? d.module);
