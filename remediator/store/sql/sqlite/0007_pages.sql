-- Pages: open from their first envelope until they are over. `held` ones are over when their run's quarantine is
-- lifted. `called` counts the calls of the chain so far; the next one is due at `next_at`.
CREATE TABLE pages (
    id               INTEGER PRIMARY KEY,
    thread           TEXT    NOT NULL,
    run              TEXT,
    target           TEXT    NOT NULL,
    held             INTEGER NOT NULL,
    call             TEXT    NOT NULL,
    notice           TEXT    NOT NULL,
    channels         TEXT    NOT NULL,
    opened_at        INTEGER NOT NULL,
    called           INTEGER NOT NULL,
    next_at          INTEGER,
    acknowledged_at  INTEGER,
    acknowledged_by  TEXT,
    acknowledged_why TEXT,
    over_at          INTEGER,
    over_why         TEXT    NOT NULL
);
CREATE UNIQUE INDEX pages_open ON pages (thread) WHERE over_at IS NULL;
CREATE INDEX pages_by_run ON pages (run) WHERE run IS NOT NULL;

CREATE TABLE page_episodes (
    page    INTEGER NOT NULL REFERENCES pages (id),
    episode INTEGER NOT NULL,
    PRIMARY KEY (page, episode)
);

-- Finds the repair that ends a page.
CREATE INDEX runs_succeeded ON runs (target, ended_at) WHERE state = 'succeeded';
