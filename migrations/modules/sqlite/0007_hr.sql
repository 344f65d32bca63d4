-- Employees' leave, hours, expenses and onboarding.

-- Who was placed, and in which job last. The key makes it impossible to be hired twice.
CREATE TABLE employments (
    user_id   BLOB    NOT NULL PRIMARY KEY REFERENCES user_profiles (id) ON DELETE CASCADE,
    job_id    BLOB    NOT NULL REFERENCES jobs (id),
    -- When the placement was made: an older one that is handled late changes nothing.
    placed_at INTEGER NOT NULL,
    -- How many jobs it has been so far.
    positions INTEGER NOT NULL CHECK (positions > 0)
) STRICT, WITHOUT ROWID;

-- Working days that are left; half days are possible.
CREATE TABLE leave_balances (
    user_id BLOB NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    kind    TEXT NOT NULL CHECK (kind IN ('annual', 'sick')),
    days    REAL NOT NULL CHECK (days >= 0),
    PRIMARY KEY (user_id, kind)
) STRICT, WITHOUT ROWID;

-- The key makes it impossible to take the same leave twice.
CREATE TABLE leaves (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id     BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    days        REAL    NOT NULL CHECK (days > 0),
    approved_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX leaves_of_user ON leaves (user_id, approved_at);

-- What must be done around somebody's first working day. The key makes a second checklist impossible.
CREATE TABLE onboarding_tasks (
    user_id BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    task    TEXT    NOT NULL CHECK (task <> ''),
    due_at  INTEGER NOT NULL,
    done_at INTEGER,
    PRIMARY KEY (user_id, task)
) STRICT, WITHOUT ROWID;

-- One week's hours each.
CREATE TABLE timesheets (
    id           BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id      BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    hours        REAL    NOT NULL CHECK (hours BETWEEN 0 AND 168),
    overtime     INTEGER NOT NULL CHECK (overtime IN (0, 1)),
    submitted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX timesheets_of_user ON timesheets (user_id, submitted_at);

-- What is owed to employees. The key makes it impossible to owe an expense twice.
CREATE TABLE reimbursements (
    expense_id  BLOB    NOT NULL PRIMARY KEY CHECK (length(expense_id) = 16),
    user_id     BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    -- In whole currency units.
    amount      INTEGER NOT NULL CHECK (amount > 0),
    approved_at INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    -- Null while it is due.
    paid_at     INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX reimbursements_of_user ON reimbursements (user_id, approved_at);
CREATE INDEX reimbursements_due ON reimbursements (due_at) WHERE paid_at IS NULL;
