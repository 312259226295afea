"""Leases: time-bound claims on targets, each with a fencing token that only grows (law 5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from remediator.core.ids import Owner, RunId, Token
from remediator.core.targets import Target


@dataclass(frozen=True, slots=True)
class Lease:
    """A run's claim on its target, exclusive unless ``shared``, until ``expires_at`` of the store's clock.

    At that very moment it no longer holds.
    """

    target: Target
    run: RunId
    owner: Owner
    token: Token
    expires_at: datetime
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """Why a lease was not given: another run holds the target until ``until``."""

    run: RunId
    owner: Owner
    until: datetime
