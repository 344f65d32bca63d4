-- Times are microseconds since 1970-01-01 UTC, ids are 16 bytes.
CREATE TABLE nodes (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    started_at   INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    lease_until  INTEGER NOT NULL,
    -- Everything this node published below this sequence number is processed or has rows.
    low_water    INTEGER NOT NULL,
    host         TEXT    NOT NULL,
    version      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- The exact list of targets; a new row when the subscriptions of a type change.
CREATE TABLE event_routes (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    event_type TEXT NOT NULL,
    modules    TEXT NOT NULL CHECK (json_valid(modules)),
    UNIQUE (event_type, modules)
) STRICT;

CREATE TABLE modules (
    name        TEXT NOT NULL PRIMARY KEY,
    created_at  INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    paused_at   INTEGER,
    leased_to   BLOB,
    lease_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE subscriptions (
    module     TEXT NOT NULL REFERENCES modules (name) ON DELETE CASCADE,
    event_type TEXT NOT NULL,
    created_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    PRIMARY KEY (module, event_type)
) STRICT, WITHOUT ROWID;

CREATE TABLE system_events (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             BLOB    NOT NULL UNIQUE DEFAULT (randomblob(16)) CHECK (length(id) = 16),
    type           TEXT    NOT NULL,
    payload        TEXT    NOT NULL,
    created_at     INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    processed_at   INTEGER,
    error          TEXT,
    created_by     BLOB,
    ip_address     TEXT,
    user_agent     TEXT,
    correlation_id BLOB,
    causation_id   BLOB,
    ordering_key   TEXT,
    trace_context  TEXT,
    schema_version INTEGER NOT NULL DEFAULT 1,
    route_id       INTEGER REFERENCES event_routes (id),
    owner          BLOB,
    adoptions      INTEGER NOT NULL DEFAULT 0,
    -- What the bus writes it has checked before; what others insert is checked here.
    CHECK (route_id IS NOT NULL OR (json_valid(payload) AND type GLOB '[a-z]*.[a-z]*' AND length(type) <= 100))
) STRICT;

-- No index holds processed_at or owner: both change with every event that is settled.
CREATE INDEX system_events_by_type ON system_events (type, created_at);
CREATE INDEX system_events_by_correlation ON system_events (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX system_events_failed ON system_events (type, seq) WHERE error IS NOT NULL;
CREATE INDEX system_events_unrouted ON system_events (seq) WHERE route_id IS NULL;

-- Only deliveries that could not finish on the live path.
CREATE TABLE event_deliveries (
    event_id     BLOB    NOT NULL REFERENCES system_events (id) ON DELETE CASCADE,
    module       TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'acked', 'dead', 'cancelled')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    available_at INTEGER NOT NULL,
    owner        BLOB,
    -- Copied from the event, so that claims find order without a join.
    seq          INTEGER NOT NULL,
    ordering_key TEXT,
    errors       TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(errors)),
    created_at   INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    updated_at   INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    PRIMARY KEY (event_id, module)
) STRICT, WITHOUT ROWID;

CREATE INDEX event_deliveries_due ON event_deliveries (module, available_at, seq) WHERE state = 'pending';
CREATE INDEX event_deliveries_keys ON event_deliveries (module, ordering_key, seq)
    WHERE ordering_key IS NOT NULL AND state IN ('pending', 'dead');
CREATE INDEX event_deliveries_dead ON event_deliveries (module, seq) WHERE state = 'dead';

-- Every event with every module of its route: the row's state, or the one that the event implies.
CREATE VIEW deliveries AS
SELECT e.id AS event_id,
       e.seq,
       e.type,
       m.value AS module,
       COALESCE(d.state, CASE WHEN e.processed_at IS NULL THEN 'pending' ELSE 'acked' END) AS state,
       COALESCE(d.attempts, CASE WHEN e.processed_at IS NULL THEN 0 ELSE 1 END) AS attempts,
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

-- The audit trail is append-only: what was published never changes.
CREATE TRIGGER system_events_append_only
BEFORE UPDATE OF id, seq, type, payload, created_at, created_by, ip_address, user_agent, correlation_id,
    causation_id, ordering_key, trace_context, schema_version ON system_events
BEGIN
    SELECT RAISE(ABORT, 'system_events is append-only: a stored event never changes');
END;
