DROP VIEW deliveries;

-- A foreign key looks the event up again for every row that is written with it. Rows are only made from events
-- that are there, and go with them. What most rows have is checked by comparing: a list of states and a parse
-- of each row's errors would be two fifths of what a row costs.
CREATE TABLE new_deliveries (
    event_id     BLOB    NOT NULL,
    module       TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state = 'pending' OR state IN ('acked', 'dead', 'cancelled')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    available_at INTEGER NOT NULL,
    owner        BLOB,
    seq          INTEGER NOT NULL,
    ordering_key TEXT,
    errors       TEXT    NOT NULL DEFAULT '[]' CHECK (errors = '[]' OR json_valid(errors)),
    created_at   INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    updated_at   INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    PRIMARY KEY (event_id, module)
) STRICT, WITHOUT ROWID;
INSERT INTO new_deliveries SELECT * FROM event_deliveries;
DROP TABLE event_deliveries;
ALTER TABLE new_deliveries RENAME TO event_deliveries;

CREATE INDEX event_deliveries_due ON event_deliveries (module, available_at, seq) WHERE state = 'pending';
CREATE INDEX event_deliveries_keys ON event_deliveries (module, ordering_key, seq)
    WHERE ordering_key IS NOT NULL AND state IN ('pending', 'dead');
CREATE INDEX event_deliveries_dead ON event_deliveries (module, seq) WHERE state = 'dead';

CREATE TRIGGER system_events_take_their_deliveries AFTER DELETE ON system_events
BEGIN
    DELETE FROM event_deliveries WHERE event_id = OLD.id;
END;

-- What has no row was acknowledged as soon as the node lets go of the event, although another target may still
-- be retrying: everything that did not go well became a row before.
CREATE VIEW deliveries AS
SELECT e.id AS event_id,
       e.seq,
       e.type,
       m.value AS module,
       COALESCE(d.state, CASE WHEN e.owner IS NULL THEN 'acked' ELSE 'pending' END) AS state,
       COALESCE(d.attempts, CASE WHEN e.owner IS NULL THEN 1 ELSE 0 END) AS attempts,
       d.available_at,
       COALESCE(d.errors, '[]') AS errors,
       e.created_at,
       COALESCE(d.updated_at, e.processed_at, e.created_at) AS updated_at
FROM system_events e
JOIN event_routes r ON r.id = e.route_id
JOIN json_each(r.modules) m
LEFT JOIN event_deliveries d ON d.event_id = e.id AND d.module = m.value
UNION ALL
SELECT d.event_id, d.seq, e.type, d.module, d.state, d.attempts, d.available_at, d.errors, d.created_at, d.updated_at
FROM event_deliveries d
JOIN system_events e ON e.id = d.event_id
WHERE NOT EXISTS (
    SELECT 1 FROM event_routes r JOIN json_each(r.modules) m WHERE r.id = e.route_id AND m.value = d.module
);
