"""What the ledger's backends share: rows as values, and all judging that happens in memory."""
