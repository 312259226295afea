"""The Store port: the ledger, with the obligations that every backend keeps.

Obligations that hold for every method:

- **Atomic and durable.** A method's writes, events and envelopes are committed together before it
  returns; if it raises, none of them are.
- **The store's clock.** ``now`` in every callback, all expiry and all windows are the store's own time,
  which never runs backwards. Callers never pass a time to be compared with it.
- **Pure callbacks.** Callbacks read nothing but their arguments and may be called more than once, so a
  backend is free to retry a transaction.
- **Failure.** When the ledger can't be reached or written, :class:`StoreUnavailableError` is raised. The
  caller then does not know whether the write was made, and asks again before it acts.
- **Several replicas.** Methods that hand out work (``undecided``, ``due_envelopes``, ``due_inquiries``)
  never hand the same piece to two callers before ``claim`` is over; work whose claim ran out is handed out
  again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import BinaryIO, Protocol

from remediator.core.alerts import Alert, AlertKey
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
from remediator.core.episodes import Episode, Observation, Sighting
from remediator.core.events import Event
from remediator.core.guards import (
    NO_LOOKBACK,
    GuardView,
    Lookback,
    Pause,
    PauseScope,
    Quarantine,
    Tripped,
    Verdict,
)
from remediator.core.ids import EpisodeId, Owner, PageId, RulebookHash, RunId, Token
from remediator.core.inquiries import Inquiry
from remediator.core.leases import ALONE, Demand, Held, Lease, Preempted
from remediator.core.notices import Envelope, Lane
from remediator.core.paging import Page, PageChange, PageView
from remediator.core.ports.channels import RuleFiles
from remediator.core.quiet import Look
from remediator.core.retention import Pruned, Shelf
from remediator.core.runs import Attempt, Run
from remediator.core.targets import Target
from remediator.core.watchdog import Watchdog

Fold = Callable[[Alert, Episode | None, datetime], Observation]
Review = Callable[[Look, Episode | None, datetime], Observation]
Judge = Callable[[DecisionRequest, GuardView], Decided]
Ask = Callable[[IntentRequest, GuardView], Verdict]
Attend = Callable[[Page, PageView], PageChange | None]
Settle = Callable[[RunRow, datetime], RunChange | Objection | None]
Reckon = Callable[[GuardView], Iterable[Tripped]]


class Topic(StrEnum):
    """What a loop of the engine waits for."""

    WEBHOOKS = "webhooks"
    INQUIRIES = "inquiries"
    WATCHDOGS = "watchdogs"
    EPISODES = "episodes"
    FACTS = "facts"
    RUNS = "runs"
    OUTBOX = "outbox"
    EVENTS = "events"
    RULEBOOK = "rulebook"
    LEASES = "leases"
    BRAKE = "brake"


class StoreError(Exception):
    """The ledger could not do what it was asked."""


class UnreadableRowError(StoreError):
    """What was asked for is a row of the ledger that can't be read; ``row`` is which, and why."""

    def __init__(self, row: Unreadable) -> None:
        super().__init__(f"{row.id} in {row.table} can't be read: {row.why}")
        self.row = row


class StoreUnavailableError(StoreError):
    """The ledger can't be reached or written; whether the last write was made is not known."""


class NotCopiedError(StoreError):
    """This ledger is copied by other means; the message says by which."""


class Inbox(Protocol):
    """Webhooks, and the episodes that they are made of."""

    async def save_webhook(self, source: str, body: bytes) -> None:
        """Keep a webhook's raw body durably. The 2xx is sent after this returns, never before (law 1)."""
        ...

    async def untaken_webhooks(self, max_bytes: int) -> list[RawWebhook]:
        """The oldest webhooks not taken apart yet, about ``max_bytes`` of bodies in all, at least one.

        Of several replicas one is given them, and goes on with them until it is silent for a moment.
        """
        ...

    async def take_webhooks(self, intakes: Sequence[Intake], fold: Fold) -> list[Observed]:
        """Fold the alerts of each webhook, in order, into the latest episode of their keys.

        Marks each webhook as taken (or quarantined), with an event for each episode that opened, refired,
        resolved or was stale, and none for mere repeats. A webhook already taken is passed over, so two
        replicas that read the same one count it once. An open (source, fingerprint) is unique.
        A slice (``more``) is folded alike and leaves its webhook untaken; folding one again only repeats.
        With a webhook from which alerts were left out, an inquiry about its group becomes due. One with a
        Watchdog in it is that of its source's latest arrival, as of its receipt.
        """
        ...

    async def watchdogs(self) -> tuple[Watchdog, ...]:
        """Each source's Watchdog that ever arrived."""
        ...

    async def change_watchdog(
        self,
        was: Watchdog,
        becomes: Watchdog,
        events: Sequence[Event] = (),
        envelopes: Sequence[Envelope] = (),
    ) -> bool:
        """Write what people and others were told of a Watchdog, and what tells them.

        ``False``, and nothing is written, if it is no longer as it was.
        """
        ...

    async def due_inquiries(self, limit: int, claim: timedelta) -> list[Inquiry]:
        """Inquiries whose time has come, those first that have waited longest."""
        ...

    async def settle_inquiry(
        self, inquiry: Inquiry, body: bytes | None, again: timedelta | None, events: Sequence[Event] = ()
    ) -> None:
        """Keep what was answered as a webhook of the inquiry's source, and end the inquiry.

        With ``again`` it is not ended, but asked once more after so long. One that was wished for anew since
        it was handed out does not end either: it is due at once.
        """
        ...

    async def quiet_episodes(self, ask_after: timedelta, after: EpisodeId, limit: int) -> list[Episode]:
        """Open episodes with ids greater than ``after`` that were last known so long ago or longer, by id."""
        ...

    async def review(self, looks: Sequence[Look], review: Review) -> Mapping[Sighting, int]:
        """Fold looks at quiet episodes into the latest ones of their keys, as alerts are.

        Gives how many were what, and leaves an event for each that refired, vanished or lapsed.
        """
        ...

    async def undecided(self, limit: int, claim: timedelta, *, for_facts: bool = False) -> list[EpisodeWork]:
        """Episodes to be decided: new ones, and deferred ones whose ``not_before`` has come, oldest first.

        Those that were put off by :meth:`wait_for_facts` are handed out by ``for_facts`` alone.
        """
        ...

    async def wait_for_facts(self, episodes: Sequence[EpisodeId]) -> None:
        """Put off episodes that were handed out, until there is room to gather the facts of each.

        They are due as before, and may be handed out again at once to whoever asks for such.
        """
        ...

    async def decide(self, requests: Sequence[DecisionRequest], judge: Judge) -> list[Decided]:
        """Judge each request in order and write what it entails; later requests see what earlier ones wrote.

        For a ``run`` decision the run is created and the episode joins it; for ``join`` the episode joins
        that run. Each decision is stored with its facts and guard answers. A request whose (episode, rule)
        already has a final decision is judged again but not written.

        ``judge`` gets each request with its episode as it is now, so that one which closed since it was
        handed out begins nothing. All requests about one episode come in one call. ``parallel`` counts
        every unfinished live run here, those included that wait for their slot, so that no more are begun
        than may act at once; so do ``slots``, where theirs are marked as not taken yet. What a decision
        demands counts for those after it, and what it trips is engaged.
        """
        ...


class Runs(Protocol):
    """Runs, leases and fencing tokens."""

    async def runnable(self, limit: int, leaving: Sequence[RunId] = ()) -> list[RunId]:
        """Runs that have not ended and that nobody drives: none of their own leases is live. Oldest first.

        Those that are to be left alone are not counted either.
        One that waits for a person is among them only once its deadline is over or no episode of it is open.
        """
        ...

    async def run(self, run: RunId) -> Run | None: ...

    async def attempt_in_doubt(self, run: RunId) -> Attempt | None:
        """The run's attempt that has no outcome, if any."""
        ...

    async def episodes_of(self, run: RunId) -> tuple[Episode, ...]:
        """The episodes that the run was begun for or that joined it."""
        ...

    async def acquire(self, run: RunId, owner: Owner, ttl: timedelta, demand: Demand = ALONE) -> Lease | Held:
        """Take a lease on the run's target and all else that ``demand`` covers, as a whole or not at all.

        One token stands for all of it, greater than any before it: each target that is written to is stamped
        with it, and takes writers with that or a greater one. Given when, by :func:`contend`, nothing is in
        the way: no live lease of another run that covers what bars this one, nor any of another owner for the
        same run; and no other unfinished run whose lease covered it has an attempt without an outcome: that
        has to be probed first. Contenders for overlapping places come one after another, in one order, so
        that they neither deadlock nor both win.

        Taking it again as the same owner for the same run gives a new token and makes the old one useless.
        It then covers what it covered before, too. To nobody is a run given whose attempt its target can't
        fence, before that attempt's deadline.

        With ``demand.preempts`` shared holders are asked to give way: their leases can't be renewed any more,
        end within ``ttl``, and leave a ``lease.preempted`` event. Meanwhile the asking run's places are kept
        from all others, for as long as it goes on asking once within each ``ttl``.
        """
        ...

    async def renew(self, lease: Lease, ttl: timedelta) -> Lease | Preempted | None:
        """Prolong a live lease with its token unchanged; ``None`` when it is no longer held.

        It is never shortened: one that outlives an attempt's deadline goes on doing so.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """End a lease if its token is still the current one; else do nothing.

        An exclusive one with an attempt in doubt that its target can't fence lasts to the attempt's deadline.
        """
        ...

    async def advance(self, token: Token | None, change: RunChange) -> Refused | None:
        """Write a run's move with its attempt, quarantine, events and envelopes.

        Refused when ``token`` is not that of a live lease on the run's target, when the run is no longer in
        ``change.was``, or when it would be cancelled as resolved while an episode of it is open. ``token``
        is ``None`` only for moves out of ``pending`` and ``asking`` by which nothing was or will be touched.
        """
        ...

    async def answer(self, run: RunId, settle: Settle) -> RunChange | Objection | None:
        """Let ``settle`` judge an answer to a run's request by all that is known of the run, and write it.

        The run is kept from all others between the look and the write, so that of two answers one is first.
        What ``settle`` gives is given back; a change is written as by :meth:`advance`. ``None`` also when
        there is no such run.
        """
        ...

    async def asking(self) -> list[Asking]:
        """The runs that wait for a person, with their requests; those that lapse first come first."""
        ...

    async def intend(
        self,
        token: Token,
        request: IntentRequest,
        ask: Ask,
        change: Callable[[GuardView, Verdict], RunChange],
    ) -> Intended | Refused | Preempted:
        """Ask the guards and, if they allow it, write the intent, in one transaction.

        ``ask`` gets a view that excludes the asking run, in which ``parallel`` counts the unfinished live
        runs that took a slot, and ``slots`` are those that were taken. If its verdict allows, ``change`` is
        written as by :meth:`advance`, and with ``request.first`` a slot is taken, which is never given back.
        Whether or not it allows, what it demands is counted, and what it trips is engaged.

        An attempt that its target can't fence makes the lease outlive its deadline. Whoever has to give way
        to another run is told so, and nothing is asked.
        """
        ...

    async def abandon(
        self, run: RunId, overdue: timedelta, why: str, envelopes: Sequence[Envelope] = ()
    ) -> bool:
        """End a run that nobody could take to its end, whatever of it can't be read.

        Only if its deadline has been over for ``overdue``, none of its own leases is live, and it is in a
        state that this version knows: else ``False``, and nothing is written. One that may have changed
        something is ``unknown``, an attempt in doubt with it, and its target is quarantined; another has
        expired. Its events, and the envelopes, are written with it.
        """
        ...

    async def view(self, run: Run, lookback: Lookback = NO_LOOKBACK) -> GuardView:
        """What the guards would see now for this run's rule and target, the run itself excluded."""
        ...


class Controls(Protocol):
    """What people and rule files steer."""

    async def pause(
        self, scope: PauseScope, value: str, why: str, who: str, length: timedelta | None, name: str = ""
    ) -> Pause: ...

    async def resume(self, scope: PauseScope, value: str, why: str, who: str) -> int:
        """Lift the pauses of exactly this scope and value, the brake's too; gives how many were lifted."""
        ...

    async def lift(self, pause: int, why: str, who: str) -> Pause | None:
        """Lift one pause, the brake's too; gives it as it was, ``None`` if it was not in force."""
        ...

    async def pauses(self) -> tuple[Pause, ...]:
        """The pauses in force now."""
        ...

    async def remind(self, pause: Pause, reminded: int, envelopes: Sequence[Envelope]) -> bool:
        """Put a reminder of a pause into the outbox, and note how many people have had by then.

        ``False``, with nothing written, if it is not in force any more, or they were reminded since it was
        read.
        """
        ...

    async def engage_brake(self, reckon: Reckon, lookback: timedelta) -> tuple[Pause, ...]:
        """Engage what ``reckon`` finds overspent; gives the pauses that were made.

        Decisions and first intents engage it by themselves: this is for what is known before. The view is of
        no rule and no target.
        """
        ...

    async def brakes(self, window: timedelta) -> Brakes:
        """The brakes that are engaged or whose end was not told; what was demanded within the window."""
        ...

    async def tell_brake(self, brake: BrakeRow, envelopes: Sequence[Envelope]) -> bool:
        """Put what people are told of a brake into the outbox, and note that they were told so much.

        That it let go by itself becomes an event here, since nobody else sees it happen.
        ``False``, with nothing written, if they have been told something since ``brake`` was read.
        """
        ...

    async def restorations(self) -> list[Restoration]:
        """The times that the ledger was found to be an older one, of which people have not heard all yet."""
        ...

    async def tell_restoration(self, restoration: Restoration, envelopes: Sequence[Envelope]) -> bool:
        """Put what people are told of it into the outbox; ``False`` if they have been told meanwhile."""
        ...

    async def quarantines(self) -> tuple[Quarantine, ...]: ...

    async def clear_quarantine(self, target: Target, why: str, who: str) -> bool:
        """Lift a target's quarantine, with an event that names who and why; ``False`` if there was none."""
        ...

    async def propose_rulebook(
        self, files: RuleFiles, expected: RulebookHash | None, *, forced: bool
    ) -> Proposal:
        """Make these files the active rulebook by compare-and-swap.

        ``expected`` is what they are to replace, ``None`` if there is none; if another is active, they are
        ``OVERTAKEN`` and only known from then on. Unforced (at boot), files whose hash the ledger knows but
        that are not active are ``DRIFTED`` and change nothing; forced (a person asked), they are put back.
        Activation, and not being activated, each leave their event.
        """
        ...

    async def active_rulebook(self) -> RulebookRow | None: ...

    async def rulebook(self, hash_: RulebookHash) -> RulebookRow | None: ...


class Outbox(Protocol):
    """Envelopes on their way to people: at least once, in order per (channel, thread)."""

    async def post(self, envelopes: Sequence[Envelope], events: Sequence[Event] = ()) -> None:
        """Put envelopes (and events that belong to them) into the ledger."""
        ...

    async def due_envelopes(self, lane: Lane, limit: int, claim: timedelta) -> list[OutboxItem]:
        """The first unsent envelope of each (channel, thread) of the lane, if its time has come."""
        ...

    async def hold(self, item: OutboxItem, claim: timedelta) -> bool:
        """Keep what this replica was handed from others for ``claim`` more; false if it is not its own."""
        ...

    async def sent(self, item: OutboxItem, ref: str) -> None:
        """Mark as delivered.

        The thread's first ref becomes its head, and ``ref`` what the envelope's key was last delivered
        as. An envelope that was replaced while it was on its way stays due, in its new form.
        """
        ...

    async def delay(self, item: OutboxItem, wait: timedelta, error: str) -> None:
        """Try again after ``wait``; those behind it in its thread wait too."""
        ...

    async def park(self, item: OutboxItem, error: str) -> None:
        """Give one up for good, with an event; those behind it go on."""
        ...


class Pages(Protocol):
    """Pages: an envelope with a ``call`` opens one for its thread, unless one is open.

    Of further such envelopes an open page takes the channels and episodes; one that says ``RESOLVE`` ends it.
    """

    async def attend_pages(self, attend: Attend, limit: int) -> int:
        """Hand open pages that are due to ``attend``, oldest first, and write what it says; gives how many.

        A page is due when what is around it says that it is over, or when its next call's time has come. Two
        replicas never attend to one page at once, and what the first wrote is what the second sees.
        """
        ...

    async def attend_page(self, page: PageId, attend: Attend) -> bool:
        """Hand one page to ``attend``, due or not; ``False`` if it is not open."""
        ...

    async def open_pages(self) -> tuple[Page, ...]:
        """The pages that are not over, oldest first."""
        ...


class Views(Protocol):
    """Reading, for people."""

    async def history(self, wanted: RunFilter) -> list[Run]: ...

    async def run_row(self, prefix: str) -> list[RunRow]:
        """The run of that id, or those whose ids begin with ``prefix`` (at most 5), each with its story."""
        ...

    async def decisions(
        self, limit: int, before: int | None = None, wanted: DecisionFilter = EVERY_DECISION
    ) -> list[DecisionRow]:
        """The latest decisions, newest first."""
        ...

    async def decision_counts(self, rules: frozenset[str]) -> list[ReasonCount]:
        """What a rule, by any of its names, decided how often: the most frequent first.

        Of its latest :data:`~remediator.core.changes.MOST_SEARCHED` decisions.
        """
        ...

    async def episodes(self, wanted: EpisodeFilter) -> list[Episode]:
        """Episodes, newest first."""
        ...

    async def decisions_on(self, key: AlertKey) -> list[DecisionRow]:
        """The decisions on an alert's latest episode, oldest first."""
        ...

    async def events(self, after: int, limit: int) -> list[Event]:
        """Events with ids greater than ``after``, oldest first."""
        ...

    async def backlog(self) -> Backlog: ...

    async def unreadable(self) -> tuple[Unreadable, ...]:
        """Rows that this process met of late and can't read. Each was passed over, and no other for it."""
        ...


class Store(Inbox, Runs, Controls, Outbox, Pages, Views, Protocol):
    """The whole ledger."""

    async def open(self) -> None:
        """Connect and bring the schema up to date; a ledger of a newer version is refused.

        One that turns out to have been put back from a copy is paused before anything is handed out of it: in
        one transaction everything is paused as ``remediator``, leases are ended, and tokens go on above all
        that may have been given since.
        """
        ...

    async def close(self) -> None: ...

    async def now(self) -> datetime:
        """The store's time."""
        ...

    async def check(self) -> None:
        """Prove that a write would be durable now.

        Raises:
            StoreUnavailableError: it would not.
        """
        ...

    def copy(self) -> AbstractAsyncContextManager[BinaryIO]:
        """A consistent copy of the ledger as it is now, made while it goes on, to be read from.

        It is gone once left. A daemon that is started on it knows that it is a copy.

        Raises:
            NotCopiedError: this ledger is copied by other means.
        """
        ...

    async def record(self, events: Sequence[Event]) -> None: ...

    async def prune(self, shelf: Shelf, age: timedelta, after: int, limit: int) -> Pruned:
        """Drop rows older than ``age`` that nothing needs, of the ``limit`` next ones on the shelf.

        ``after`` is 0 at first, then what the look before gave. Never dropped is what an unfinished run, a
        quarantine, an open episode or page, a pause in force or an unsent envelope still refers to.
        """
        ...

    async def take_turn(self, what: str, length: timedelta) -> bool:
        """Whether it is the caller's turn; if so, it is nobody's again before ``length`` is over."""
        ...

    async def wait(self, topic: Topic, timeout: timedelta) -> None:
        """Return when work of this topic may have come, or after ``timeout``; may return early."""
        ...
