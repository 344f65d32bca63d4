-- Conversations and their messages.
CREATE TABLE conversations (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    -- Who held it.
    user_id     BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    started_at  INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    -- Null while it goes on.
    ended_at    INTEGER,
    -- Null until somebody looked for opportunities in it, which is done once.
    analysed_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX conversations_of_user ON conversations (user_id, started_at);

CREATE TABLE conversation_messages (
    conversation_id BLOB    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    position        INTEGER NOT NULL CHECK (position >= 0),
    author          TEXT    NOT NULL CHECK (author IN ('user', 'assistant')),
    text            TEXT    NOT NULL,
    PRIMARY KEY (conversation_id, position)
) STRICT, WITHOUT ROWID;

-- What a conversation is an opportunity for. The key makes it impossible to find the same twice.
CREATE TABLE ai_findings (
    conversation_id BLOB    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    lead_type       TEXT    NOT NULL CHECK (lead_type IN ('recruiting', 'bench', 'training')),
    score           REAL    NOT NULL CHECK (score BETWEEN 0 AND 1),
    -- The sentence that was the reason.
    reason          TEXT    NOT NULL CHECK (reason <> ''),
    finder          TEXT    NOT NULL CHECK (finder IN ('rules', 'endpoint')),
    found_at        INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, lead_type)
) STRICT, WITHOUT ROWID;
