"""Commands: the verbs that people have, checked before they are written down."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches

from remediator.core.alerts import AlertKey
from remediator.core.approvals import NOTHING_ASKED, Answer, Approval, Objection
from remediator.core.changes import DecisionRow, Proposal, RunChange
from remediator.core.coverage import kinds_concerned
from remediator.core.decide import DecisionKind
from remediator.core.explaining import Explanation
from remediator.core.guards import Pause, PauseScope
from remediator.core.ids import PageId, RunId
from remediator.core.manual import SOURCE, Request
from remediator.core.paging import Page, PageChange, PageView, acknowledge
from remediator.core.ports.store import Store
from remediator.core.rules import Mode, Rule
from remediator.core.targets import KINDS, Target, TargetError, parse_target
from remediator.core.templates import TemplateError
from remediator.engine.answers import Answers
from remediator.engine.explaining import Explainer
from remediator.engine.manual import keep, preview
from remediator.engine.rulebooks import Rulebooks

#: How often it is looked for a decision that a person waits for, in seconds.
_LOOK = 0.1


class CommandError(ValueError):
    """The command can't be carried out; the message says why and what to type instead."""


@dataclass(frozen=True, slots=True)
class Commands:
    """What the API and the command line may do to a running daemon.

    ``acted_on`` are the kinds of targets that its actions act on, ``mode`` is the daemon's.
    """

    store: Store
    rulebooks: Rulebooks
    answers: Answers
    acted_on: frozenset[str] = KINDS
    mode: Mode = Mode.OBSERVE

    async def explain(self, of: str) -> Explanation:
        """Why a run, an episode, a rule or an alert went as it did.

        Raises:
            NotKnownError: it names none of them.
            SeveralRunsError: several runs' ids begin so.
        """
        return await Explainer(self.store, self.rulebooks, self.mode).explain(of)

    async def pause(
        self, scope: PauseScope, value: str, why: str, who: str, length: timedelta | None, name: str = ""
    ) -> Pause:
        """Stop automation for everything, a rule or a target, until ``length`` is over or it is resumed.

        Pauses stack: each is lifted by itself. People are reminded of one that has no end.

        Raises:
            CommandError: no reason is given, or there is no such rule or target.
        """
        if not why.strip():
            message = "say why: whoever is on call next has to know"
            raise CommandError(message)
        if length is not None and length <= timedelta(0):
            message = "the pause has to be longer than nothing"
            raise CommandError(message)
        return await self.store.pause(
            scope, self._checked(scope, value), why.strip(), who, length, name.strip()
        )

    async def resume(self, scope: PauseScope, value: str, why: str, who: str) -> int:
        """Lift the pauses of exactly this scope and value; gives how many there were.

        Those of a rule are lifted whatever of its names they were made by.
        """
        lifted = 0
        for paused in self._paused(scope, value):
            lifted += await self.store.resume(scope, paused, why.strip(), who)
        return lifted

    async def lift(self, pause: int, why: str, who: str) -> Pause | None:
        """Lift one pause by its number; ``None`` if it was not in force."""
        return await self.store.lift(pause, why.strip(), who)

    def _paused(self, scope: PauseScope, value: str) -> list[str]:
        rule = self.rulebooks.active.rulebook.rule(value) if scope is PauseScope.RULE else None
        return sorted(rule.names) if rule else [_as_paused(scope, value)]

    async def clear(self, target: Target, why: str, who: str) -> bool:
        """Lift a target's quarantine in a person's name; ``False`` if there was none.

        Raises:
            CommandError: no reason is given.
        """
        if not why.strip():
            message = "say why: what proves that the target is in order?"
            raise CommandError(message)
        return await self.store.clear_quarantine(target, why.strip(), who)

    async def open_page(self, wanted: str) -> Page:
        """The open page of a run, by its id or the beginning of it, or with this number.

        Raises:
            CommandError: there is none, or more than one.
        """
        pages = await self.store.open_pages()
        found = [each for each in pages if wanted in (str(each.id), each.call.run)]
        if not found:
            found = [each for each in pages if each.call.run and each.call.run.startswith(wanted)]
        if len(found) == 1:
            return found[0]
        open_ = ", ".join(str(each.call.run or each.id) for each in found or pages) or "none"
        message = f"{'several pages match' if found else 'no open page is of'} {wanted!r}: there are {open_}"
        raise CommandError(message)

    async def acknowledge(self, page: PageId, why: str, who: str) -> Page | None:
        """Take a page on in somebody's name: nobody else is called. ``None`` if it is over, or was taken."""
        taken: list[Page] = []

        def attend(open_: Page, view: PageView) -> PageChange | None:
            change = acknowledge(open_, who, why.strip(), view.now)
            taken[:] = [] if change is None else [change.page]
            return change

        await self.store.attend_page(page, attend)
        return taken[0] if taken else None

    async def answer(self, run: RunId, given: Answer) -> Approval | Objection:
        """Approve or deny what a run asks for, in a person's name, unless an objection says why not."""
        found = await self.answers.give(run, given)
        if isinstance(found, RunChange) and found.approval is not None:
            return found.approval
        return found if isinstance(found, Objection) else NOTHING_ASKED

    def requested(self, rule: str, labels: Mapping[str, str]) -> Target:
        """The target that a rule would be run on for these labels.

        Raises:
            CommandError: there is no such rule, or these labels make no target.
        """
        try:
            found = self._rule(rule)
            return found.target.render(preview(found, labels))
        except (TemplateError, TargetError) as error:
            message = f"the target of {rule} can't be made from these labels: {error}"
            raise CommandError(message) from None

    async def run(self, id_: str, request: Request) -> AlertKey:
        """Keep a person's request for a run; gives the alert that it is decided as. Asked twice, it is one.

        Raises:
            CommandError: no reason is given, the rule is none, or the labels make no target.
        """
        if not request.why.strip():
            message = "say why: it is what others will read of this run"
            raise CommandError(message)
        self.requested(request.rule, request.labels)
        return AlertKey(SOURCE, await keep(self.store, id_, request))

    async def decided(self, key: AlertKey, within: timedelta) -> DecisionRow | None:
        """The decision on an alert, once there is one that is final; the latest so far after ``within``."""
        until, made = asyncio.get_running_loop().time() + within.total_seconds(), None
        while made is None or made.decision.kind is DecisionKind.DEFER:
            rows = await self.store.decisions_on(key)
            made = rows[-1] if rows else None
            if asyncio.get_running_loop().time() >= until:
                break
            await asyncio.sleep(_LOOK)
        return made

    async def reload(self, who: str) -> Proposal:
        """Put the rule files as they are now in force.

        Raises:
            RulebookError: they can't be used; the old rulebook stays in force.
        """
        return await self.rulebooks.reload(who)

    def _checked(self, scope: PauseScope, value: str) -> str:
        if scope is PauseScope.ALL:
            return ""
        if scope is PauseScope.TARGET:
            return str(self._checked_target(value))
        return self._rule(value).name

    def _rule(self, name: str) -> Rule:
        rules = {rule.name: rule for rule in self.rulebooks.active.rulebook.rules}
        if name not in rules:
            near = get_close_matches(name, rules, 1)
            meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(rules) or 'none'}"
            message = f"there is no rule {name!r}{meant}"
            raise CommandError(message)
        return rules[name]

    def _checked_target(self, value: str) -> Target:
        try:
            target = parse_target(value)
        except TargetError as error:
            raise CommandError(str(error)) from None
        concerned = kinds_concerned(self.acted_on, self.rulebooks.active.rulebook.databases)
        if target.kind not in concerned:
            kinds = ", ".join(sorted(concerned))
            message = (
                f"nothing acts on a {target.kind}, so that there is nothing to pause: give one of {kinds}"
            )
            raise CommandError(message)
        return target


def _as_paused(scope: PauseScope, value: str) -> str:
    """A target as :meth:`Commands.pause` wrote it; what is gone from the rules can still be resumed."""
    if scope is not PauseScope.TARGET:
        return value
    try:
        return str(parse_target(value))
    except TargetError:
        return value
