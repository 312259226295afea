"""The ports towards people and towards the rule files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from remediator.core.ids import RulebookHash
from remediator.core.notices import Envelope
from remediator.core.rules import Rulebook


@dataclass(frozen=True, slots=True)
class Delivered:
    """The channel has it; ``ref`` is what it needs to update or to answer in the same thread."""

    ref: str = ""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It may succeed later: after ``after`` where the channel named a time."""

    detail: str
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """It will never succeed as it is; it is parked, and an alarm is raised."""

    detail: str


Delivery = Delivered | TryAgain | Rejected


class Notifier(Protocol):
    """Delivers to the channels of one scheme (``slack``, ``log``). Raises nothing but cancellation."""

    @property
    def scheme(self) -> str: ...

    async def deliver(self, envelope: Envelope, *, head: str, sent: str) -> Delivery:
        """Deliver one envelope.

        ``head`` is the ref of the thread's first message, ``""`` if there is none yet; ``sent`` the ref
        of what this envelope's key was last delivered as, ``""`` if never.
        """
        ...


class RulebookError(Exception):
    """A rulebook that can't be used: ``problems`` holds each as ``file:line:column: what, and a remedy``."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class RuleFiles:
    """The rule files as they were written: text by path, relative to the rules' folder."""

    texts: Mapping[str, str]
    hash: RulebookHash


class RulebookSource(Protocol):
    """Reads rule files, and compiles what the ledger kept of them."""

    def read(self) -> RuleFiles:
        """Read the files as they are now.

        Raises:
            RulebookError: they can't be read.
        """
        ...

    def compile(self, files: RuleFiles) -> Rulebook:
        """Turn files into a rulebook; the same files always give an equal one.

        Raises:
            RulebookError: something in them is wrong, or they are not what their hash is of; every problem is
                named at once.
        """
        ...


class RuleWatch(Protocol):
    """Notices that the rule files changed, however they are replaced."""

    async def changed(self) -> None:
        """Return once they look other than at the last return, at first than at the start, and keep still.

        What it returns for may turn out to be no change at all. Raises nothing but cancellation.
        """
        ...
