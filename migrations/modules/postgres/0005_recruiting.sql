-- Whom clients look for, and who is on the way to them.
CREATE TABLE clients (
    id   UUID PRIMARY KEY,
    name TEXT NOT NULL CHECK (name <> '')
);

CREATE TABLE departments (
    id   UUID PRIMARY KEY,
    name TEXT NOT NULL CHECK (name <> '')
);

CREATE TABLE jobs (
    id            UUID PRIMARY KEY,
    client_id     UUID NOT NULL REFERENCES clients (id),
    department_id UUID NOT NULL REFERENCES departments (id),
    title         TEXT NOT NULL CHECK (title <> ''),
    created_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- Once, and for good: whoever comes to the bench later is not on the job's shortlist.
    shortlisted_at TIMESTAMPTZ
);

CREATE INDEX jobs_of_client ON jobs (client_id);

-- Who was on the bench when a job was posted, best first. The key makes a second listing impossible.
CREATE TABLE job_shortlists (
    job_id       UUID NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    candidate_id UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    position     BIGINT NOT NULL CHECK (position > 0),
    listed_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (job_id, candidate_id),
    UNIQUE (job_id, position)
);

CREATE TABLE applications (
    id           UUID PRIMARY KEY,
    candidate_id UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    job_id       UUID NOT NULL REFERENCES jobs (id),
    status       TEXT NOT NULL CHECK (status IN ('open', 'placed', 'closed')),
    submitted_at TIMESTAMPTZ NOT NULL,
    closed_at    TIMESTAMPTZ,
    UNIQUE (candidate_id, job_id),
    CHECK ((status = 'open') = (closed_at IS NULL))
);

-- The steps from an application to a placement; `object_id` is the candidate, as one person is followed through.
CREATE TABLE workflow_instances (
    id             UUID PRIMARY KEY,
    application_id UUID NOT NULL UNIQUE REFERENCES applications (id) ON DELETE CASCADE,
    object_id      UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    status         TEXT NOT NULL CHECK (status IN ('active', 'completed', 'cancelled')),
    started_at     TIMESTAMPTZ NOT NULL,
    completed_at   TIMESTAMPTZ,
    CHECK ((status = 'active') = (completed_at IS NULL))
);

CREATE INDEX workflow_instances_of_object ON workflow_instances (object_id);

CREATE TABLE interviews (
    id           UUID PRIMARY KEY,
    candidate_id UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    scheduled_at TIMESTAMPTZ NOT NULL,
    -- When the date was announced and by which event: an older one that is handled late changes nothing.
    announced_at TIMESTAMPTZ NOT NULL,
    announced_by UUID NOT NULL
);

CREATE INDEX interviews_of_candidate ON interviews (candidate_id, scheduled_at);

-- The key makes it impossible to place somebody in the same job twice.
CREATE TABLE placements (
    id           UUID PRIMARY KEY,
    candidate_id UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    job_id       UUID NOT NULL REFERENCES jobs (id),
    recruiter_id UUID NOT NULL REFERENCES user_profiles (id),
    -- Yearly, in whole currency units.
    salary       BIGINT NOT NULL CHECK (salary > 0),
    start_date   TIMESTAMPTZ NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    UNIQUE (candidate_id, job_id)
);

CREATE INDEX placements_of_recruiter ON placements (recruiter_id, created_at);

-- Which placements took somebody off the bench. The key makes it impossible that one does so twice.
CREATE TABLE bench_departures (
    candidate_id UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    job_id       UUID NOT NULL REFERENCES jobs (id),
    left_at      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (candidate_id, job_id)
);

-- What time it is, in one word for both databases.
CREATE VIEW clock AS SELECT now() AS reading;

ALTER TABLE user_profiles ADD COLUMN employee_hire_date TIMESTAMPTZ;
ALTER TABLE user_profiles ADD COLUMN employee_job_title TEXT;
ALTER TABLE user_profiles ADD COLUMN employee_department_id UUID REFERENCES departments (id);
