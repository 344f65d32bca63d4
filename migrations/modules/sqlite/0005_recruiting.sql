-- Whom clients look for, and who is on the way to them.
CREATE TABLE clients (
    id   BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL CHECK (name <> '')
) STRICT, WITHOUT ROWID;

CREATE TABLE departments (
    id   BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL CHECK (name <> '')
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id            BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    client_id     BLOB NOT NULL REFERENCES clients (id),
    department_id BLOB NOT NULL REFERENCES departments (id),
    title         TEXT NOT NULL CHECK (title <> ''),
    created_at    INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    -- Once, and for good: whoever comes to the bench later is not on the job's shortlist.
    shortlisted_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_of_client ON jobs (client_id);

-- Who was on the bench when a job was posted, best first. The key makes a second listing impossible.
CREATE TABLE job_shortlists (
    job_id       BLOB NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    candidate_id BLOB NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    position     INTEGER NOT NULL CHECK (position > 0),
    listed_at    INTEGER NOT NULL,
    PRIMARY KEY (job_id, candidate_id),
    UNIQUE (job_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE applications (
    id           BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    candidate_id BLOB NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    job_id       BLOB NOT NULL REFERENCES jobs (id),
    status       TEXT NOT NULL CHECK (status IN ('open', 'placed', 'closed')),
    submitted_at INTEGER NOT NULL,
    closed_at    INTEGER,
    UNIQUE (candidate_id, job_id),
    CHECK ((status = 'open') = (closed_at IS NULL))
) STRICT, WITHOUT ROWID;

-- The steps from an application to a placement; `object_id` is the candidate, as one person is followed through.
CREATE TABLE workflow_instances (
    id             BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    application_id BLOB NOT NULL UNIQUE REFERENCES applications (id) ON DELETE CASCADE,
    object_id      BLOB NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    status         TEXT NOT NULL CHECK (status IN ('active', 'completed', 'cancelled')),
    started_at     INTEGER NOT NULL,
    completed_at   INTEGER,
    CHECK ((status = 'active') = (completed_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX workflow_instances_of_object ON workflow_instances (object_id);

CREATE TABLE interviews (
    id           BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    candidate_id BLOB NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    scheduled_at INTEGER NOT NULL,
    -- When the date was announced and by which event: an older one that is handled late changes nothing.
    announced_at INTEGER NOT NULL,
    announced_by BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX interviews_of_candidate ON interviews (candidate_id, scheduled_at);

-- The key makes it impossible to place somebody in the same job twice.
CREATE TABLE placements (
    id           BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    candidate_id BLOB NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    job_id       BLOB NOT NULL REFERENCES jobs (id),
    recruiter_id BLOB NOT NULL REFERENCES user_profiles (id),
    -- Yearly, in whole currency units.
    salary       INTEGER NOT NULL CHECK (salary > 0),
    start_date   INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (candidate_id, job_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX placements_of_recruiter ON placements (recruiter_id, created_at);

-- Which placements took somebody off the bench. The key makes it impossible that one does so twice.
CREATE TABLE bench_departures (
    candidate_id BLOB NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    job_id       BLOB NOT NULL REFERENCES jobs (id),
    left_at      INTEGER NOT NULL,
    PRIMARY KEY (candidate_id, job_id)
) STRICT, WITHOUT ROWID;

-- What time it is, in one word for both databases.
CREATE VIEW clock AS SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS reading;

ALTER TABLE user_profiles ADD COLUMN employee_hire_date INTEGER;
ALTER TABLE user_profiles ADD COLUMN employee_job_title TEXT;
ALTER TABLE user_profiles ADD COLUMN employee_department_id BLOB REFERENCES departments (id);
