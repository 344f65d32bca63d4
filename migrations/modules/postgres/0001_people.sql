CREATE TABLE user_profiles (
    id                       UUID PRIMARY KEY,
    full_name                TEXT NOT NULL CHECK (full_name <> ''),
    email                    TEXT NOT NULL UNIQUE,
    student_graduation_date  TIMESTAMPTZ,
    candidate_status         TEXT CHECK (candidate_status IN ('bench', 'placed')),
    candidate_available_from TIMESTAMPTZ,
    created_at               TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- Whoever sits on the bench is available from some day on.
    CHECK (candidate_status IS NULL OR candidate_status <> 'bench' OR candidate_available_from IS NOT NULL)
) WITH (fillfactor = 80);

CREATE TABLE roles (
    id   UUID PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

INSERT INTO roles (id, name) VALUES
    ('d4510000-0000-4000-8000-0000000000a1', 'admin'),
    ('d4510000-0000-4000-8000-0000000000a2', 'student'),
    ('d4510000-0000-4000-8000-0000000000a3', 'candidate'),
    ('d4510000-0000-4000-8000-0000000000a4', 'employee'),
    ('d4510000-0000-4000-8000-0000000000a5', 'recruiter');

-- The key makes a second grant of the same role impossible.
CREATE TABLE user_roles (
    user_id    UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    role_id    UUID NOT NULL REFERENCES roles (id),
    granted_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, role_id)
);

CREATE INDEX user_roles_by_role ON user_roles (role_id, user_id);
