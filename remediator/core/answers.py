"""What Alertmanagers say when they are asked which alerts they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AlertState(StrEnum):
    """Whether people are told of an alert that an Alertmanager has.

    ``suppressed`` is silenced or inhibited, ``unprocessed`` not looked at yet: of neither is anybody told.
    """

    ACTIVE = "active"
    SUPPRESSED = "suppressed"
    UNPROCESSED = "unprocessed"


@dataclass(frozen=True, slots=True)
class Listed:
    """One alert that an Alertmanager has; what has ended it does not list."""

    fingerprint: str
    state: AlertState
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What one Alertmanager says: the alerts that it has, and since when it is up to know of any."""

    url: str
    up_since: datetime
    alerts: tuple[Listed, ...]

    @property
    def fingerprints(self) -> frozenset[str]:
        return frozenset(alert.fingerprint for alert in self.alerts)


@dataclass(frozen=True, slots=True)
class Silent:
    """One Alertmanager that couldn't be asked, or whose answer makes no sense."""

    url: str
    why: str


Heard = Answer | Silent
