"""Notices: what people are told, as values; channels decide how it looks."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from remediator.core.contacts import Contact
from remediator.core.ids import EpisodeId, RunId

#: The most lines that a notice collects from those whose place it took.
MOST_LINES = 20
_PRIORITY = re.compile(r"P[0-9]{1,3}")


class NoticeKind(StrEnum):
    """What a notice is about."""

    RUN = "run"
    DECISION = "decision"
    ALARM = "alarm"
    PAGE = "page"
    BRAKE = "brake"


class Lane(StrEnum):
    """Pages never queue behind reports."""

    REPORTS = "reports"
    PAGES = "pages"


class Tone(StrEnum):
    """How a notice is to be read at a glance."""

    ASKING = "asking"
    WORKING = "working"
    GOOD = "good"
    BAD = "bad"
    UNSURE = "unsure"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer that is offered: as a button where the channel has them, else as the command to type.

    ``action`` and ``value`` come back with the click; ``urgent`` is the one that changes the world. Neither
    these nor the ``label`` are anybody else's text.
    """

    action: str
    label: str
    value: str
    command: str
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """One message. All text is raw: whoever renders it escapes it (law 10).

    ``title`` and ``summary`` are one sentence each; ``fields`` are name and value; ``lines`` a timeline,
    oldest first; ``diff`` a unified diff or empty; ``commands`` what a person may type next; ``choices`` the
    answers to what it asks.
    ``final`` says that no later notice will update this one. ``count`` is how many like things it tells of:
    0 for the state of one thing, of which only the newest counts. ``evidence`` are named lists of lines for
    channels that have the room; ``mentions`` the Slack ids of those whom a page is for, else for all here.
    """

    kind: NoticeKind
    title: str
    tone: Tone
    severity: str = ""
    summary: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    diff: str = ""
    commands: tuple[str, ...] = ()
    run: RunId | None = None
    final: bool = False
    page: bool = False
    count: int = 1
    evidence: tuple[tuple[str, tuple[str, ...]], ...] = ()
    mentions: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()


#: What sounds worse comes first.
_WORST_FIRST = (Tone.BAD, Tone.UNSURE, Tone.ASKING, Tone.WORKING, Tone.QUIET, Tone.GOOD)


def following(old: Notice, new: Notice) -> Notice:
    """``new`` in the place of an unsent ``old``: their counts add up, and no decision's line is lost.

    It is as urgent as the more urgent of the two and sounds like the worse one; its fields are the newest.
    Of more than :data:`MOST_LINES` lines the newest are kept. A run's notice tells its whole story anew, and
    so does the brake's.
    """
    count = old.count + new.count
    if new.kind in (NoticeKind.RUN, NoticeKind.PAGE, NoticeKind.BRAKE):
        return replace(new, count=count)
    return replace(
        new,
        count=count,
        lines=(*old.lines, *new.lines)[-MOST_LINES:],
        severity=_more_urgent(old.severity, new.severity),
        tone=min(old.tone, new.tone, key=_WORST_FIRST.index),
        page=old.page or new.page,
    )


def _more_urgent(old: str, new: str) -> str:
    """P0 before P1 and so on, and any before none; of a rulebook's own words nobody says which is worse."""
    if _PRIORITY.fullmatch(old) and _PRIORITY.fullmatch(new):
        return min(old, new, key=lambda severity: int(severity[1:]))
    return new or old


class Signal(StrEnum):
    """What an envelope says to a pager about its thread, which is one incident there."""

    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class Call:
    """What a page is about, by which the ledger knows when it is over, and whom it calls in turn.

    With ``held`` it is over when the quarantine that ``run`` left is lifted, else when the alerts of the run
    and ``episode`` have resolved. With neither run nor episode only its own ``RESOLVE`` ends it. ``reports``
    are the channels that hear of who answers.
    """

    run: RunId | None = None
    episode: EpisodeId | None = None
    rule: str = ""
    target: str = ""
    held: bool = False
    reports: tuple[str, ...] = ()
    chain: tuple[Contact, ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    """A notice with its address.

    ``channel`` is ``slack:#name``, ``log`` or the like. Within one ``(channel, thread)`` order is kept.
    With a ``key``, a later envelope of the same channel, thread and key replaces an unsent one
    (``count`` adds up) and updates a sent one in place where the channel can; a ``standalone`` one also
    replaces unsent ones, but once sent it stays as it is, and nothing is threaded below it.

    ``signal`` is for pagers, which know a thread as one incident. A ``call`` opens a page in the ledger.
    ``otherwise`` are the channels that take it when this one can't.
    """

    channel: str
    thread: str
    notice: Notice
    key: str = ""
    lane: Lane = Lane.REPORTS
    standalone: bool = False
    signal: Signal | None = None
    call: Call | None = None
    otherwise: tuple[str, ...] = ()
