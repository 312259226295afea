"""Recovery: a quarantined target is looked at again and again, until a probe proves what happened (law 4)."""

from __future__ import annotations

import asyncio

import structlog

from remediator.core.changes import RunRow
from remediator.core.guards import Quarantine
from remediator.core.leases import Held, Lease
from remediator.core.notices import Envelope, Notice, NoticeKind, Tone
from remediator.core.ports.actions import Sighting
from remediator.core.ports.store import Topic
from remediator.core.rules import Rulebook
from remediator.engine.acting import Acting
from remediator.engine.driver import values_of
from remediator.engine.facts import Facts
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts

_log = structlog.get_logger(__name__)
_EVERY = 20.0


class RecoveryLoop(Loop):
    """Probes quarantined targets. Only proof lifts a quarantine here; a person may lift it by `clear`."""

    name = "recovery"
    topic = Topic.RUNS

    def __init__(self, parts: EngineParts) -> None:
        super().__init__(parts.store, parts.metrics)
        self._parts = parts
        self._acting = Acting(parts.actions)
        self._facts = Facts(parts.store, parts.checks)

    async def work(self) -> bool:
        await asyncio.sleep(_EVERY)
        for quarantine in await self.store.quarantines():
            try:
                await self._look(quarantine)
            except Exception:  # noqa: BLE001 - one target that can't be looked at never stops the others
                _log.exception("quarantined target not looked at", target=str(quarantine.target))
        return True

    async def _look(self, quarantine: Quarantine) -> None:
        row = (await self.store.run_row(quarantine.run))[0]
        lease = await self.store.acquire(row.run.id, self._parts.owner, self._parts.lease_ttl)
        if isinstance(lease, Held):
            return
        try:
            proof = await self._proof(quarantine, row, lease)
        finally:
            await self.store.release(lease)
        if proof is not None and await self.store.clear_quarantine(quarantine.target, proof, "remediator"):
            await self.store.post(await self._told(row, proof))

    async def _proof(self, quarantine: Quarantine, row: RunRow, lease: Lease) -> str | None:
        attempt = next((one for one in row.attempts if one.id == quarantine.attempt), None)
        if attempt is None:
            return await self._proof_by_checks(row)
        probe = await self._acting.probe(row.run, attempt, lease.token, await self.store.now())
        if probe.sighting is Sighting.UNPROVABLE:
            return None
        return f"probe of {attempt.id}: {probe.sighting.value.replace('_', ' ')}: {probe.detail}"

    async def _proof_by_checks(self, row: RunRow) -> str | None:
        """A run that ended without evidence is proven when every check of its proof says yes after all."""
        book = await self._book(row)
        rule = book.rule(row.run.rule) if book else None
        if rule is None or rule.verify is None:
            return None
        values = values_of(row.run, row.episodes)
        facts = await self._facts.look_at_all(rule.verify.checks, row.run.target, row.episodes, values)
        if not facts or not all(fact.holds for fact in facts):
            return None
        return "; ".join(f"{fact.check} {fact.answer.said.value} ({fact.answer.detail})" for fact in facts)

    async def _book(self, row: RunRow) -> Rulebook | None:
        return await self._parts.rulebooks.pinned(row.run.rulebook)

    async def _told(self, row: RunRow, proof: str) -> list[Envelope]:
        book = await self._book(row) or self._parts.rulebooks.active.rulebook
        notice = Notice(
            NoticeKind.ALARM,
            title=f"{row.run.target}: quarantine lifted by proof",
            tone=Tone.GOOD,
            severity=row.run.severity,
            summary=proof,
            run=row.run.id,
            commands=(f"remediator explain {row.run.id}",),
            final=True,
        )
        channels = book.report_to(book.rule(row.run.rule))
        return [Envelope(channel, f"run:{row.run.id}", notice) for channel in channels]
