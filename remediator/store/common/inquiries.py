"""Inquiries as rows: one for each group that a source left alerts out of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

from remediator.core.changes import Intake
from remediator.core.inquiries import Inquiry, LeftOut
from remediator.store.common.codecs import Row, as_json, moment, strings

COLUMNS = "source, receiver, grouping, missing, wishes, wanted_at, tries"
#: The columns of :func:`wish_row`.
INSERTED = "source, key, receiver, grouping, missing, made_at, wanted_at, due_at, wishes, tries"
#: One that is being asked, or is asked in vain, keeps its time: it is not asked more often for it.
WISH_AGAIN = (
    "ON CONFLICT (source, key) DO UPDATE SET missing = excluded.missing, wanted_at = excluded.wanted_at,"
    " wishes = inquiries.wishes + 1"
)


def key_of(left_out: LeftOut) -> str:
    """What tells groups apart, and fits into an index whatever labels they have."""
    told = as_json([left_out.receiver, sorted(left_out.group.items())])
    return sha256(told.encode()).hexdigest()


def wish_rows(webhooks: Mapping[int, tuple[str, int]], intakes: Iterable[Intake], now: int) -> list[Row]:
    """A row for each webhook, of those with these ids, that alerts were left out of."""
    return [
        (
            webhooks[intake.webhook][0],
            key_of(intake.left_out),
            intake.left_out.receiver,
            as_json(dict(sorted(intake.left_out.group.items()))),
            intake.left_out.count,
            now,
            now,
            now,
        )
        for intake in intakes
        if intake.left_out is not None and not intake.more
    ]


def inquiry_from(row: Row) -> Inquiry:
    source, receiver, grouping, missing, wishes, wanted_at, tries = row
    left_out = LeftOut(missing, receiver, strings(grouping))
    return Inquiry(source, left_out, wishes, moment(wanted_at), tries)
