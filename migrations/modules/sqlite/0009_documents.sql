-- Documents made for people. The key makes a second one for the same reason impossible.
CREATE TABLE generated_documents (
    user_id        BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    template       TEXT    NOT NULL CHECK (template IN ('resume')),
    -- The course whose end the document was made for.
    course_id      BLOB    NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    file_url       TEXT    NOT NULL UNIQUE,
    -- Of the file's bytes.
    content_sha256 BLOB    NOT NULL CHECK (length(content_sha256) = 32),
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (user_id, template, course_id)
) STRICT, WITHOUT ROWID;
