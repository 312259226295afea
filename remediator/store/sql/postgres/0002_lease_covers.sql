-- What a run's lease covers: a row of its own for each place, `shared` or not, as a whole or from a side.
-- They stay while an attempt of the run is in doubt, whatever became of the lease. A run that preempts others
-- keeps its places from everybody else until `awaited_until`, while those it preempted give way.
CREATE TABLE lease_covers (
    place         text    NOT NULL,
    run           text    NOT NULL,
    shared        boolean NOT NULL,
    side          text    NOT NULL,
    awaited_until bigint,
    PRIMARY KEY (place, run)
);
CREATE INDEX lease_covers_by_run ON lease_covers (run);

-- The run that a shared lease has to give way to.
ALTER TABLE leases ADD COLUMN preempted_by text;

-- Whether the target itself refuses a late writer; if not, an attempt may take effect until its deadline.
ALTER TABLE attempts ADD COLUMN fenced boolean NOT NULL DEFAULT true;
