-- What people were asked about a run, and how it ended; `digest` names what the answer binds. `who` is empty
-- where it was nobody.
CREATE TABLE approvals (
    run        TEXT    NOT NULL REFERENCES runs (id),
    number     INTEGER NOT NULL,
    digest     TEXT    NOT NULL,
    proposal   TEXT    NOT NULL,
    asked      TEXT    NOT NULL,
    asked_at   INTEGER NOT NULL,
    until      INTEGER NOT NULL,
    otherwise  TEXT    NOT NULL,
    settled    TEXT,
    settled_at INTEGER,
    who        TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    how        TEXT,
    PRIMARY KEY (run, number)
);
CREATE UNIQUE INDEX approvals_open ON approvals (run) WHERE settled IS NULL;
