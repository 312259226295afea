"""What the daemon is measured against, each in processes of its own."""
