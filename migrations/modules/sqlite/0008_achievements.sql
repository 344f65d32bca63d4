-- Experience points and achievements.

-- Who got how many points for what. The key makes it impossible to be paid twice for one thing.
CREATE TABLE xp_transactions (
    user_id    BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    -- The cause, such as `topic.completed/` and the topic's id.
    source     TEXT    NOT NULL CHECK (source <> ''),
    amount     INTEGER NOT NULL CHECK (amount >= 0),
    reason     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, source)
) STRICT, WITHOUT ROWID;

-- A placement is paid once, even if another recruiter took it over since.
CREATE UNIQUE INDEX xp_of_placement ON xp_transactions (source) WHERE source LIKE 'candidate.placed/%';

-- One row per recruiter: what placements that are handled at once meet on.
CREATE TABLE recruiter_placements (
    recruiter_id BLOB    NOT NULL PRIMARY KEY REFERENCES user_profiles (id) ON DELETE CASCADE,
    placements   INTEGER NOT NULL CHECK (placements > 0)
) STRICT, WITHOUT ROWID;

-- The key makes it impossible to earn the same achievement twice.
CREATE TABLE achievements (
    user_id        BLOB    NOT NULL REFERENCES user_profiles (id) ON DELETE CASCADE,
    achievement_id TEXT    NOT NULL CHECK (achievement_id <> ''),
    earned_at      INTEGER NOT NULL,
    PRIMARY KEY (user_id, achievement_id)
) STRICT, WITHOUT ROWID;
