-- What truncated webhooks left out, to be asked of every Alertmanager from `due_at` on. `key` tells a source's
-- groups apart; `wishes` counts the webhooks that left something out, so that an answer to an earlier one does
-- not end a later one, and `made_at` is the first, `wanted_at` the last of them. `tries` counts what was asked in vain.
CREATE TABLE inquiries (
    source    text    NOT NULL,
    key       text    NOT NULL,
    receiver  text    NOT NULL,
    grouping  text    NOT NULL,
    missing   integer NOT NULL,
    made_at   bigint  NOT NULL,
    wanted_at bigint  NOT NULL,
    due_at    bigint  NOT NULL,
    wishes    integer NOT NULL,
    tries     integer NOT NULL,
    PRIMARY KEY (source, key)
);

-- When asking last found an alert there of which nobody is told. `closed_as` is the word for how an episode ended
-- where the version before knows none such: for it, `closed` holds the nearest that it knows.
ALTER TABLE episodes ADD COLUMN confirmed_at bigint;
ALTER TABLE episodes ADD COLUMN closed_as text;
-- Open episodes, so that quiet ones are found among them and not among all that ever were.
CREATE INDEX episodes_still_open ON episodes (id) WHERE closed IS NULL;

-- The alert that always fires, by the source that tells of it: when it last came in, since when people know that it
-- is missing, and when an arrival was last passed on as a heartbeat.
CREATE TABLE watchdogs (
    source    text    PRIMARY KEY,
    seen_at   bigint  NOT NULL,
    missed_at bigint,
    beaten_at bigint
);
