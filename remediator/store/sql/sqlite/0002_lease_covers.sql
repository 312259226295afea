-- What a run's lease covers: a row of its own for each place, `shared` or not, as a whole or from a side.
-- They stay while an attempt of the run is in doubt, whatever became of the lease. A run that preempts others
-- keeps its places from everybody else until `awaited_until`, while those it preempted give way.
CREATE TABLE lease_covers (
    place         TEXT    NOT NULL,
    run           TEXT    NOT NULL REFERENCES runs (id),
    shared        INTEGER NOT NULL,
    side          TEXT    NOT NULL,
    awaited_until INTEGER,
    PRIMARY KEY (place, run)
) WITHOUT ROWID;
CREATE INDEX lease_covers_by_run ON lease_covers (run);

-- Leases and attempts in doubt from before covered their target alone.
INSERT INTO lease_covers (place, run, shared, side)
    SELECT r.target, r.id, 0, 'whole' FROM runs r
    WHERE r.id IN (SELECT run FROM leases UNION SELECT run FROM attempts WHERE outcome IS NULL);

-- The run that a shared lease has to give way to.
ALTER TABLE leases ADD COLUMN preempted_by TEXT;

-- Whether the target itself refuses a late writer; if not, an attempt may take effect until its deadline.
ALTER TABLE attempts ADD COLUMN fenced INTEGER NOT NULL DEFAULT 1;
