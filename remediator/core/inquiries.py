"""Inquiries: what a truncated webhook left out, asked of every Alertmanager until somebody knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from remediator.core.answers import AlertState, Answer, Heard, Listed


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many alerts a webhook left out, and of which group.

    ``receiver`` is a regular expression, as Alertmanager writes its receiver's name; ``group`` are the
    labels that all alerts of the group share.
    """

    count: int
    receiver: str
    group: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """The wish to hear of one group's alerts; each truncated webhook of the group wishes it anew.

    ``wishes`` counts them, ``wanted_at`` is when the last one came, by the store's clock. ``tries`` is how
    often it was asked in vain.
    """

    source: str
    left_out: LeftOut
    wishes: int
    wanted_at: datetime
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """The group's alerts that fire, and whether there can be no others."""

    alerts: tuple[Listed, ...]
    complete: bool


def reply(left_out: LeftOut, heard: Sequence[Heard]) -> Reply:
    """Put together what all Alertmanagers said of a group.

    Its alerts are known once one that has any of them answered, since every Alertmanager of a cluster is
    told of all. That none answered has any proves nothing while one is silent.
    """
    answers = [each for each in heard if isinstance(each, Answer)]
    listed = [alert for each in answers for alert in each.alerts if _is_of(alert, left_out.group)]
    firing: dict[str, Listed] = {}
    for alert in sorted(listed, key=lambda alert: alert.starts_at):
        if alert.state is AlertState.ACTIVE:
            firing.setdefault(alert.fingerprint, alert)
    complete = bool(answers) and (bool(listed) or len(answers) == len(heard))
    return Reply(tuple(firing.values()), complete)


def _is_of(alert: Listed, group: Mapping[str, str]) -> bool:
    return group.items() <= alert.labels.items()
