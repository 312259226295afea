-- A pause that was made because the ledger turned out to be an older one; `told` says how far people heard of it.
ALTER TABLE pauses ADD COLUMN restored boolean NOT NULL DEFAULT false;
CREATE INDEX pauses_of_restores ON pauses (id) WHERE restored;
