"""Watchdogs as rows: one for each source that ever told of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from remediator.core.changes import Intake
from remediator.core.watchdog import Watchdog
from remediator.store.common.codecs import Row, maybe_micros, maybe_moment, micros, moment

COLUMNS = "source, seen_at, missed_at, beaten_at"


def arrivals(webhooks: Mapping[int, tuple[str, int]], intakes: Iterable[Intake]) -> list[tuple[str, int]]:
    """Sources and times of arrivals, of webhooks by their ids, that a Watchdog was in."""
    return [webhooks[each.webhook] for each in intakes if each.watchdog and not each.more]


def watchdog_from(row: Row) -> Watchdog:
    source, seen_at, missed_at, beaten_at = row
    return Watchdog(source, moment(seen_at), maybe_moment(missed_at), maybe_moment(beaten_at))


def watchdog_row(watchdog: Watchdog) -> tuple[str, int, int | None, int | None]:
    return (
        watchdog.source,
        micros(watchdog.seen_at),
        maybe_micros(watchdog.missed_at),
        maybe_micros(watchdog.beaten_at),
    )
