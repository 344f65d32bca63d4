-- Employees' leave, hours, expenses and onboarding.

-- Who was placed, and in which job last. The key makes it impossible to be hired twice.
CREATE TABLE employments (
    user_id   UUID PRIMARY KEY REFERENCES user_profiles (id) ON DELETE CASCADE,
    job_id    UUID NOT NULL REFERENCES jobs (id),
    -- When the placement was made: an older one that is handled late changes nothing.
    placed_at TIMESTAMPTZ NOT NULL,
    -- How many jobs it has been so far.
    positions BIGINT NOT NULL CHECK (positions > 0)
);

-- Working days that are left; half days are possible.
CREATE TABLE leave_balances (
    user_id UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    kind    TEXT NOT NULL CHECK (kind IN ('annual', 'sick')),
    days    DOUBLE PRECISION NOT NULL CHECK (days >= 0),
    PRIMARY KEY (user_id, kind)
) WITH (fillfactor = 80);

-- The key makes it impossible to take the same leave twice.
CREATE TABLE leaves (
    id          UUID PRIMARY KEY,
    user_id     UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    days        DOUBLE PRECISION NOT NULL CHECK (days > 0),
    approved_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX leaves_of_user ON leaves (user_id, approved_at);

-- What must be done around somebody's first working day. The key makes a second checklist impossible.
CREATE TABLE onboarding_tasks (
    user_id UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    task    TEXT NOT NULL CHECK (task <> ''),
    due_at  TIMESTAMPTZ NOT NULL,
    done_at TIMESTAMPTZ,
    PRIMARY KEY (user_id, task)
);

-- One week's hours each.
CREATE TABLE timesheets (
    id           UUID PRIMARY KEY,
    user_id      UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    hours        DOUBLE PRECISION NOT NULL CHECK (hours BETWEEN 0 AND 168),
    overtime     BOOLEAN NOT NULL,
    submitted_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX timesheets_of_user ON timesheets (user_id, submitted_at);

-- What is owed to employees. The key makes it impossible to owe an expense twice.
CREATE TABLE reimbursements (
    expense_id  UUID PRIMARY KEY,
    user_id     UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    -- In whole currency units.
    amount      BIGINT NOT NULL CHECK (amount > 0),
    approved_at TIMESTAMPTZ NOT NULL,
    due_at      TIMESTAMPTZ NOT NULL,
    -- Null while it is due.
    paid_at     TIMESTAMPTZ
);

CREATE INDEX reimbursements_of_user ON reimbursements (user_id, approved_at);
CREATE INDEX reimbursements_due ON reimbursements (due_at) WHERE paid_at IS NULL;
