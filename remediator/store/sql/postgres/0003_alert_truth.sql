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
