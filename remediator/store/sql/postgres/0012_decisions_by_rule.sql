-- What a rule decided, for those who ask why.
CREATE INDEX decisions_by_rule ON decisions (rule, id);
