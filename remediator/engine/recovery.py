"""Recovery: a quarantined target is looked at again and again, until a probe proves what happened (law 4)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import structlog

from remediator.core.changes import RunRow
from remediator.core.checks import Fact
from remediator.core.guards import Quarantine
from remediator.core.leases import Held
from remediator.core.notices import Envelope, Notice, NoticeKind, Tone
from remediator.core.ports.actions import Sighting
from remediator.core.ports.store import StoreError, Topic
from remediator.core.rules import Rulebook, Verify
from remediator.core.runs import Attempt
from remediator.core.targets import Target
from remediator.engine.acting import Acting, values_of
from remediator.engine.coverage import Coverer
from remediator.engine.facts import Facts, of_run
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts
from remediator.engine.proof import Proof, Proven

_log = structlog.get_logger(__name__)
_EVERY = 20.0
#: What a proof may take beyond the time for which it has to hold.
_SLACK = timedelta(seconds=10)


class RecoveryLoop(Loop):
    """Probes quarantined targets, each in a task of its own, so that a slow one never holds up the others.

    Only proof lifts a quarantine here; a person may lift it by `clear`.
    """

    name = "recovery"
    topic = Topic.RUNS

    def __init__(self, parts: EngineParts) -> None:
        super().__init__(parts.store, parts.metrics)
        self._parts = parts
        self._acting = Acting(parts.actions)
        self._coverer = Coverer(parts.actions, parts.places)
        self._facts = Facts(parts.store, parts.checks)
        self._looking: dict[Target, asyncio.Task[None]] = {}

    async def work(self) -> bool:
        await asyncio.sleep(_EVERY)
        for quarantine in await self.store.quarantines():
            if quarantine.target not in self._looking:
                self._look_beside(quarantine)
        return True

    async def close(self) -> None:
        """Stop looking; the targets stay quarantined."""
        for task in self._looking.values():
            task.cancel()
        await asyncio.gather(*self._looking.values(), return_exceptions=True)

    def _look_beside(self, quarantine: Quarantine) -> None:
        task = asyncio.create_task(self._look(quarantine))
        self._looking[quarantine.target] = task
        task.add_done_callback(lambda _: self._looking.pop(quarantine.target, None))

    async def _look(self, quarantine: Quarantine) -> None:
        try:
            row = (await self.store.run_row(quarantine.run))[0]
            proof = await self._proof(quarantine, row)
            if proof is not None:
                await self._lift(quarantine, row, proof)
        except StoreError as error:
            self.metrics.store_failed()
            _log.error("quarantined target not looked at", target=str(quarantine.target), error=str(error))
        except Exception:  # noqa: BLE001 - one target that can't be looked at never stops the others
            _log.exception("quarantined target not looked at", target=str(quarantine.target))

    async def _lift(self, quarantine: Quarantine, row: RunRow, proof: str) -> None:
        """Unless, while we looked, a person cleared it and it was quarantined for something else."""
        if quarantine not in await self.store.quarantines():
            return
        if await self.store.clear_quarantine(quarantine.target, proof, "remediator"):
            await self.store.post(await self._told(row, proof))

    async def _proof(self, quarantine: Quarantine, row: RunRow) -> str | None:
        attempt = next((one for one in row.attempts if one.id == quarantine.attempt), None)
        return await (self._proof_by_checks(row) if attempt is None else self._proof_by_probe(row, attempt))

    async def _proof_by_probe(self, row: RunRow, attempt: Attempt) -> str | None:
        books = (await self._book(row), self._parts.rulebooks.active.rulebook)
        coverage = await self._coverer.coverage(row.run.target, None, filter(None, books))
        lease = await self.store.acquire(
            row.run.id, self._parts.owner, self._parts.lease_ttl, coverage.demand
        )
        if isinstance(lease, Held):
            return None
        try:
            probe = await self._acting.probe(row.run, attempt, lease.token, await self.store.now())
        finally:
            await self.store.release(lease)
        if probe.sighting is Sighting.UNPROVABLE:
            return None
        return f"probe of {attempt.id}: {probe.sighting.value.replace('_', ' ')}: {probe.detail}"

    async def _proof_by_checks(self, row: RunRow) -> str | None:
        """A run that ended without evidence is proven when its proof holds after all, for as long as it must.

        It only reads, and so needs no lease.
        """
        book = await self._book(row)
        rule = book.rule(row.run.rule) if book else None
        if rule is None or rule.verify is None:
            return None
        values = values_of(rule, row.run, row.episodes)
        concerned = of_run(self.store, row.run.id)
        facts = await self._facts.look_at_all(rule.verify.checks, row.run.target, concerned, values)
        if not facts or not all(fact.holds for fact in facts):
            return None
        return await self._watched(row, rule.verify, values)

    async def _watched(self, row: RunRow, verify: Verify, values: dict[str, object]) -> str | None:
        within = verify.stable_for + _SLACK
        deadline = await self.store.now() + within
        anew = replace(row.run, verifying_since=None, deadline_at=deadline)
        proof = Proof(self.store, self._facts, _untold)
        finding = await proof.watch(
            anew,
            replace(verify, within=within),
            of_run(self.store, row.run.id),
            values,
            asyncio.Event(),
        )
        return finding.detail if finding.verdict is Proven.PROVEN else None

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


async def _untold(_fact: Fact) -> None:
    """Each look at a quarantined target is no news; only what it comes to is."""
