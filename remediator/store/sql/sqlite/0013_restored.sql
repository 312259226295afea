-- A pause that was made because the ledger turned out to be an older one; `told` says how far people heard of it.
ALTER TABLE pauses ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;
CREATE INDEX pauses_of_restores ON pauses (id) WHERE restored = 1;
