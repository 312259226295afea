-- What a rule decided, for those who ask why.
CREATE INDEX decisions_by_rule ON decisions (rule, id);
-- What a pause is called, and how many reminders of it people have had.
ALTER TABLE pauses ADD COLUMN name TEXT;
ALTER TABLE pauses ADD COLUMN reminded INTEGER;
