"""Several replicas on one ledger share its work: whatever two of them do at once, it counts once."""

from __future__ import annotations

from datetime import timedelta

SOON = timedelta(seconds=20)
