-- What people were asked about a run, and how it ended; `digest` names what the answer binds. `who` is empty
-- where it was nobody.
CREATE TABLE approvals (
    run        text    NOT NULL REFERENCES runs (id),
    number     integer NOT NULL,
    digest     text    NOT NULL,
    proposal   text    NOT NULL,
    asked      text    NOT NULL,
    asked_at   bigint  NOT NULL,
    until      bigint  NOT NULL,
    otherwise  text    NOT NULL,
    settled    text,
    settled_at bigint,
    who        text    NOT NULL,
    why        text    NOT NULL,
    how        text,
    PRIMARY KEY (run, number)
);
CREATE UNIQUE INDEX approvals_open ON approvals (run) WHERE settled IS NULL;
