-- What rules that ask for several alerts have counted: from when, and with which others (`grouping`, the values that
-- their labels share). `run` used it up; `passed` says that it waited in vain and has gone on to the next rule.
CREATE TABLE counted (
    rule     TEXT    NOT NULL,
    grouping TEXT    NOT NULL,
    episode  INTEGER NOT NULL REFERENCES episodes (id) ON DELETE CASCADE,
    at       INTEGER NOT NULL,
    run      TEXT,
    passed   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (episode, rule)
);
CREATE INDEX counted_by_group ON counted (rule, grouping, at);
CREATE INDEX counted_by_run ON counted (run) WHERE run IS NOT NULL;
