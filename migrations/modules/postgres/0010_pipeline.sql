-- Leads, and who follows them up.

-- Who is told of a lead. The rep of the type 'default' gets those of types that have none.
CREATE TABLE sales_reps (
    lead_type TEXT PRIMARY KEY CHECK (length(lead_type) BETWEEN 1 AND 64),
    user_id   UUID NOT NULL REFERENCES user_profiles (id)
);

-- The event's id makes it impossible to enter the same lead twice.
CREATE TABLE opportunity_pipeline (
    id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id    UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    type       TEXT NOT NULL CHECK (length(type) BETWEEN 1 AND 64),
    source     TEXT NOT NULL CHECK (length(source) BETWEEN 1 AND 64),
    confidence DOUBLE PRECISION NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    status     TEXT NOT NULL CHECK (status IN ('new', 'contacted', 'won', 'lost')),
    event_id   UUID NOT NULL UNIQUE,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX opportunity_pipeline_of_user ON opportunity_pipeline (user_id, created_at);
CREATE INDEX opportunity_pipeline_by_status ON opportunity_pipeline (status, created_at);
