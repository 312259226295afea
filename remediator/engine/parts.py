"""What the engine is given: the ledger, the world's actions and checks, and how this replica is set up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from remediator.core.ids import Owner
from remediator.core.paging import Audience
from remediator.core.ports.actions import Action, Check
from remediator.core.ports.alertmanagers import Alertmanagers
from remediator.core.ports.channels import RuleWatch
from remediator.core.ports.heartbeat import Heartbeat
from remediator.core.ports.places import Places
from remediator.core.ports.store import Store
from remediator.core.rules import Mode, Rule, Rulebook
from remediator.core.targets import Target
from remediator.engine.rulebooks import Rulebooks
from remediator.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class EngineParts:
    """Everything that deciding and running needs.

    ``lease_ttl`` bounds how long a dead replica holds a target. ``pager`` says whether PagerDuty is set up.
    ``approvers`` names those who may approve what is done to a target. ``sources`` are those that may still
    post; ``None`` is any. ``heartbeat`` is there if somebody outside waits for one. Without a ``rule_watch``
    changed rule files are taken up when somebody asks for it.
    """

    store: Store
    rulebooks: Rulebooks
    actions: Mapping[str, Action]
    checks: Mapping[str, Check]
    places: Places
    alertmanagers: Alertmanagers
    metrics: Metrics
    owner: Owner
    mode: Mode
    lease_ttl: timedelta
    pager: bool = False
    approvers: Callable[[Target], tuple[str, ...]] = lambda _target: ()
    sources: frozenset[str] | None = None
    heartbeat: Heartbeat | None = None
    rule_watch: RuleWatch | None = None

    @property
    def claim(self) -> timedelta:
        """How long work that the ledger handed to this replica is kept from others, should it die.

        Short enough that what a dead replica had in hand soon follows its runs, and so long that one which
        was stopped for a moment does not do it a second time.
        """
        return 2 * self.lease_ttl

    def audience(self, book: Rulebook, rule: Rule | None) -> Audience:
        """Who hears of a rule's doings; without one, of what no rule answers for."""
        return Audience(book.report_to(rule), self.pager, book.chain_of(rule))
