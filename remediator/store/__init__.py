"""The ledger's adapters and their migrations."""
