"""The Store port on PostgreSQL: each method is one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import BinaryIO

from remediator.core.alerts import AlertKey
from remediator.core.approvals import Objection
from remediator.core.changes import (
    EVERY_DECISION,
    Asking,
    Backlog,
    BrakeRow,
    Brakes,
    Decided,
    DecisionFilter,
    DecisionRequest,
    DecisionRow,
    EpisodeFilter,
    EpisodeWork,
    Intake,
    Intended,
    IntentRequest,
    Observed,
    OutboxItem,
    Past,
    Proposal,
    RawWebhook,
    ReasonCount,
    Refused,
    Restoration,
    RulebookRow,
    RunChange,
    RunFilter,
    RunRow,
    Unreadable,
)
from remediator.core.episodes import Episode, Sighting
from remediator.core.events import Event
from remediator.core.guards import NO_LOOKBACK, GuardView, Lookback, Pause, PauseScope, Quarantine, Verdict
from remediator.core.ids import EpisodeId, Owner, PageId, RulebookHash, RunId, Token
from remediator.core.inquiries import Inquiry
from remediator.core.leases import ALONE, Demand, Held, Lease, Preempted
from remediator.core.notices import Envelope, Lane
from remediator.core.paging import Page
from remediator.core.ports.channels import RuleFiles
from remediator.core.ports.store import (
    Ask,
    Attend,
    Fold,
    Judge,
    NotCopiedError,
    Reckon,
    Review,
    Settle,
    StoreError,
    StoreUnavailableError,
    Topic,
)
from remediator.core.quiet import Look
from remediator.core.retention import Pruned, Shelf
from remediator.core.runs import Attempt, Run
from remediator.core.targets import Target
from remediator.core.watchdog import Watchdog
from remediator.store.common.codecs import micros
from remediator.store.common.wakers import Wakers
from remediator.store.postgres import (
    abandoning,
    approvals,
    attending,
    brakes,
    controls,
    decisions,
    episodes,
    events,
    guard_views,
    inbox,
    inquiries,
    leases,
    moves,
    outbox,
    pages,
    pruning,
    quiet,
    restoring,
    runs,
    views,
    watchdogs,
)
from remediator.store.postgres.clock import FRESH, ToldTime
from remediator.store.postgres.database import DEADLINE, Database
from remediator.store.postgres.schema import migrate
from remediator.store.postgres.transaction import Lock, Transaction
from remediator.store.postgres.webhooks import Packed, WebhookGroups, pack
from remediator.store.postgres.wire import Wire

#: How long a ledger that is closed waits for a database that does not answer (seconds).
_PATIENCE = 3.0
#: From one look whether another replica has vouched for a failover to the next (seconds).
_LOOK_AGAIN = 0.5
_RELEASE = (
    "UPDATE episodes SET claimed_until = NULL, claimed_by = NULL WHERE claimed_by = $1",
    "UPDATE outbox SET claimed_until = NULL, claimed_by = NULL WHERE claimed_by = $1",
    "DELETE FROM turns WHERE holder = $1",
)


class PostgresStore:
    """The ledger in a PostgreSQL database, for any number of replicas.

    ``url`` is a ``postgresql://`` URI as asyncpg reads it. A call that got no answer within ``deadline``
    raises :class:`StoreUnavailableError`; broken connections, restarts and failovers that end before are
    not noticed by callers. For as long as ``fresh`` after the database told its time, :meth:`now` counts on
    from there instead of asking again; what is compared with the ledger's time never is. Who opens a ledger
    that may have failed over waits for ``vouching`` for a replica that lived through it, which looks at every
    :meth:`check`; without one it was restored.

    Raises:
        StoreError: the URI can't be read.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline: timedelta = DEADLINE,
        fresh: timedelta = FRESH,
        vouching: timedelta = timedelta(seconds=10),
    ) -> None:
        self._wakers = Wakers()
        self._db = Database(url, self._committed, deadline, ToldTime(fresh))
        self._vouching = vouching.total_seconds()
        self._checks = 0
        self._told: frozenset[str] = frozenset()
        self._looking = asyncio.Lock()
        self._webhooks = WebhookGroups(self._save_webhooks)
        self._wire = Wire(self._db.claimer, self._db.connect, self._wakers.wake)

    # The store as a whole.

    async def open(self) -> None:
        await self._db.prepare(migrate)
        await self._db.open()
        await self._recognise()
        # From here on this replica can tell a failover from a restore too.
        await self.check()
        self._wire.open()

    async def _recognise(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._vouching
        settled = False
        while not settled:
            settled = await self._db.write(partial(restoring.look, waits=loop.time() < until), Lock.GUARDS)
            await asyncio.sleep(0 if settled else _LOOK_AGAIN)

    async def close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._webhooks.close()
                await self._give_claims_back()
        await self._wire.close()
        await self._db.close()
        self._wakers.wake(Topic)

    async def _give_claims_back(self) -> None:
        # Those of a replica that can't are over after their time.
        if self._db.is_open:
            with suppress(StoreError):
                await self._db.write(_release_claims)

    def _committed(self, topics: Iterable[Topic]) -> None:
        self._wakers.wake(topics)
        self._wire.tell(topics)

    async def now(self) -> datetime:
        told = self._db.clock.read()
        return await self._db.read(_now) if told is None else told

    async def check(self) -> None:
        last, kept = self._checks, tuple(self._db.kept)
        proof = await self._db.write(partial(restoring.prove_durable, kept=kept))
        self._checks, self._told = proof.before + 1, proof.told
        has_last = proof.whole and proof.before >= last if last or not proof.whole else None
        if proof.moved or has_last is False:
            async with self._looking:
                # What is missing is told of once, however many ask at a time.
                if proof.whole or kept[0] in self._db.kept:
                    await self._db.write(partial(restoring.look, has_last=has_last), Lock.GUARDS)
                if has_last is False:
                    self._db.kept.clear()

    def copy(self) -> AbstractAsyncContextManager[BinaryIO]:
        message = f"the ledger {self._db.shown} is PostgreSQL's to copy: use pg_dump, or its base backups"
        raise NotCopiedError(message)

    async def record(self, events_: Sequence[Event]) -> None:
        await self._db.write(partial(_post, envelopes=(), new_events=events_))

    async def prune(self, shelf: Shelf, age: timedelta, after: int, limit: int) -> Pruned:
        return await self._db.write(partial(pruning.prune, shelf=shelf, age=age, after=after, limit=limit))

    async def take_turn(self, what: str, length: timedelta) -> bool:
        return await self._db.write(partial(_take_turn, what=what, length=length))

    async def wait(self, topic: Topic, timeout: timedelta) -> None:
        await self._wakers.wait(topic, timeout)

    # Inbox.

    async def save_webhook(self, source: str, body: bytes) -> None:
        await self._webhooks.add(source, body)

    async def _save_webhooks(self, packed: list[Packed]) -> None:
        await self._db.write(partial(inbox.save_webhooks, packed=packed))

    async def untaken_webhooks(self, max_bytes: int) -> list[RawWebhook]:
        rows = await self._db.write(partial(inbox.untaken_webhooks, max_bytes=max_bytes))
        return await inbox.unpacked(rows)

    async def take_webhooks(self, intakes: Sequence[Intake], fold: Fold) -> list[Observed]:
        return await self._db.write(partial(inbox.take_webhooks, intakes=intakes, fold=fold), Lock.FOLD)

    async def watchdogs(self) -> tuple[Watchdog, ...]:
        return await self._db.read(watchdogs.watchdogs)

    async def change_watchdog(
        self,
        was: Watchdog,
        becomes: Watchdog,
        events: Sequence[Event] = (),
        envelopes: Sequence[Envelope] = (),
    ) -> bool:
        work = partial(
            watchdogs.change_watchdog, was=was, becomes=becomes, events=events, envelopes=envelopes
        )
        return await self._db.write(work)

    async def due_inquiries(self, limit: int, claim: timedelta) -> list[Inquiry]:
        return await self._db.write(partial(inquiries.due_inquiries, limit=limit, claim=claim))

    async def settle_inquiry(
        self, inquiry: Inquiry, body: bytes | None, again: timedelta | None, events: Sequence[Event] = ()
    ) -> None:
        told = [] if body is None else [(inquiry.source, body)]
        packed = await asyncio.to_thread(pack, told)
        await self._db.write(
            partial(inbox.settle_inquiry, inquiry=inquiry, packed=packed, again=again, events=events)
        )

    async def quiet_episodes(self, ask_after: timedelta, after: EpisodeId, limit: int) -> list[Episode]:
        return await self._db.read(
            partial(quiet.quiet_episodes, ask_after=ask_after, after=after, limit=limit)
        )

    async def review(self, looks: Sequence[Look], review: Review) -> Mapping[Sighting, int]:
        return await self._db.write(partial(quiet.review, looks=looks, fold=review), Lock.FOLD)

    async def undecided(self, limit: int, claim: timedelta, *, for_facts: bool = False) -> list[EpisodeWork]:
        work = partial(decisions.undecided, limit=limit, claim=claim, for_facts=for_facts)
        return await self._db.write(work)

    async def wait_for_facts(self, episodes: Sequence[EpisodeId]) -> None:
        await self._db.write(partial(decisions.wait_for_facts, episodes=episodes))

    async def decide(self, requests: Sequence[DecisionRequest], judge: Judge) -> list[Decided]:
        return await self._db.write(partial(decisions.decide, requests=requests, judge=judge), Lock.GUARDS)

    # Runs.

    async def runnable(self, limit: int, leaving: Sequence[RunId] = ()) -> list[RunId]:
        return await self._db.read(partial(runs.runnable, limit=limit, leaving=leaving))

    async def run(self, run: RunId) -> Run | None:
        return await self._db.read(partial(runs.run_by_id, run=run))

    async def attempt_in_doubt(self, run: RunId) -> Attempt | None:
        return await self._db.read(partial(runs.attempt_in_doubt, run=run))

    async def episodes_of(self, run: RunId, after: int = 0, limit: int | None = None) -> tuple[Episode, ...]:
        work = partial(episodes.episodes_of_run, run=run, after=after, limit=limit)
        return await self._db.read(work)

    async def acquire(self, run: RunId, owner: Owner, ttl: timedelta, demand: Demand = ALONE) -> Lease | Held:
        return await self._db.write(partial(leases.acquire, run=run, owner=owner, ttl=ttl, demand=demand))

    async def renew(self, lease: Lease, ttl: timedelta) -> Lease | Preempted | None:
        return await self._db.write(partial(leases.renew, lease=lease, ttl=ttl))

    async def release(self, lease: Lease) -> None:
        await self._db.write(partial(leases.release, lease=lease))

    async def advance(self, token: Token | None, change: RunChange) -> Refused | None:
        return await self._db.write(
            partial(moves.advance, token=token, change=change), Lock.GUARDS, shared=True
        )

    async def answer(self, run: RunId, settle: Settle) -> RunChange | Objection | None:
        work = partial(moves.answer, run=run, settle=settle)
        return await self._db.write(work, Lock.GUARDS, shared=True)

    async def asking(self) -> list[Asking]:
        return await self._db.read(approvals.asking)

    async def intend(
        self,
        token: Token,
        request: IntentRequest,
        ask: Ask,
        change: Callable[[GuardView, Verdict], RunChange],
    ) -> Intended | Refused | Preempted:
        async def work(transaction: Transaction) -> Intended | Refused | Preempted:
            await restoring.require(transaction, tuple(self._db.kept), self._told)
            return await moves.intend(transaction, token, request, ask, change)

        try:
            return await self._db.write(work, Lock.GUARDS)
        except restoring.ElsewhereError:
            await self.check()
        try:
            return await self._db.write(work, Lock.GUARDS)
        except restoring.ElsewhereError as error:
            message = f"the ledger {self._db.shown} is not what it was a moment ago"
            raise StoreUnavailableError(message) from error

    async def abandon(
        self, run: RunId, overdue: timedelta, why: str, envelopes: Sequence[Envelope] = ()
    ) -> bool:
        work = partial(abandoning.abandon, run=run, overdue=overdue, why=why, envelopes=envelopes)
        return await self._db.write(work, Lock.GUARDS, shared=True)

    async def view(self, run: Run, lookback: Lookback = NO_LOOKBACK) -> GuardView:
        return await self._db.read(partial(moves.view_for, run=run, lookback=lookback))

    # Controls.

    async def pause(
        self, scope: PauseScope, value: str, why: str, who: str, length: timedelta | None, name: str = ""
    ) -> Pause:
        work = partial(controls.pause, scope=scope, value=value, why=why, who=who, length=length, name=name)
        return await self._db.write(work, Lock.GUARDS)

    async def resume(self, scope: PauseScope, value: str, why: str, who: str) -> int:
        return await self._db.write(
            partial(controls.resume, scope=scope, value=value, why=why, who=who), Lock.GUARDS
        )

    async def lift(self, pause: int, why: str, who: str) -> Pause | None:
        return await self._db.write(partial(controls.lift, pause=pause, why=why, who=who), Lock.GUARDS)

    async def remind(self, pause: Pause, reminded: int, envelopes: Sequence[Envelope]) -> bool:
        work = partial(controls.remind, pause=pause, reminded=reminded, envelopes=envelopes)
        return await self._db.write(work)

    async def pauses(self) -> tuple[Pause, ...]:
        return await self._db.read(controls.pauses_in_force)

    async def engage_brake(self, reckon: Reckon, lookback: timedelta) -> tuple[Pause, ...]:
        work = partial(guard_views.engage_brake, reckon=reckon, lookback=lookback)
        return await self._db.write(work, Lock.GUARDS)

    async def brakes(self, window: timedelta) -> Brakes:
        return await self._db.read(partial(brakes.brakes, window=window))

    async def tell_brake(self, brake: BrakeRow, envelopes: Sequence[Envelope]) -> bool:
        work = partial(brakes.tell, brake=brake, envelopes=envelopes)
        return await self._db.write(work)

    async def restorations(self) -> list[Restoration]:
        return await self._db.read(restoring.restorations)

    async def tell_restoration(self, restoration: Restoration, envelopes: Sequence[Envelope]) -> bool:
        work = partial(restoring.tell, restoration=restoration, envelopes=envelopes)
        return await self._db.write(work)

    async def quarantines(self) -> tuple[Quarantine, ...]:
        return await self._db.read(controls.quarantines)

    async def clear_quarantine(self, target: Target, why: str, who: str) -> bool:
        return await self._db.write(
            partial(controls.clear_quarantine, target=target, why=why, who=who), Lock.GUARDS
        )

    async def propose_rulebook(
        self, files: RuleFiles, expected: RulebookHash | None, *, forced: bool
    ) -> Proposal:
        work = partial(controls.propose_rulebook, proposed=files, expected=expected, forced=forced)
        return await self._db.write(work, Lock.GUARDS)

    async def active_hash(self) -> RulebookHash | None:
        return await self._db.read(controls.active_hash)

    async def active_rulebook(self) -> RulebookRow | None:
        return await self._db.read(controls.active_rulebook)

    async def rulebook(self, hash_: RulebookHash) -> RulebookRow | None:
        return await self._db.read(partial(controls.rulebook, hash_=hash_))

    # Outbox.

    async def post(self, envelopes: Sequence[Envelope], events: Sequence[Event] = ()) -> None:
        await self._db.write(partial(_post, envelopes=envelopes, new_events=events))

    async def due_envelopes(self, lane: Lane, limit: int, claim: timedelta) -> list[OutboxItem]:
        return await self._db.write(partial(outbox.due_envelopes, lane=lane, limit=limit, claim=claim))

    async def hold(self, item: OutboxItem, claim: timedelta) -> bool:
        return await self._db.write(partial(outbox.hold, item=item, claim=claim))

    async def sent(self, item: OutboxItem, ref: str) -> None:
        await self._db.write(partial(outbox.sent, item=item, ref=ref))

    async def delay(self, item: OutboxItem, wait: timedelta, error: str) -> None:
        await self._db.write(partial(outbox.delay, item=item, wait=wait, error=error))

    async def park(self, item: OutboxItem, error: str) -> None:
        await self._db.write(partial(outbox.park, item=item, error=error))

    # Pages.

    async def attend_pages(self, attend: Attend, limit: int) -> int:
        if not await self._db.read(attending.any_due):
            return 0
        return await self._db.write(partial(attending.attend_pages, judge=attend, limit=limit))

    async def attend_page(self, page: PageId, attend: Attend) -> bool:
        return await self._db.write(partial(attending.attend_page, page=page, judge=attend))

    async def open_pages(self) -> tuple[Page, ...]:
        return await self._db.read(pages.open_pages)

    # Views.

    async def history(self, wanted: RunFilter) -> list[Run]:
        return await self._db.read(partial(views.history, wanted=wanted))

    async def run_row(self, prefix: str) -> list[RunRow]:
        return await self._db.read(partial(views.run_rows, prefix=prefix))

    async def decisions(
        self, limit: int, before: int | None = None, wanted: DecisionFilter = EVERY_DECISION
    ) -> list[DecisionRow]:
        find = partial(decisions.decisions_before, limit=limit, before=before, wanted=wanted)
        return await self._db.read(find)

    async def decision_counts(self, rules: frozenset[str]) -> list[ReasonCount]:
        return await self._db.read(partial(decisions.decision_counts, rules=rules))

    async def episodes(self, wanted: EpisodeFilter) -> list[Episode]:
        return await self._db.read(partial(episodes.episodes, wanted=wanted))

    async def past_episodes(self, since: datetime | None, before: EpisodeId | None, limit: int) -> Past:
        find = partial(decisions.past_episodes, since=since, before=before, limit=limit)
        return await self._db.read(find)

    async def decisions_on(self, key: AlertKey) -> list[DecisionRow]:
        return await self._db.read(partial(decisions.decisions_on, key=key))

    async def events(self, after: int, limit: int) -> list[Event]:
        return await self._db.read(partial(events.events_after, after=after, limit=limit))

    async def backlog(self) -> Backlog:
        return await self._db.read(views.backlog)

    async def unreadable(self) -> tuple[Unreadable, ...]:
        return await self._db.read(views.unreadable)


async def _now(transaction: Transaction) -> datetime:
    return transaction.now


async def _take_turn(transaction: Transaction, what: str, length: timedelta) -> bool:
    taken = await transaction.run(
        "INSERT INTO turns (what, holder, until) VALUES ($1, $2, $3) ON CONFLICT (what) DO UPDATE"
        " SET holder = excluded.holder, until = excluded.until WHERE turns.until <= $4",
        what,
        transaction.claimer,
        micros(transaction.now + length),
        transaction.micros,
    )
    return bool(taken)


async def _post(transaction: Transaction, envelopes: Sequence[Envelope], new_events: Sequence[Event]) -> None:
    await outbox.post(transaction, envelopes)
    transaction.append_events(new_events)


async def _release_claims(transaction: Transaction) -> None:
    for statement in _RELEASE:
        await transaction.run(statement, transaction.claimer)
