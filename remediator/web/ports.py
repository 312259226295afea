"""What the web room is given: the ledger, who may come in, the engine's verbs, and where troubles go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from remediator.core.alerts import AlertKey
from remediator.core.approvals import Answer, Approval, Objection
from remediator.core.changes import DecisionRow, Proposal
from remediator.core.explaining import Explanation
from remediator.core.guards import Pause, PauseScope
from remediator.core.ids import PageId, RulebookHash, RunId
from remediator.core.manual import Request
from remediator.core.paging import Page
from remediator.core.ports.store import Store
from remediator.core.rules import Mode
from remediator.core.targets import Target
from remediator.settings import Credentials
from remediator.telemetry import Metrics


class Commands(Protocol):
    """The engine's verbs for people. ``who`` is the name under which the ledger keeps them.

    All raise :class:`~remediator.engine.commands.CommandError` for what can't be carried out.
    """

    async def pause(
        self, scope: PauseScope, value: str, why: str, who: str, length: timedelta | None, name: str = ""
    ) -> Pause: ...

    async def resume(self, scope: PauseScope, value: str, why: str, who: str) -> int:
        """Lift the pauses of exactly this scope and value; gives how many were lifted."""
        ...

    async def lift(self, pause: int, why: str, who: str) -> Pause | None:
        """Lift one pause by its number; ``None`` if it was not in force."""
        ...

    async def clear(self, target: Target, why: str, who: str) -> bool:
        """Lift a target's quarantine; ``False`` if there was none."""
        ...

    async def open_page(self, wanted: str) -> Page:
        """The open page of a run, or with this number."""
        ...

    async def acknowledge(self, page: PageId, why: str, who: str) -> Page | None:
        """Take a page on; ``None`` if it is over, or somebody had taken it on."""
        ...

    async def answer(self, run: RunId, given: Answer) -> Approval | Objection:
        """Approve or deny what a run asks for; an objection says why the answer does not count."""

    def requested(self, rule: str, labels: Mapping[str, str]) -> Target:
        """The target that a rule would be run on for these labels."""
        ...

    async def run(self, id_: str, request: Request) -> AlertKey:
        """Keep a person's request for a run; gives the alert that it is decided as."""
        ...

    async def decided(self, key: AlertKey, within: timedelta) -> DecisionRow | None:
        """The decision on an alert, once it is final; the latest so far after ``within``."""
        ...

    async def explain(self, of: str) -> Explanation:
        """Why a run, an episode, a rule or an alert went as it did.

        Raises:
            NotKnownError: it names none of them.
            SeveralRunsError: several runs' ids begin so.
        """
        ...

    async def reload(self, who: str) -> Proposal:
        """Propose the rule files as they are now.

        Raises:
            RulebookError: they can't be used; the old rulebook stays in force.
        """
        ...


class Alarms(Protocol):
    """Where trouble at the edge goes."""

    def alarm(self, kind: str, detail: str) -> None:
        """Note one alarm and return at once; floods are the receiver's to thin out."""
        ...


class Clicks(Protocol):
    """Slack's buttons: who pressed one, and what only they are told about it."""

    def is_slacks(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether Slack signed this very body, at most five minutes ago."""
        ...

    async def whisper(self, text: str, *, channel: str, user: str, response_url: str) -> None:
        """Tell somebody who clicked, if it can be done; does not raise for what Slack does."""
        ...


class Health(StrEnum):
    """How a dependency, or the whole, is doing."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DependencyHealth:
    """A dependency's answer. ``detail`` is read by anybody who can reach ``/health``: no secrets."""

    status: Health
    detail: str = ""


Probe = Callable[[], Awaitable[DependencyHealth]]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much and how long; times in seconds, sizes in bytes."""

    webhook_bytes: int = 32 * 1024 * 1024
    #: Of webhooks that come in pieces, all that are on their way; small ones come in one and are not counted.
    arriving_bytes: int = 96 * 1024 * 1024
    request_bytes: int = 64 * 1024
    #: Slack sends the whole message along with the click.
    click_bytes: int = 1024 * 1024
    #: For a body to arrive whole.
    arrival: float = 30.0
    #: For the store to keep a webhook; Alertmanager is then told to come again.
    persist: float = 5.0
    #: For an answer of the API.
    answer: float = 20.0
    #: For a click to be answered: Slack waits for three seconds.
    click: float = 2.5
    #: For one probe of ``/health``, and for the store to say that it can write.
    probe: float = 3.0
    #: How long ``/health`` waits for probes before it answers with what it knew.
    patience: float = 0.5
    #: How long what probes found is believed.
    fresh: float = 1.0


@dataclass(frozen=True, slots=True)
class WebDeps:
    """Everything that the HTTP surface stands on.

    ``probes`` gives the dependencies beside the store, which change with the rulebook in force.
    ``clicks`` is ``None`` where no signing secret tells Slack's requests from others'.
    ``rule_files`` tells why the rule files are not the rulebook in force, empty while they are; ``drift`` is
    their hash while another rulebook is.
    """

    store: Store
    commands: Commands
    alarms: Alarms
    metrics: Metrics
    credentials: Credentials
    version: str
    mode: Mode
    probes: Callable[[], Mapping[str, Probe]] = dict
    limits: Limits = field(default_factory=Limits)
    rule_files: Callable[[], str] = str
    drift: Callable[[], RulebookHash | None] = lambda: None
    clicks: Clicks | None = None
