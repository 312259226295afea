"""What people hear of the brake: one page, one summary that is kept true, and its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from remediator.core.changes import BrakeRow, Release, Stopped
from remediator.core.guards import BudgetKey, Pause, PauseScope, Tripped
from remediator.core.notices import Lane, Signal, Tone
from remediator.core.paging import PAGER, Audience
from remediator.engine.brake import BrakeLoop, tell_brake
from tests.unit.engine.parts import engine_parts

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SLACK = Audience(("slack:#a",))
PAUSE = Pause(
    7, PauseScope.ALL, "", "6 targets, the budget is 5/10m", "remediator", AT, None, BudgetKey.TARGETS
)
BRAKE = BrakeRow(
    PAUSE,
    stopped=(Stopped("rollback", 4940, 494), Stopped("restart", 1, 1)),
    targets=("deployment/shop/a", "deployment/shop/b"),
    distinct=495,
)


def test_at_first_there_are_a_summary_and_a_page() -> None:
    summary, page = tell_brake(BRAKE, SLACK)
    assert (summary.key, summary.notice.page, summary.notice.final) == ("summary", False, False)
    assert (page.lane, page.notice.page, page.standalone) == (Lane.PAGES, True, True)
    assert "all automation is stopped" in summary.notice.title == page.notice.title
    assert PAUSE.why in page.notice.summary
    assert "remediator resume --why '...'" in page.notice.commands


def test_the_summary_says_what_would_have_been_done_and_by_whom() -> None:
    (summary, _) = tell_brake(BRAKE, SLACK)
    fields = dict(summary.notice.fields)
    assert fields["Stopped"] == "4,941 alerts, 495 targets"
    assert fields["rollback"] == "4,940 alerts, 494 targets"
    assert fields["restart"] == "1 alert, 1 target"
    assert summary.notice.lines == (
        "would have acted on deployment/shop/a",
        "would have acted on deployment/shop/b",
        "and on 493 more targets",
    )


def test_later_the_summary_alone_is_brought_up_to_date() -> None:
    (summary,) = tell_brake(replace(BRAKE, told=0), SLACK)
    assert (summary.key, summary.thread) == ("summary", "brake:7")


def test_a_namespace_is_resumed_by_itself() -> None:
    shop = replace(PAUSE, scope=PauseScope.TARGET, value="namespace/shop", until=AT + timedelta(hours=1))
    (summary, page) = tell_brake(replace(BRAKE, pause=shop), SLACK)
    assert "namespace/shop is stopped" in page.notice.title
    assert "remediator resume --target namespace/shop --why '...'" in summary.notice.commands
    assert "by itself at 2026-03-01 13:00:00 UTC" in page.notice.summary


def test_its_end_closes_the_summary_and_the_page() -> None:
    release = Release(AT + timedelta(hours=1), "ada", "the switch is mended")
    summary, over = tell_brake(replace(BRAKE, told=4941, release=release), SLACK)
    assert (summary.key, summary.notice.final, summary.notice.tone) == ("summary", True, Tone.QUIET)
    assert "by ada: the switch is mended" in summary.notice.summary
    assert (over.signal, over.thread) == (Signal.RESOLVE, "page:brake:7")


def test_a_brake_that_ended_before_anybody_heard_of_it_calls_nobody_any_more() -> None:
    told = tell_brake(
        replace(BRAKE, release=Release(AT, "remediator", "its time was over", by_time=True)), SLACK
    )
    assert [(each.key, each.notice.final) for each in told] == [("summary", True)]


def test_with_a_pager_the_page_goes_there() -> None:
    summary, page = tell_brake(BRAKE, replace(SLACK, pager=True))
    assert (summary.channel, page.channel) == ("slack:#a", PAGER)


async def test_it_is_told_at_once_then_only_what_is_new_and_once_by_all_replicas(tmp_path: Path) -> None:
    async with engine_parts(tmp_path) as parts:
        tripped = Tripped(PauseScope.ALL, "", BudgetKey.TARGETS, "too many")
        await parts.store.engage_brake(lambda _view: [tripped], timedelta(minutes=10))
        loops = [BrakeLoop(parts.engine), BrakeLoop(parts.engine)]
        for loop in (*loops, *loops):
            await loop.work()
        assert (await parts.store.backlog()).outbox == 2
        assert parts.metric("remediator_brakes_engaged", scope="all") == 1
        await parts.store.resume(PauseScope.ALL, "", "mended", "ada")
        await loops[0].work()
        await loops[1].work()
        assert parts.metric("remediator_brakes_engaged", scope="all") == 0
        (summary,) = await parts.store.due_envelopes(Lane.REPORTS, 9, timedelta(seconds=9))
        assert summary.envelope.notice.final
