-- The senior leads the pod; `capacity` and `members` count its juniors.
CREATE TABLE pods (
    id        UUID PRIMARY KEY,
    name      TEXT NOT NULL,
    senior_id UUID NOT NULL REFERENCES user_profiles (id),
    capacity  BIGINT NOT NULL CHECK (capacity >= 0),
    members   BIGINT NOT NULL DEFAULT 0 CHECK (members BETWEEN 0 AND capacity)
);

CREATE INDEX pods_with_room ON pods (members, id) WHERE members < capacity;

-- The key makes a second pod impossible.
CREATE TABLE pod_members (
    user_id   UUID PRIMARY KEY REFERENCES user_profiles (id) ON DELETE CASCADE,
    pod_id    UUID NOT NULL REFERENCES pods (id),
    role      TEXT NOT NULL CHECK (role IN ('junior')),
    joined_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX pod_members_of_pod ON pod_members (pod_id);

-- Everyone who asked for a place, once each, in the order of asking.
CREATE TABLE pod_requests (
    user_id      UUID PRIMARY KEY REFERENCES user_profiles (id) ON DELETE CASCADE,
    requested_at TIMESTAMPTZ NOT NULL
);

-- Who asked and has no place yet.
CREATE VIEW pod_waitlist AS
SELECT r.user_id, r.requested_at
FROM pod_requests r
WHERE NOT EXISTS (SELECT 1 FROM pod_members m WHERE m.user_id = r.user_id);
