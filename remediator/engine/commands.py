"""Commands: the verbs that people have, checked before they are written down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches

from remediator.core.changes import Proposal
from remediator.core.guards import Pause, PauseScope
from remediator.core.ports.store import Store
from remediator.core.targets import TargetError, parse_target
from remediator.engine.rulebooks import Rulebooks


class CommandError(ValueError):
    """The command can't be carried out; the message says why and what to type instead."""


@dataclass(frozen=True, slots=True)
class Commands:
    """What the API and the command line may do to a running daemon."""

    store: Store
    rulebooks: Rulebooks

    async def pause(
        self, scope: PauseScope, value: str, why: str, who: str, length: timedelta | None
    ) -> Pause:
        """Stop automation for everything, a rule or a target, until ``length`` is over or it is resumed.

        Raises:
            CommandError: no reason is given, or there is no such rule or target.
        """
        if not why.strip():
            message = "say why: whoever is on call next has to know"
            raise CommandError(message)
        if length is not None and length <= timedelta(0):
            message = "the pause has to be longer than nothing"
            raise CommandError(message)
        return await self.store.pause(scope, self._checked(scope, value), why.strip(), who, length)

    async def resume(self, scope: PauseScope, value: str, why: str, who: str) -> int:
        """Lift the pauses of this scope and value; gives how many there were.

        Raises:
            CommandError: nothing of the kind is paused; the message says what is.
        """
        text = str(parse_target(value)) if scope is PauseScope.TARGET and _is_target(value) else value
        lifted = await self.store.resume(scope, text, why.strip(), who)
        if not lifted:
            paused = [f"{one.scope.value} {one.value}".strip() for one in await self.store.pauses()]
            message = f"nothing like that is paused; paused are: {', '.join(paused) or 'nothing'}"
            raise CommandError(message)
        return lifted

    async def clear(self, target: str, why: str, who: str) -> None:
        """Lift a target's quarantine in a person's name.

        Raises:
            CommandError: the target is none, is not quarantined, or no reason is given.
        """
        if not why.strip():
            message = "say why: what proves that the target is in order?"
            raise CommandError(message)
        try:
            cleared = await self.store.clear_quarantine(parse_target(target), why.strip(), who)
        except TargetError as error:
            raise CommandError(str(error)) from None
        if not cleared:
            held = ", ".join(str(one.target) for one in await self.store.quarantines())
            message = f"{target} is not quarantined; quarantined are: {held or 'none'}"
            raise CommandError(message)

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
            try:
                return str(parse_target(value))
            except TargetError as error:
                raise CommandError(str(error)) from None
        names = [rule.name for rule in self.rulebooks.active.rulebook.rules]
        if value not in names:
            near = get_close_matches(value, names, 1)
            meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names) or 'none'}"
            message = f"there is no rule {value!r}{meant}"
            raise CommandError(message)
        return value


def _is_target(text: str) -> bool:
    try:
        parse_target(text)
    except TargetError:
        return False
    return True
