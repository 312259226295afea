"""The ledger's adapters and their migrations."""

from __future__ import annotations

from remediator.store.urls import store_from_url

__all__ = ["store_from_url"]
