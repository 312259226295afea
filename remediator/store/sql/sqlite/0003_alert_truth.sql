-- What truncated webhooks left out, to be asked of every Alertmanager from `due_at` on. `key` tells a source's
-- groups apart; `wishes` counts the webhooks that left something out, so that an answer to an earlier one does
-- not end a later one, and `made_at` is the first, `wanted_at` the last of them. `tries` counts what was asked in vain.
CREATE TABLE inquiries (
    source    TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    receiver  TEXT    NOT NULL,
    grouping  TEXT    NOT NULL,
    missing   INTEGER NOT NULL,
    made_at   INTEGER NOT NULL,
    wanted_at INTEGER NOT NULL,
    due_at    INTEGER NOT NULL,
    wishes    INTEGER NOT NULL,
    tries     INTEGER NOT NULL,
    PRIMARY KEY (source, key)
);

-- When asking last found an alert there of which nobody is told. `closed_as` is the word for how an episode ended
-- where the version before knows none such: for it, `closed` holds the nearest that it knows.
ALTER TABLE episodes ADD COLUMN confirmed_at INTEGER;
ALTER TABLE episodes ADD COLUMN closed_as TEXT;
-- Open episodes, so that quiet ones are found among them and not among all that ever were.
CREATE INDEX episodes_still_open ON episodes (id) WHERE closed IS NULL;

-- The alert that always fires, by the source that tells of it: when it last came in, since when people know that it
-- is missing, and when an arrival was last passed on as a heartbeat.
CREATE TABLE watchdogs (
    source    TEXT    PRIMARY KEY,
    seen_at   INTEGER NOT NULL,
    missed_at INTEGER,
    beaten_at INTEGER
);
