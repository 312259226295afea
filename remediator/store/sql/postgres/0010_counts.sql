-- What rules that ask for several alerts have counted: from when, and with which others (`grouping`, the values that
-- their labels share). `run` used it up; `passed` says that it waited in vain and has gone on to the next rule.
CREATE TABLE counted (
    rule     text    NOT NULL,
    grouping text    NOT NULL,
    episode  bigint  NOT NULL REFERENCES episodes (id) ON DELETE CASCADE,
    at       bigint  NOT NULL,
    run      text,
    passed   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (episode, rule)
);
CREATE INDEX counted_by_group ON counted (rule, grouping, at);
CREATE INDEX counted_by_run ON counted (run) WHERE run IS NOT NULL;
