-- Times are microseconds since 1970-01-01 UTC, ids are 16 bytes.
CREATE TABLE user_profiles (
    id                       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    full_name                TEXT    NOT NULL CHECK (full_name <> ''),
    email                    TEXT    NOT NULL UNIQUE,
    student_graduation_date  INTEGER,
    candidate_status         TEXT    CHECK (candidate_status IN ('bench', 'placed')),
    candidate_available_from INTEGER,
    created_at               INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    -- Whoever sits on the bench is available from some day on.
    CHECK (candidate_status IS NULL OR candidate_status <> 'bench' OR candidate_available_from IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    id   BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

INSERT INTO roles (id, name) VALUES
    (x'd45100000000400080000000000000a1', 'admin'),
    (x'd45100000000400080000000000000a2', 'student'),
    (x'd45100000000400080000000000000a3', 'candidate'),
    (x'd45100000000400080000000000000a4', 'employee'),
    (x'd45100000000400080000000000000a5', 'recruiter');

-- The key makes a second grant of the same role impossible.
CREATE TABLE user_roles (
    user_id    BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    role_id    BLOB    NOT NULL REFERENCES roles (id),
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, role_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_roles_by_role ON user_roles (role_id, user_id);
