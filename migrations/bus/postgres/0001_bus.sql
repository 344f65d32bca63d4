CREATE TABLE nodes (
    id           UUID PRIMARY KEY,
    started_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    heartbeat_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    lease_until  TIMESTAMPTZ NOT NULL,
    -- Everything this node published below this sequence number is processed or has rows.
    low_water    BIGINT NOT NULL,
    host         TEXT NOT NULL,
    version      TEXT NOT NULL
);

-- The exact list of targets; a new row when the subscriptions of a type change.
CREATE TABLE event_routes (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_type TEXT NOT NULL,
    modules    JSONB NOT NULL,
    UNIQUE (event_type, modules)
);

CREATE TABLE modules (
    name        TEXT PRIMARY KEY,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    paused_at   TIMESTAMPTZ,
    leased_to   UUID,
    lease_until TIMESTAMPTZ
);

CREATE TABLE subscriptions (
    module     TEXT NOT NULL REFERENCES modules (name) ON DELETE CASCADE,
    event_type TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (module, event_type)
);

CREATE TABLE system_events (
    id             UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    seq            BIGINT GENERATED ALWAYS AS IDENTITY,
    type           TEXT NOT NULL,
    payload        JSONB NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    processed_at   TIMESTAMPTZ,
    error          TEXT,
    created_by     UUID,
    ip_address     INET,
    user_agent     TEXT,
    correlation_id UUID,
    causation_id   UUID,
    ordering_key   TEXT,
    trace_context  TEXT,
    schema_version BIGINT NOT NULL DEFAULT 1,
    route_id       BIGINT,
    owner          UUID,
    adoptions      BIGINT NOT NULL DEFAULT 0,
    -- What the bus writes it has checked before; what others insert is checked here.
    CONSTRAINT type_reads_module_action CHECK
        (route_id IS NOT NULL OR (type ~ '^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$' AND length(type) <= 100))
) WITH (fillfactor = 50);

-- No index holds processed_at or owner, not even in its predicate: settling an event then updates it
-- in place (HOT). The fill factor leaves room for that one update on the same page.
CREATE UNIQUE INDEX system_events_seq ON system_events (seq);
CREATE INDEX system_events_by_type ON system_events (type, created_at);
CREATE INDEX system_events_by_correlation ON system_events (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX system_events_failed ON system_events (type, seq) WHERE error IS NOT NULL;
CREATE INDEX system_events_unrouted ON system_events (seq) WHERE route_id IS NULL;

-- Only deliveries that could not finish on the live path.
CREATE TABLE event_deliveries (
    event_id     UUID NOT NULL REFERENCES system_events (id) ON DELETE CASCADE,
    module       TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('pending', 'acked', 'dead', 'cancelled')),
    attempts     BIGINT NOT NULL DEFAULT 0,
    available_at TIMESTAMPTZ NOT NULL,
    owner        UUID,
    -- Copied from the event, so that claims find order without a join.
    seq          BIGINT NOT NULL,
    ordering_key TEXT,
    errors       JSONB NOT NULL DEFAULT '[]',
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, module)
) WITH (fillfactor = 70);

CREATE INDEX event_deliveries_due ON event_deliveries (module, available_at, seq) WHERE state = 'pending';
CREATE INDEX event_deliveries_keys ON event_deliveries (module, ordering_key, seq)
    WHERE ordering_key IS NOT NULL AND state IN ('pending', 'dead');
CREATE INDEX event_deliveries_dead ON event_deliveries (module, seq) WHERE state = 'dead';

-- Every event with every module of its route: the row's state, or the one that the event implies.
-- It runs with the rights of whoever asks, so that it shows no more than the tables do.
CREATE VIEW deliveries WITH (security_invoker = true) AS
SELECT e.id AS event_id,
       e.seq,
       e.type,
       m.module,
       COALESCE(d.state, CASE WHEN e.processed_at IS NULL THEN 'pending' ELSE 'acked' END) AS state,
       COALESCE(d.attempts, CASE WHEN e.processed_at IS NULL THEN 0 ELSE 1 END) AS attempts,
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

-- The audit trail is append-only: what was published never changes.
CREATE FUNCTION stentor_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'system_events is append-only: a stored event never changes';
END $$;
CREATE TRIGGER system_events_append_only
BEFORE UPDATE OF id, type, payload, created_at, created_by, ip_address, user_agent, correlation_id,
    causation_id, ordering_key, trace_context, schema_version ON system_events
FOR EACH STATEMENT EXECUTE FUNCTION stentor_refuse_change();

-- Row-level security: the bus's own role and the admin role read events, any role that may insert
-- publishes, and nobody else sees a row. FORCE is on, so that the owner has no silent exemption
-- but the policy that is written here.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'stentor_admin') THEN
        CREATE ROLE stentor_admin NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    -- Without the right to create roles the admin role is the operator's to make.
    WHEN insufficient_privilege THEN NULL;
END $$;

ALTER TABLE system_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE system_events FORCE ROW LEVEL SECURITY;
ALTER TABLE event_deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE event_deliveries FORCE ROW LEVEL SECURITY;

CREATE POLICY bus_has_all ON system_events TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY bus_has_all ON event_deliveries TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY anyone_publishes ON system_events FOR INSERT
    WITH CHECK (route_id IS NULL AND owner IS NULL AND processed_at IS NULL AND error IS NULL AND adoptions = 0);
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'stentor_admin') THEN
        CREATE POLICY admins_read ON system_events FOR SELECT TO stentor_admin USING (true);
        CREATE POLICY admins_read ON event_deliveries FOR SELECT TO stentor_admin USING (true);
        GRANT SELECT ON system_events, event_deliveries, event_routes, deliveries TO stentor_admin;
    END IF;
END $$;
