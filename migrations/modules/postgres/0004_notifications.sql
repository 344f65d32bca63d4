CREATE TABLE notifications (
    id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id    UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    title      TEXT NOT NULL,
    message    TEXT NOT NULL,
    type       TEXT NOT NULL CHECK (type IN ('info', 'success', 'warning', 'error')),
    -- What the notification is about: nobody is told of the same thing twice.
    source     TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    read_at    TIMESTAMPTZ,
    UNIQUE (user_id, source)
);

-- Errors are gathered by quarter of an hour, and each quarter makes one message.
CREATE TABLE error_digests (
    started_at TIMESTAMPTZ PRIMARY KEY,
    errors     BIGINT NOT NULL CHECK (errors > 0)
);

-- Which errors a digest has counted, so that none is counted twice.
CREATE TABLE error_digest_events (
    event_id   UUID PRIMARY KEY,
    started_at TIMESTAMPTZ NOT NULL
);
