"""Pages: one for each thread that is open, over when its surroundings say so, attended to by one at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

import pytest

from remediator.core.changes import RunChange
from remediator.core.contacts import Contact
from remediator.core.episodes import Sighting
from remediator.core.events import EventKind
from remediator.core.guards import Quarantine
from remediator.core.ids import EpisodeId, PageId
from remediator.core.notices import Call, Envelope, Lane, Notice, NoticeKind, Signal, Tone
from remediator.core.paging import Page, PageChange, PageView, over
from remediator.core.ports.store import Store
from remediator.core.quiet import Look, Presence, review
from remediator.core.rules import Patience
from remediator.core.runs import Run, RunState
from tests.store.backends import Backend
from tests.store.clock import FakeClock
from tests.store.values import CART, CLAIM, NODE, advanced, an_alert, an_episode, begin, lease, take, to

PAGED = Notice(NoticeKind.RUN, "cart: FAILED", Tone.BAD, "P1", fields=(("Rule", "rule"),), page=True)
PATIENCE = Patience()
LEAD, CHIEF = Contact("lead"), Contact("chief", phone="+44 7700 900001")


def a_page(
    call: Call, *, thread: str = "page:r-1", channel: str = "pagerduty", signal: Signal = Signal.TRIGGER
) -> Envelope:
    return Envelope(channel, thread, PAGED, "page", Lane.PAGES, standalone=True, signal=signal, call=call)


def resolving(thread: str = "page:r-1") -> Envelope:
    notice = Notice(NoticeKind.PAGE, "over", Tone.GOOD, summary="it is well again")
    return Envelope("pagerduty", thread, notice, "page", Lane.PAGES, standalone=True, signal=Signal.RESOLVE)


def about(run: Run, *, held: bool = False, chain: Sequence[Contact] = ()) -> Call:
    return Call(run.id, run.episode, run.rule, str(run.target), held=held, chain=tuple(chain))


@dataclass
class Watcher:
    """Keeps what it is handed, and changes nothing unless told how."""

    seen: list[tuple[Page, PageView]] = field(default_factory=list)
    ends: bool = False

    def __call__(self, page: Page, view: PageView) -> PageChange | None:
        self.seen.append((page, view))
        return over(page, "enough", view.now) if self.ends else None


async def due(store: Store) -> list[tuple[Page, PageView]]:
    watcher = Watcher()
    assert await store.attend_pages(watcher, 100) == len(watcher.seen)
    return watcher.seen


async def kinds(store: Store) -> list[EventKind]:
    return [event.kind for event in await store.events(0, 1000) if event.kind.value.startswith("page.")]


async def a_failed_run(store: Store, id_: str = "r-1", state: RunState = RunState.FAILED) -> Run:
    run = await begin(store, id_)
    held = await lease(store, run)
    run = await advanced(store, held.token, run, RunState.READY)
    quarantine = Quarantine(run.target, run.id, None, "why", await store.now())
    change = RunChange(
        to(run, state, await store.now()),
        run.state,
        quarantine=quarantine if state is RunState.UNKNOWN else None,
    )
    assert await store.advance(held.token, change) is None
    return change.run


async def succeed(store: Store, run: Run) -> None:
    held = await lease(store, run)
    for state in (RunState.READY, RunState.VERIFYING, RunState.SUCCEEDED):
        run = await advanced(store, held.token, run, state)


async def test_an_envelope_opens_a_page_with_its_event_in_its_own_transaction(
    store: Store, clock: FakeClock
) -> None:
    run = await a_failed_run(store)
    await store.post([a_page(about(run, chain=[LEAD, CHIEF]))])
    (page,) = await store.open_pages()
    assert (page.thread, page.channels, page.opened_at) == ("page:r-1", ("pagerduty",), clock.wall())
    assert (page.call.run, page.call.chain, page.notice) == (run.id, (LEAD, CHIEF), PAGED)
    assert (page.called, page.next_at) == (1, clock.wall() + LEAD.wait)
    (event,) = [one for one in await store.events(0, 100) if one.kind is EventKind.PAGE_OPENED]
    assert (event.run, event.rule, event.target) == (run.id, run.rule, str(run.target))
    assert event.data["page"] == page.id


async def test_further_envelopes_of_its_thread_widen_it(store: Store) -> None:
    first, second = await an_episode(store, "f1"), await an_episode(store, "f2")
    await store.post([a_page(Call(episode=first.id, target="x"))])
    await store.post([a_page(Call(episode=second.id, target="x"), channel="slack:#a")])
    (page,) = await store.open_pages()
    assert page.channels == ("pagerduty", "slack:#a")
    assert await kinds(store) == [EventKind.PAGE_OPENED]
    await take(store, an_alert("f1", firing=False))
    assert await due(store) == []
    await take(store, an_alert("f2", firing=False))
    ((_, view),) = await due(store)
    assert not view.firing


@pytest.mark.parametrize("by_run", [True, False])
async def test_a_lapse_ends_no_page_and_a_later_end_of_the_alert_does(
    store: Store, clock: FakeClock, *, by_run: bool
) -> None:
    if by_run:
        run = await a_failed_run(store)
        fingerprint, call = "of-r-1", about(run)
    else:
        episode = await an_episode(store)
        fingerprint, call = episode.fingerprint, Call(episode=episode.id)
    await store.post([a_page(call)])
    await gone(store, clock, Presence.UNKNOWN, Sighting.LAPSED)
    assert await due(store) == []
    ((page, view),) = await attended(store)
    assert view.firing
    # It fires again, and nobody tells of its end once more: still nothing is proven.
    later = clock.wall()
    await take(store, an_alert(fingerprint, starts_at=later))
    assert await due(store) == []
    await gone(store, clock, Presence.UNKNOWN, Sighting.LAPSED)
    assert await due(store) == []
    again = clock.wall()
    await take(store, an_alert(fingerprint, starts_at=again))
    await take(store, an_alert(fingerprint, firing=False, starts_at=again))
    ((over_, view),) = await due(store)
    assert (over_.id, view.firing) == (page.id, False)


async def test_what_vanished_is_proven_to_be_gone_and_ends_its_page(store: Store, clock: FakeClock) -> None:
    await store.post([a_page(Call(episode=(await an_episode(store)).id))])
    await gone(store, clock, Presence.ABSENT, Sighting.VANISHED)
    ((_, view),) = await due(store)
    assert not view.firing


async def gone(store: Store, clock: FakeClock, presence: Presence, sighting: Sighting) -> None:
    """Let the one open episode go untold, until it is closed as this."""
    clock.advance(timedelta(days=2).total_seconds())
    (quiet,) = await store.quiet_episodes(PATIENCE.ask_after, EpisodeId(0), 9)
    looks = [Look(quiet, presence, "because", None)]
    assert await store.review(looks, partial(review, patience=PATIENCE)) == {sighting: 1}


async def attended(store: Store) -> list[tuple[Page, PageView]]:
    """Every open page, due or not."""
    watcher = Watcher()
    for page in await store.open_pages():
        assert await store.attend_page(page.id, watcher)
    return watcher.seen


async def test_reports_open_none_and_other_threads_have_their_own(store: Store) -> None:
    call = Call(episode=(await an_episode(store)).id)
    await store.post([replace(a_page(call), call=None), a_page(call), a_page(call, thread="another")])
    assert [page.thread for page in await store.open_pages()] == ["page:r-1", "another"]


async def test_a_resolve_ends_the_page_of_its_thread_and_the_next_call_opens_another(store: Store) -> None:
    await store.post([a_page(Call()), a_page(Call(), thread="another")])
    await store.post([resolving(), resolving("unknown")])
    (left,) = await store.open_pages()
    assert left.thread == "another"
    assert await kinds(store) == [EventKind.PAGE_OPENED, EventKind.PAGE_OPENED, EventKind.PAGE_OVER]
    await store.post([a_page(Call())])
    assert [page.thread for page in await store.open_pages()] == ["another", "page:r-1"]


async def test_a_page_about_nothing_that_the_ledger_knows_is_never_due(store: Store) -> None:
    await store.post([a_page(Call())])
    assert await due(store) == []


async def test_a_runs_page_is_due_when_all_its_alerts_have_resolved(store: Store) -> None:
    run = await a_failed_run(store)
    await store.post([a_page(about(run))])
    assert await due(store) == []
    await take(store, an_alert("of-r-1", firing=False))
    ((page, view),) = await due(store)
    assert (page.call.run, view.firing, view.repaired) == (run.id, False, None)


async def test_a_page_is_due_when_a_later_run_repairs_its_target_whichever_rule_it_is_of(
    store: Store, clock: FakeClock
) -> None:
    run = await a_failed_run(store)
    elsewhere = await begin(store, "r-2", target=NODE)
    earlier = await begin(store, "r-3", rule="another")
    await succeed(store, earlier)
    await store.post([a_page(about(run))])
    await succeed(store, elsewhere)
    assert await due(store) == []
    clock.advance(60)
    later = await begin(store, "r-4", rule="another")
    await succeed(store, later)
    ((_, view),) = await due(store)
    assert view.repaired == later.id


async def test_a_held_page_is_due_when_its_quarantine_is_lifted_and_not_before(store: Store) -> None:
    run = await a_failed_run(store, state=RunState.UNKNOWN)
    await store.post([a_page(about(run, held=True))])
    await take(store, an_alert("of-r-1", firing=False))
    assert await due(store) == []
    assert await store.clear_quarantine(CART, "looked", "ada")
    ((_, view),) = await due(store)
    assert not view.quarantined


async def test_a_page_is_due_when_its_next_call_is_to_the_microsecond(store: Store, clock: FakeClock) -> None:
    run = await a_failed_run(store)
    await store.post([a_page(about(run, chain=[LEAD]))])
    clock.advance(LEAD.wait.total_seconds() - 0.000_001)
    assert await due(store) == []
    clock.advance(0.000_001)
    ((page, view),) = await due(store)
    assert (page.next_at, view.firing) == (view.now, True)


async def test_what_attending_answers_is_written_with_its_events_and_envelopes(store: Store) -> None:
    run = await a_failed_run(store)
    await store.post([a_page(about(run))])
    (trigger,) = await store.due_envelopes(Lane.PAGES, 10, CLAIM)
    await store.sent(trigger, "page:r-1")
    await take(store, an_alert("of-r-1", firing=False))
    assert await store.attend_pages(Watcher(ends=True), 10) == 1
    assert await store.open_pages() == ()
    (item,) = await store.due_envelopes(Lane.PAGES, 10, CLAIM)
    assert (item.envelope.channel, item.envelope.signal) == ("pagerduty", Signal.RESOLVE)
    assert await kinds(store) == [EventKind.PAGE_OPENED, EventKind.PAGE_OVER]
    assert await due(store) == []


async def test_a_page_that_was_over_before_anybody_was_called_calls_nobody(store: Store) -> None:
    """PagerDuty was not reached meanwhile: what is said of one incident, the newest alone counts."""
    run = await a_failed_run(store)
    await store.post([a_page(about(run))])
    await store.post([resolving()])
    (item,) = await store.due_envelopes(Lane.PAGES, 10, CLAIM)
    assert item.envelope.signal is Signal.RESOLVE
    await store.post([a_page(about(run))])
    await store.sent(item, "")
    (item,) = await store.due_envelopes(Lane.PAGES, 10, CLAIM)
    assert item.envelope.signal is Signal.TRIGGER


async def test_a_page_can_be_attended_to_by_its_id_due_or_not(store: Store, clock: FakeClock) -> None:
    await store.post([a_page(Call())])
    (page,) = await store.open_pages()
    answered = replace(
        page, acknowledged_at=clock.wall(), acknowledged_by="ada", acknowledged_why="on it", next_at=None
    )
    told = Envelope("slack:#late", "t", PAGED)
    assert await store.attend_page(page.id, lambda *_: PageChange(answered, (), (told,)))
    (found,) = await store.open_pages()
    assert found == replace(answered, channels=("pagerduty", "slack:#late"))
    assert await store.attend_page(page.id, Watcher(ends=True))
    assert not await store.attend_page(page.id, Watcher())
    assert not await store.attend_page(PageId(999), Watcher())


async def test_no_more_pages_are_attended_to_than_asked_for_and_the_oldest_first(store: Store) -> None:
    for number in range(3):
        episode = await an_episode(store, f"f{number}")
        await store.post([a_page(Call(episode=episode.id), thread=str(number))])
        await take(store, an_alert(f"f{number}", firing=False))
    watcher = Watcher(ends=True)
    assert await store.attend_pages(watcher, 2) == 2
    assert [page.thread for page, _ in watcher.seen] == ["0", "1"]
    assert [page.thread for page in await store.open_pages()] == ["2"]


async def test_replicas_that_attend_at_once_end_each_page_once(store: Store) -> None:
    for number in range(8):
        episode = await an_episode(store, f"f{number}")
        await store.post([a_page(Call(episode=episode.id), thread=str(number))])
        await take(store, an_alert(f"f{number}", firing=False))
    watchers = [Watcher(ends=True) for _ in range(6)]
    attended = await asyncio.gather(*(store.attend_pages(watcher, 100) for watcher in watchers))
    assert sum(attended) == 8
    assert (await kinds(store)).count(EventKind.PAGE_OVER) == 8


async def test_calls_that_come_at_once_open_one_page(store: Store) -> None:
    await asyncio.gather(*(store.post([a_page(Call(), channel=f"slack:#{n}")]) for n in range(8)))
    (page,) = await store.open_pages()
    assert sorted(page.channels) == [f"slack:#{n}" for n in range(8)]
    assert await kinds(store) == [EventKind.PAGE_OPENED]


async def test_a_page_whose_change_cannot_be_written_stays_as_it_is(store: Store) -> None:
    await store.post([a_page(Call())])
    (page,) = await store.open_pages()

    def failing(_page: Page, _view: PageView) -> PageChange:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await store.attend_page(page.id, failing)
    assert await store.open_pages() == (page,)


async def test_a_restart_loses_no_page(backend: Backend, clock: FakeClock) -> None:
    store = backend.make()
    await store.open()
    await store.post([a_page(Call(episode=EpisodeId(1), chain=(LEAD,)))])
    pages = await store.open_pages()
    await store.close()
    store = backend.make()
    await store.open()
    assert await store.open_pages() == pages
    clock.advance(LEAD.wait.total_seconds())
    assert len(await due(store)) == 1
    await store.close()
