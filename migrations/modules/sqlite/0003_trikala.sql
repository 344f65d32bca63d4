-- The senior leads the pod; `capacity` and `members` count its juniors.
CREATE TABLE pods (
    id        BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name      TEXT    NOT NULL,
    senior_id BLOB    NOT NULL REFERENCES user_profiles (id),
    capacity  INTEGER NOT NULL CHECK (capacity >= 0),
    members   INTEGER NOT NULL DEFAULT 0 CHECK (members BETWEEN 0 AND capacity)
) STRICT, WITHOUT ROWID;

CREATE INDEX pods_with_room ON pods (members, id) WHERE members < capacity;

-- The key makes a second pod impossible.
CREATE TABLE pod_members (
    user_id   BLOB    NOT NULL PRIMARY KEY REFERENCES user_profiles (id) ON DELETE CASCADE,
    pod_id    BLOB    NOT NULL REFERENCES pods (id),
    role      TEXT    NOT NULL CHECK (role IN ('junior')),
    joined_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX pod_members_of_pod ON pod_members (pod_id);

-- Everyone who asked for a place, once each, in the order of asking.
CREATE TABLE pod_requests (
    user_id      BLOB    NOT NULL PRIMARY KEY REFERENCES user_profiles (id) ON DELETE CASCADE,
    requested_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who asked and has no place yet.
CREATE VIEW pod_waitlist AS
SELECT r.user_id, r.requested_at
FROM pod_requests r
WHERE NOT EXISTS (SELECT 1 FROM pod_members m WHERE m.user_id = r.user_id);
