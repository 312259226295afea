-- What limits look back at.
CREATE INDEX slots_by_rule ON slots (rule, taken_at);
CREATE INDEX slots_by_target ON slots (target, taken_at);
CREATE INDEX runs_acted_on ON runs (target, ended_at, seq) WHERE final = 1 AND started_at IS NOT NULL;
