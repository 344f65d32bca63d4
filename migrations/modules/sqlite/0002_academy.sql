CREATE TABLE courses (
    id    BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    title TEXT NOT NULL CHECK (title <> '')
) STRICT, WITHOUT ROWID;

CREATE TABLE topics (
    id        BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    course_id BLOB    NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    title     TEXT    NOT NULL CHECK (title <> ''),
    position  INTEGER NOT NULL,
    required  INTEGER NOT NULL DEFAULT 1 CHECK (required IN (0, 1)),
    UNIQUE (course_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE quizzes (
    id        BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    course_id BLOB NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    title     TEXT NOT NULL CHECK (title <> '')
) STRICT, WITHOUT ROWID;

CREATE INDEX quizzes_of_course ON quizzes (course_id);

-- The key makes it impossible to complete a topic twice.
CREATE TABLE topic_completions (
    user_id      BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    topic_id     BLOB    NOT NULL REFERENCES topics (id),
    score        REAL    NOT NULL CHECK (score BETWEEN 0 AND 100),
    completed_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, topic_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE quiz_results (
    user_id   BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    quiz_id   BLOB    NOT NULL REFERENCES quizzes (id),
    score     REAL    NOT NULL CHECK (score BETWEEN 0 AND 100),
    passed_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, quiz_id)
) STRICT, WITHOUT ROWID;

-- One row per student and course: what two completions at once meet on, and what
-- makes a second graduation from the same course impossible.
CREATE TABLE course_progress (
    user_id          BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    course_id        BLOB    NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    topics_completed INTEGER NOT NULL CHECK (topics_completed > 0),
    graduated_at     INTEGER,
    final_score      REAL    CHECK (final_score BETWEEN 0 AND 100),
    PRIMARY KEY (user_id, course_id),
    CHECK ((graduated_at IS NULL) = (final_score IS NULL))
) STRICT, WITHOUT ROWID;
