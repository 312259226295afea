-- Keeping a ledger that grows, storms and is restored from copies in order.

-- `for_facts` marks an episode that is due and waits for room to have its facts gathered, so that those which
-- need none go before it. Each lane has its own index: what waits in the one costs the other nothing.
ALTER TABLE episodes ADD COLUMN for_facts INTEGER;
CREATE INDEX episodes_due_now ON episodes (id, due_at) WHERE due_at IS NOT NULL AND for_facts IS NULL;
CREATE INDEX episodes_due_for_facts ON episodes (id, due_at) WHERE due_at IS NOT NULL AND for_facts IS NOT NULL;

-- By these, old rows are found to be needed by nothing that stays.
CREATE INDEX runs_by_episode ON runs (episode);
CREATE INDEX outbox_by_thread ON outbox (channel, thread);
