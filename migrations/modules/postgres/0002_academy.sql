CREATE TABLE courses (
    id    UUID PRIMARY KEY,
    title TEXT NOT NULL CHECK (title <> '')
);

CREATE TABLE topics (
    id        UUID PRIMARY KEY,
    course_id UUID NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    title     TEXT NOT NULL CHECK (title <> ''),
    position  BIGINT NOT NULL,
    required  BOOLEAN NOT NULL DEFAULT true,
    UNIQUE (course_id, position)
);

CREATE TABLE quizzes (
    id        UUID PRIMARY KEY,
    course_id UUID NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    title     TEXT NOT NULL CHECK (title <> '')
);

CREATE INDEX quizzes_of_course ON quizzes (course_id);

-- The key makes it impossible to complete a topic twice.
CREATE TABLE topic_completions (
    user_id      UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    topic_id     UUID NOT NULL REFERENCES topics (id),
    score        DOUBLE PRECISION NOT NULL CHECK (score BETWEEN 0 AND 100),
    completed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, topic_id)
);

CREATE TABLE quiz_results (
    user_id   UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    quiz_id   UUID NOT NULL REFERENCES quizzes (id),
    score     DOUBLE PRECISION NOT NULL CHECK (score BETWEEN 0 AND 100),
    passed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, quiz_id)
);

-- One row per student and course: what two completions at once meet on, and what
-- makes a second graduation from the same course impossible.
CREATE TABLE course_progress (
    user_id          UUID NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    course_id        UUID NOT NULL REFERENCES courses (id) ON DELETE CASCADE,
    topics_completed BIGINT NOT NULL CHECK (topics_completed > 0),
    graduated_at     TIMESTAMPTZ,
    final_score      DOUBLE PRECISION CHECK (final_score BETWEEN 0 AND 100),
    PRIMARY KEY (user_id, course_id),
    CHECK ((graduated_at IS NULL) = (final_score IS NULL))
) WITH (fillfactor = 80);
