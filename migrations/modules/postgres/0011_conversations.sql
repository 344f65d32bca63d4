-- Conversations and their messages.
CREATE TABLE conversations (
    id          UUID PRIMARY KEY,
    -- Who held it.
    user_id     UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    started_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- Null while it goes on.
    ended_at    TIMESTAMPTZ,
    -- Null until somebody looked for opportunities in it, which is done once.
    analysed_at TIMESTAMPTZ
);

CREATE INDEX conversations_of_user ON conversations (user_id, started_at);

CREATE TABLE conversation_messages (
    conversation_id UUID NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    position        BIGINT NOT NULL CHECK (position >= 0),
    author          TEXT NOT NULL CHECK (author IN ('user', 'assistant')),
    text            TEXT NOT NULL,
    PRIMARY KEY (conversation_id, position)
);

-- What a conversation is an opportunity for. The key makes it impossible to find the same twice.
CREATE TABLE ai_findings (
    conversation_id UUID NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    lead_type       TEXT NOT NULL CHECK (lead_type IN ('recruiting', 'bench', 'training')),
    score           DOUBLE PRECISION NOT NULL CHECK (score BETWEEN 0 AND 1),
    -- The sentence that was the reason.
    reason          TEXT NOT NULL CHECK (reason <> ''),
    finder          TEXT NOT NULL CHECK (finder IN ('rules', 'endpoint')),
    found_at        TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (conversation_id, lead_type)
);
