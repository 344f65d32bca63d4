CREATE TABLE notifications (
    id         BLOB    NOT NULL PRIMARY KEY DEFAULT (randomblob(16)) CHECK (length(id) = 16),
    user_id    BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    title      TEXT    NOT NULL,
    message    TEXT    NOT NULL,
    type       TEXT    NOT NULL CHECK (type IN ('info', 'success', 'warning', 'error')),
    -- What the notification is about: nobody is told of the same thing twice.
    source     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    read_at    INTEGER,
    UNIQUE (user_id, source)
) STRICT, WITHOUT ROWID;

-- Errors are gathered by quarter of an hour, and each quarter makes one message.
CREATE TABLE error_digests (
    started_at INTEGER NOT NULL PRIMARY KEY,
    errors     INTEGER NOT NULL CHECK (errors > 0)
) STRICT, WITHOUT ROWID;

-- Which errors a digest has counted, so that none is counted twice.
CREATE TABLE error_digest_events (
    event_id   BLOB    NOT NULL PRIMARY KEY CHECK (length(event_id) = 16),
    started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
