-- Leads, and who follows them up.

-- Who is told of a lead. The rep of the type 'default' gets those of types that have none.
CREATE TABLE sales_reps (
    lead_type TEXT NOT NULL PRIMARY KEY CHECK (length(lead_type) BETWEEN 1 AND 64),
    user_id   BLOB NOT NULL REFERENCES user_profiles (id)
) STRICT, WITHOUT ROWID;

-- The event's id makes it impossible to enter the same lead twice.
CREATE TABLE opportunity_pipeline (
    id         BLOB    NOT NULL PRIMARY KEY DEFAULT (randomblob(16)) CHECK (length(id) = 16),
    user_id    BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    type       TEXT    NOT NULL CHECK (length(type) BETWEEN 1 AND 64),
    source     TEXT    NOT NULL CHECK (length(source) BETWEEN 1 AND 64),
    confidence REAL    NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    status     TEXT    NOT NULL CHECK (status IN ('new', 'contacted', 'won', 'lost')),
    event_id   BLOB    NOT NULL UNIQUE CHECK (length(event_id) = 16),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX opportunity_pipeline_of_user ON opportunity_pipeline (user_id, created_at);
CREATE INDEX opportunity_pipeline_by_status ON opportunity_pipeline (status, created_at);
