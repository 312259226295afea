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
