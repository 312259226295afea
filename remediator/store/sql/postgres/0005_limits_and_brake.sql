-- What limits look back at.
CREATE INDEX slots_by_rule ON slots (rule, taken_at);
CREATE INDEX slots_by_target ON slots (target, taken_at);
CREATE INDEX runs_acted_on ON runs (target, ended_at, seq) WHERE final AND started_at IS NOT NULL;

-- When a run was last demanded on each target: what the brake's budget of targets counts.
CREATE TABLE demands (
    target text   PRIMARY KEY,
    at     bigint NOT NULL
);
CREATE INDEX demands_by_time ON demands (at);
CREATE INDEX runs_failed ON runs (ended_at) WHERE state IN ('failed', 'unknown');

-- A pause that the brake made has the budget that was overspent in `brake`. `told` is how many of the alerts
-- that it stopped people have been told of: NULL while nobody has heard of it, -1 once its end was told.
ALTER TABLE pauses ADD COLUMN brake text;
ALTER TABLE pauses ADD COLUMN told bigint;
CREATE INDEX pauses_of_brake ON pauses (value, id) WHERE brake IS NOT NULL;

-- What an engaged brake kept from running: how many alerts, and since when.
CREATE TABLE braked (
    pause  bigint NOT NULL REFERENCES pauses (id),
    rule   text   NOT NULL,
    target text   NOT NULL,
    alerts bigint NOT NULL,
    at     bigint NOT NULL,
    PRIMARY KEY (pause, rule, target)
);
