-- The ledger. Times are microseconds since 1970 in UTC, JSON is TEXT, a target is written as people write it.
-- Rows that are worked on are found through partial indexes, so that history costs the hot path nothing.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
);

-- Webhooks as they came in: one row each, taken apart later. `body` is zstd, `size` that of the plain text.
CREATE TABLE webhooks (
    id          INTEGER PRIMARY KEY,
    source      TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    body        BLOB    NOT NULL,
    taken_at    INTEGER,
    quarantine  TEXT
);
CREATE INDEX webhooks_untaken ON webhooks (id, received_at) WHERE taken_at IS NULL;

-- `due_at` says from when an episode wants a decision; NULL once it has its last one.
CREATE TABLE episodes (
    id          INTEGER PRIMARY KEY,
    source      TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    labels      TEXT    NOT NULL,
    annotations TEXT    NOT NULL,
    grouping    TEXT    NOT NULL,
    starts_at   INTEGER NOT NULL,
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    ended_at    INTEGER,
    closed_at   INTEGER,
    closed      TEXT,
    repeats     INTEGER NOT NULL,
    stale_until INTEGER,
    due_at      INTEGER
);
CREATE UNIQUE INDEX episodes_open ON episodes (source, fingerprint) WHERE closed IS NULL;
CREATE INDEX episodes_by_key ON episodes (source, fingerprint, id);
CREATE INDEX episodes_due ON episodes (id, due_at) WHERE due_at IS NOT NULL;

-- `run` is the run that a decision created or joined; only a deferral is not final.
CREATE TABLE decisions (
    id       INTEGER PRIMARY KEY,
    episode  INTEGER NOT NULL REFERENCES episodes (id),
    rule     TEXT    NOT NULL,
    target   TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    final    INTEGER NOT NULL,
    rulebook TEXT    NOT NULL,
    run      TEXT,
    decision TEXT    NOT NULL
);
CREATE UNIQUE INDEX decisions_final ON decisions (episode, rule) WHERE final = 1;
CREATE INDEX decisions_by_run ON decisions (run) WHERE run IS NOT NULL;

CREATE TABLE facts (
    decision   INTEGER NOT NULL REFERENCES decisions (id),
    position   INTEGER NOT NULL,
    check_name TEXT    NOT NULL,
    said       TEXT    NOT NULL,
    fact       TEXT    NOT NULL,
    PRIMARY KEY (decision, position)
);

-- `seq` is the order of creation; `final` is 1 in the states that a run never leaves.
CREATE TABLE runs (
    seq             INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    rule            TEXT    NOT NULL,
    target          TEXT    NOT NULL,
    severity        TEXT    NOT NULL,
    mode            INTEGER NOT NULL,
    rulebook        TEXT    NOT NULL,
    episode         INTEGER NOT NULL REFERENCES episodes (id),
    created_at      INTEGER NOT NULL,
    deadline_at     INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    final           INTEGER NOT NULL,
    phase           TEXT    NOT NULL,
    position        INTEGER NOT NULL,
    tries           INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    results         TEXT    NOT NULL,
    broken          INTEGER NOT NULL,
    started_at      INTEGER,
    verifying_since INTEGER,
    ended_at        INTEGER,
    reason          TEXT,
    detail          TEXT    NOT NULL
);
CREATE INDEX runs_unfinished ON runs (seq) WHERE final = 0;
CREATE INDEX runs_under_way ON runs (rule, target, seq) WHERE final = 0;
CREATE INDEX runs_ended ON runs (rule, target, ended_at, seq) WHERE final = 1;
CREATE INDEX runs_acted ON runs (rule, target, ended_at, seq) WHERE final = 1 AND started_at IS NOT NULL;
CREATE INDEX runs_by_target ON runs (target, seq);

CREATE TABLE run_episodes (
    run       TEXT    NOT NULL REFERENCES runs (id),
    episode   INTEGER NOT NULL REFERENCES episodes (id),
    joined_at INTEGER NOT NULL,
    PRIMARY KEY (run, episode)
);
CREATE INDEX run_episodes_by_episode ON run_episodes (episode, run);

-- A step as its last attempt left it: acting, succeeded, failed or unknown.
CREATE TABLE steps (
    run        TEXT    NOT NULL REFERENCES runs (id),
    phase      TEXT    NOT NULL,
    position   INTEGER NOT NULL,
    step       TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    detail     TEXT    NOT NULL,
    result     TEXT    NOT NULL,
    attempts   INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    PRIMARY KEY (run, phase, position)
);

CREATE TABLE attempts (
    seq         INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    run         TEXT    NOT NULL REFERENCES runs (id),
    step        TEXT    NOT NULL,
    phase       TEXT    NOT NULL,
    position    INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    action      TEXT    NOT NULL,
    params      TEXT    NOT NULL,
    token       INTEGER NOT NULL,
    intended_at INTEGER NOT NULL,
    deadline_at INTEGER NOT NULL,
    summary     TEXT    NOT NULL,
    diff        TEXT    NOT NULL,
    plan        TEXT    NOT NULL,
    outcome     TEXT,
    detail      TEXT    NOT NULL,
    ended_at    INTEGER
);
CREATE INDEX attempts_by_run ON attempts (run, seq);
CREATE UNIQUE INDEX attempts_in_doubt ON attempts (run) WHERE outcome IS NULL;

CREATE TABLE leases (
    target     TEXT    NOT NULL,
    run        TEXT    NOT NULL REFERENCES runs (id),
    owner      TEXT    NOT NULL,
    token      INTEGER NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL,
    shared     INTEGER NOT NULL,
    PRIMARY KEY (target, run)
);
CREATE INDEX leases_by_run ON leases (run);

CREATE TABLE token_sequence (
    last INTEGER NOT NULL
);
-- A new ledger begins above any before it (milliseconds since 1970): targets still bear those tokens.
INSERT INTO token_sequence (last) VALUES (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER));

-- Taken with the first intent of a run, and never given back.
CREATE TABLE slots (
    run      TEXT    PRIMARY KEY REFERENCES runs (id),
    rule     TEXT    NOT NULL,
    target   TEXT    NOT NULL,
    taken_at INTEGER NOT NULL
);
CREATE INDEX slots_by_time ON slots (taken_at);

CREATE TABLE events (
    id      INTEGER PRIMARY KEY,
    kind    TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    version INTEGER NOT NULL,
    data    TEXT    NOT NULL,
    episode INTEGER,
    run     TEXT,
    rule    TEXT,
    target  TEXT
);
CREATE INDEX events_by_run ON events (run, id) WHERE run IS NOT NULL;

-- `state` is unsent, sent or parked.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY,
    channel    TEXT    NOT NULL,
    thread     TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    lane       TEXT    NOT NULL,
    envelope   TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    tries      INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    ended_at   INTEGER,
    error      TEXT    NOT NULL
);
CREATE INDEX outbox_unsent ON outbox (lane, channel, thread, id) WHERE state = 'unsent';
CREATE INDEX outbox_unsent_by_key ON outbox (channel, thread, key) WHERE state = 'unsent';
CREATE INDEX outbox_parked ON outbox (id) WHERE state = 'parked';

CREATE TABLE threads (
    channel TEXT NOT NULL,
    thread  TEXT NOT NULL,
    head    TEXT NOT NULL,
    PRIMARY KEY (channel, thread)
);

-- What a key of a thread was last delivered as.
CREATE TABLE thread_refs (
    channel TEXT NOT NULL,
    thread  TEXT NOT NULL,
    key     TEXT NOT NULL,
    ref     TEXT NOT NULL,
    PRIMARY KEY (channel, thread, key)
);

CREATE TABLE rulebooks (
    hash         TEXT    PRIMARY KEY,
    first_seen   INTEGER NOT NULL,
    activated_at INTEGER NOT NULL,
    active       INTEGER NOT NULL,
    files        TEXT    NOT NULL
);
CREATE UNIQUE INDEX rulebooks_active ON rulebooks (active) WHERE active = 1;

-- A pause is in force until it is lifted or over; rows stay as the record of who and why.
CREATE TABLE pauses (
    id         INTEGER PRIMARY KEY,
    scope      TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    who        TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    until      INTEGER,
    lifted_at  INTEGER,
    lifted_why TEXT,
    lifted_who TEXT
);
CREATE INDEX pauses_unlifted ON pauses (id) WHERE lifted_at IS NULL;

CREATE TABLE quarantines (
    target  TEXT    PRIMARY KEY,
    run     TEXT    NOT NULL,
    attempt TEXT,
    why     TEXT    NOT NULL,
    at      INTEGER NOT NULL
);
