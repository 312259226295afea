"""The Store port on SQLite: each method queues its work for the writer's thread and waits for the commit."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
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
from remediator.core.ports.store import Ask, Attend, Fold, Judge, Reckon, Review, Settle, StoreError, Topic
from remediator.core.quiet import Look
from remediator.core.retention import Pruned, Shelf
from remediator.core.runs import Attempt, Run
from remediator.core.targets import Target
from remediator.core.watchdog import Watchdog
from remediator.store.common.codecs import micros
from remediator.store.common.wakers import Wakers
from remediator.store.sqlite import (
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
from remediator.store.sqlite.clock import StoreClock
from remediator.store.sqlite.copying import prefix
from remediator.store.sqlite.transaction import Transaction
from remediator.store.sqlite.writer import Executor, Wake, Writer


def _wall() -> datetime:
    return datetime.now(UTC)


class SqliteStore:
    """The ledger in one file, for one process.

    ``jump_wait`` is how long nothing is begun after the wall clock jumped: a lease's time to live.
    ``clock`` gives aware times, ``monotonic`` seconds; who replaces one replaces both. ``executor`` makes
    what runs the transactions, of the path, the store's clock and whom to wake of what was committed;
    ``wakers`` decide how long those wait whom nothing wakes.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        jump_wait: timedelta = timedelta(seconds=15),
        clock: Callable[[], datetime] = _wall,
        monotonic: Callable[[], float] = time.monotonic,
        executor: Callable[[Path, StoreClock, Wake], Executor] = Writer,
        wakers: Wakers | None = None,
    ) -> None:
        self._wakers = wakers or Wakers()
        self._copying = asyncio.Lock()
        self._clock = StoreClock(clock, monotonic, jump_wait)
        self._path = Path(path)
        self._writer = executor(self._path, self._clock, self._wakers.wake)

    # The store as a whole.

    async def open(self) -> None:
        await self._writer.open()
        await self._writer.submit(partial(restoring.look, seen=self._writer.seen()))

    async def close(self) -> None:
        with suppress(StoreError):
            await self._prove()
        await self._writer.close()
        self._wakers.wake(Topic)

    async def now(self) -> datetime:
        return self._writer.now()

    async def check(self) -> None:
        await self._prove()

    async def _prove(self) -> None:
        self._writer.saw(await self._writer.submit(_prove_durable))

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[BinaryIO]:
        # One at a time: each takes as much of the disk as the ledger does.
        async with self._copying:
            with tempfile.NamedTemporaryFile(dir=self._path.parent, prefix=prefix(self._path)) as file:
                await self._writer.copy(Path(file.name))
                yield file  # type: ignore[misc]  # typeshed knows it as a wrapper

    async def record(self, events_: Sequence[Event]) -> None:
        await self._writer.submit(partial(events.append_events, events=events_))

    async def prune(self, shelf: Shelf, age: timedelta, after: int, limit: int) -> Pruned:
        work = partial(pruning.prune, shelf=shelf, age=age, after=after, limit=limit)
        return await self._writer.submit(work)

    async def take_turn(self, what: str, length: timedelta) -> bool:
        return await self._writer.submit(partial(_take_turn, what=what, length=length))

    async def wait(self, topic: Topic, timeout: timedelta) -> None:
        await self._wakers.wait(topic, timeout)

    # Inbox.

    async def save_webhook(self, source: str, body: bytes) -> None:
        save = partial(inbox.save_webhook, source=source, body=body)
        await self._writer.submit(save, len(body), urgent=True)

    async def untaken_webhooks(self, max_bytes: int) -> list[RawWebhook]:
        return await self._writer.submit(partial(inbox.untaken_webhooks, max_bytes=max_bytes))

    async def take_webhooks(self, intakes: Sequence[Intake], fold: Fold) -> list[Observed]:
        return await self._writer.submit(partial(inbox.take_webhooks, intakes=intakes, fold=fold))

    async def watchdogs(self) -> tuple[Watchdog, ...]:
        return await self._writer.submit(watchdogs.watchdogs)

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
        return await self._writer.submit(work)

    async def due_inquiries(self, limit: int, claim: timedelta) -> list[Inquiry]:
        return await self._writer.submit(partial(inquiries.due_inquiries, limit=limit, claim=claim))

    async def settle_inquiry(
        self, inquiry: Inquiry, body: bytes | None, again: timedelta | None, events: Sequence[Event] = ()
    ) -> None:
        settle = partial(inbox.settle_inquiry, inquiry=inquiry, body=body, again=again, events=events)
        await self._writer.submit(settle)

    async def quiet_episodes(self, ask_after: timedelta, after: EpisodeId, limit: int) -> list[Episode]:
        find = partial(quiet.quiet_episodes, ask_after=ask_after, after=after, limit=limit)
        return await self._writer.submit(find)

    async def review(self, looks: Sequence[Look], review: Review) -> Mapping[Sighting, int]:
        return await self._writer.submit(partial(quiet.review, looks=looks, fold=review))

    async def undecided(self, limit: int, claim: timedelta, *, for_facts: bool = False) -> list[EpisodeWork]:
        work = partial(decisions.undecided, limit=limit, claim=claim, for_facts=for_facts)
        return await self._writer.submit(work)

    async def wait_for_facts(self, episodes: Sequence[EpisodeId]) -> None:
        await self._writer.submit(partial(decisions.wait_for_facts, episodes=episodes))

    async def decide(self, requests: Sequence[DecisionRequest], judge: Judge) -> list[Decided]:
        return await self._writer.submit(partial(decisions.decide, requests=requests, judge=judge))

    # Runs.

    async def runnable(self, limit: int, leaving: Sequence[RunId] = ()) -> list[RunId]:
        return await self._writer.submit(partial(runs.runnable, limit=limit, leaving=leaving))

    async def run(self, run: RunId) -> Run | None:
        return await self._writer.submit(partial(runs.run_by_id, run=run))

    async def attempt_in_doubt(self, run: RunId) -> Attempt | None:
        return await self._writer.submit(partial(runs.attempt_in_doubt, run=run))

    async def episodes_of(self, run: RunId, after: int = 0, limit: int | None = None) -> tuple[Episode, ...]:
        work = partial(episodes.episodes_of_run, run=run, after=after, limit=limit)
        return await self._writer.submit(work)

    async def acquire(self, run: RunId, owner: Owner, ttl: timedelta, demand: Demand = ALONE) -> Lease | Held:
        return await self._writer.submit(
            partial(leases.acquire, run=run, owner=owner, ttl=ttl, demand=demand)
        )

    async def renew(self, lease: Lease, ttl: timedelta) -> Lease | Preempted | None:
        return await self._writer.submit(partial(leases.renew, lease=lease, ttl=ttl))

    async def release(self, lease: Lease) -> None:
        await self._writer.submit(partial(leases.release, lease=lease))

    async def advance(self, token: Token | None, change: RunChange) -> Refused | None:
        return await self._writer.submit(partial(moves.advance, token=token, change=change))

    async def answer(self, run: RunId, settle: Settle) -> RunChange | Objection | None:
        return await self._writer.submit(partial(moves.answer, run=run, settle=settle))

    async def asking(self) -> list[Asking]:
        return await self._writer.submit(approvals.asking)

    async def intend(
        self,
        token: Token,
        request: IntentRequest,
        ask: Ask,
        change: Callable[[GuardView, Verdict], RunChange],
    ) -> Intended | Refused | Preempted:
        work = partial(moves.intend, token=token, request=request, ask=ask, change=change)
        return await self._writer.submit(work)

    async def abandon(
        self, run: RunId, overdue: timedelta, why: str, envelopes: Sequence[Envelope] = ()
    ) -> bool:
        work = partial(abandoning.abandon, run=run, overdue=overdue, why=why, envelopes=envelopes)
        return await self._writer.submit(work)

    async def view(self, run: Run, lookback: Lookback = NO_LOOKBACK) -> GuardView:
        return await self._writer.submit(partial(moves.view_for, run=run, lookback=lookback))

    # Controls.

    async def pause(
        self, scope: PauseScope, value: str, why: str, who: str, length: timedelta | None, name: str = ""
    ) -> Pause:
        work = partial(controls.pause, scope=scope, value=value, why=why, who=who, length=length, name=name)
        return await self._writer.submit(work)

    async def resume(self, scope: PauseScope, value: str, why: str, who: str) -> int:
        return await self._writer.submit(partial(controls.resume, scope=scope, value=value, why=why, who=who))

    async def lift(self, pause: int, why: str, who: str) -> Pause | None:
        return await self._writer.submit(partial(controls.lift, pause=pause, why=why, who=who))

    async def remind(self, pause: Pause, reminded: int, envelopes: Sequence[Envelope]) -> bool:
        work = partial(controls.remind, pause=pause, reminded=reminded, envelopes=envelopes)
        return await self._writer.submit(work)

    async def pauses(self) -> tuple[Pause, ...]:
        return await self._writer.submit(controls.pauses_in_force)

    async def engage_brake(self, reckon: Reckon, lookback: timedelta) -> tuple[Pause, ...]:
        return await self._writer.submit(partial(guard_views.engage_brake, reckon=reckon, lookback=lookback))

    async def brakes(self, window: timedelta) -> Brakes:
        return await self._writer.submit(partial(brakes.brakes, window=window))

    async def tell_brake(self, brake: BrakeRow, envelopes: Sequence[Envelope]) -> bool:
        work = partial(brakes.tell, brake=brake, envelopes=envelopes)
        return await self._writer.submit(work)

    async def restorations(self) -> list[Restoration]:
        return await self._writer.submit(restoring.restorations)

    async def tell_restoration(self, restoration: Restoration, envelopes: Sequence[Envelope]) -> bool:
        work = partial(restoring.tell, restoration=restoration, envelopes=envelopes)
        return await self._writer.submit(work)

    async def quarantines(self) -> tuple[Quarantine, ...]:
        return await self._writer.submit(controls.quarantines)

    async def clear_quarantine(self, target: Target, why: str, who: str) -> bool:
        return await self._writer.submit(partial(controls.clear_quarantine, target=target, why=why, who=who))

    async def propose_rulebook(
        self, files: RuleFiles, expected: RulebookHash | None, *, forced: bool
    ) -> Proposal:
        work = partial(controls.propose_rulebook, proposed=files, expected=expected, forced=forced)
        return await self._writer.submit(work)

    async def active_hash(self) -> RulebookHash | None:
        return await self._writer.submit(controls.active_hash)

    async def active_rulebook(self) -> RulebookRow | None:
        return await self._writer.submit(controls.active_rulebook)

    async def rulebook(self, hash_: RulebookHash) -> RulebookRow | None:
        return await self._writer.submit(partial(controls.rulebook, hash_=hash_))

    # Outbox.

    async def post(self, envelopes: Sequence[Envelope], events: Sequence[Event] = ()) -> None:
        await self._writer.submit(partial(_post, envelopes=envelopes, new_events=events))

    async def due_envelopes(self, lane: Lane, limit: int, claim: timedelta) -> list[OutboxItem]:
        return await self._writer.submit(partial(outbox.due_envelopes, lane=lane, limit=limit, claim=claim))

    async def hold(self, item: OutboxItem, claim: timedelta) -> bool:
        return await self._writer.submit(partial(outbox.hold, item=item, claim=claim))

    async def sent(self, item: OutboxItem, ref: str) -> None:
        await self._writer.submit(partial(outbox.sent, item=item, ref=ref))

    async def delay(self, item: OutboxItem, wait: timedelta, error: str) -> None:
        await self._writer.submit(partial(outbox.delay, item=item, wait=wait, error=error))

    async def park(self, item: OutboxItem, error: str) -> None:
        await self._writer.submit(partial(outbox.park, item=item, error=error))

    # Pages.

    async def attend_pages(self, attend: Attend, limit: int) -> int:
        return await self._writer.submit(partial(attending.attend_pages, judge=attend, limit=limit))

    async def attend_page(self, page: PageId, attend: Attend) -> bool:
        return await self._writer.submit(partial(attending.attend_page, page=page, judge=attend))

    async def open_pages(self) -> tuple[Page, ...]:
        return await self._writer.submit(pages.open_pages)

    # Views.

    async def history(self, wanted: RunFilter) -> list[Run]:
        return await self._writer.submit(partial(views.history, wanted=wanted))

    async def run_row(self, prefix: str) -> list[RunRow]:
        return await self._writer.submit(partial(views.run_rows, prefix=prefix))

    async def decisions(
        self, limit: int, before: int | None = None, wanted: DecisionFilter = EVERY_DECISION
    ) -> list[DecisionRow]:
        find = partial(decisions.decisions_before, limit=limit, before=before, wanted=wanted)
        return await self._writer.submit(find)

    async def decision_counts(self, rules: frozenset[str]) -> list[ReasonCount]:
        return await self._writer.submit(partial(decisions.decision_counts, rules=rules))

    async def episodes(self, wanted: EpisodeFilter) -> list[Episode]:
        return await self._writer.submit(partial(episodes.episodes, wanted=wanted))

    async def past_episodes(self, since: datetime | None, before: EpisodeId | None, limit: int) -> Past:
        find = partial(decisions.past_episodes, since=since, before=before, limit=limit)
        return await self._writer.submit(find)

    async def decisions_on(self, key: AlertKey) -> list[DecisionRow]:
        return await self._writer.submit(partial(decisions.decisions_on, key=key))

    async def events(self, after: int, limit: int) -> list[Event]:
        return await self._writer.submit(partial(events.events_after, after=after, limit=limit))

    async def backlog(self) -> Backlog:
        return await self._writer.submit(views.backlog)

    async def unreadable(self) -> tuple[Unreadable, ...]:
        return await self._writer.submit(views.unreadable)


def _prove_durable(transaction: Transaction) -> int:
    """Write the ledger's time, and give it."""
    transaction.sql.execute(
        "INSERT INTO meta (key, value) VALUES ('checked', ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (transaction.micros,),
    )
    return transaction.micros


def _take_turn(transaction: Transaction, what: str, length: timedelta) -> bool:
    until = micros(transaction.now + length)
    taken = transaction.sql.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE meta.value <= ?",
        (f"turn:{what}", until, transaction.micros),
    )
    return bool(taken.rowcount)


def _post(transaction: Transaction, envelopes: Sequence[Envelope], new_events: Sequence[Event]) -> None:
    outbox.post(transaction, envelopes)
    events.append_events(transaction, new_events)
