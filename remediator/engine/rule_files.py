"""Rule files that change while the daemon runs."""

from __future__ import annotations

from contextlib import suppress

from remediator.core.ports.channels import RulebookError, RuleWatch
from remediator.core.ports.store import Topic
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts


class RuleFilesLoop(Loop):
    """Proposes the rule files each time that they changed; what the ledger missed is proposed again."""

    name = "rule files"
    topic = Topic.RULEBOOK

    def __init__(self, parts: EngineParts, watch: RuleWatch) -> None:
        super().__init__(parts.store, parts.metrics)
        self._rulebooks = parts.rulebooks
        self._watch = watch
        self._changed = False

    async def work(self) -> bool:
        if not self._changed:
            await self._watch.changed()
            self._changed = True
        with suppress(RulebookError):  # it is told, and the next change may mend it
            await self._rulebooks.follow()
        self._changed = False
        return True
