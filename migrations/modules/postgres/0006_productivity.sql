-- Consultants at clients, and the goals of pods.

-- Who works at which client, and from when on. The key makes a second assignment to the same job impossible.
CREATE TABLE consultant_assignments (
    consultant_id UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    job_id        UUID NOT NULL REFERENCES jobs (id),
    client_id     UUID NOT NULL REFERENCES clients (id),
    start_date    TIMESTAMPTZ NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (consultant_id, job_id)
);

CREATE INDEX consultant_assignments_of_client ON consultant_assignments (client_id, start_date);

-- How many workflows a pod wants to complete, and how many it has completed since the goal was opened.
CREATE TABLE pod_goals (
    id          UUID PRIMARY KEY,
    pod_id      UUID NOT NULL REFERENCES pods (id),
    target      BIGINT NOT NULL CHECK (target > 0),
    progress    BIGINT NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND target),
    opened_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    achieved_at TIMESTAMPTZ,
    CHECK ((achieved_at IS NOT NULL) = (progress = target))
) WITH (fillfactor = 80);

-- A pod works on one goal at a time.
CREATE UNIQUE INDEX pod_goals_open ON pod_goals (pod_id) WHERE achieved_at IS NULL;

-- Which workflows a goal has counted. The keys make it impossible that one counts twice, for this goal or another.
CREATE TABLE goal_advances (
    goal_id     UUID NOT NULL REFERENCES pod_goals (id) ON DELETE CASCADE,
    workflow_id UUID NOT NULL UNIQUE REFERENCES workflow_instances (id) ON DELETE CASCADE,
    advanced_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (goal_id, workflow_id)
);

-- Who waits for a place, and nobody else: to know that nobody waits takes no search among all who ever asked.
DROP VIEW pod_waitlist;

CREATE TABLE pod_waitlist (
    user_id      UUID PRIMARY KEY REFERENCES pod_requests (user_id) ON DELETE CASCADE,
    requested_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX pod_waitlist_in_order ON pod_waitlist (requested_at, user_id);

INSERT INTO pod_waitlist (user_id, requested_at)
SELECT user_id, requested_at FROM pod_requests r
WHERE NOT EXISTS (SELECT 1 FROM pod_members m WHERE m.user_id = r.user_id);

-- One row, which whoever changes the wait list or frees a place holds until the commit.
CREATE TABLE pod_waitlist_turns (
    id    BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    turns BIGINT NOT NULL
) WITH (fillfactor = 80);

INSERT INTO pod_waitlist_turns (id, turns) VALUES (1, 0);
