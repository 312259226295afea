"""Any notice becomes a message that Slack takes, and that says only what we mean to say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.ids import RunId
from remediator.core.notices import Choice, Notice, NoticeKind, Tone
from remediator.notify.messages import SlackMessage, render
from remediator.sandbox.blocks import check_message
from tests.unit.notify.hostile import HOSTILE, anything, markup
from tests.unit.notify.mrkdwn import obeyed, seen

#: Slack has been seen to refuse 11,341 characters of blocks, and to take less.
MOST_TEXT = 11_000

NOTICE = Notice(
    NoticeKind.RUN,
    "service-down-rollback: repaired and verified",
    Tone.GOOD,
    "P1",
    summary="rolled back to revision 6",
    fields=(
        ("Target", "deployment/shop/cart"),
        ("Alert", "ServiceDown"),
        ("Says", "cart has been down for more than 30 seconds"),
    ),
    lines=("03:12:04 decided", "03:12:05 acting: roll back to revision 6"),
    diff="--- a\n+++ b\n@@ -1 +1 @@\n-  image: cart:2.4.0\n+  image: cart:2.3.9\n",
    commands=("remediator explain r-7k2m9q4xza",),
    run=RunId("r-7k2m9q4xza"),
    final=True,
)

notices = st.builds(
    Notice,
    kind=st.sampled_from(NoticeKind),
    title=anything,
    tone=st.sampled_from(Tone),
    severity=anything,
    summary=anything,
    fields=st.lists(st.tuples(anything | st.sampled_from(["Rule", "Target"]), anything), max_size=30).map(
        tuple
    ),
    lines=st.lists(anything, max_size=20).map(tuple),
    diff=anything | st.lists(anything, max_size=20).map("\n+".join),
    commands=st.lists(anything, max_size=6).map(tuple),
    run=st.none() | anything.map(RunId),
    final=st.booleans(),
    page=st.booleans(),
    count=st.integers(1, 10**9),
    choices=st.lists(st.builds(Choice, *map(st.just, ("x", "Approve", "r-1 d1")), markup), max_size=2).map(
        tuple
    ),
)


def _texts(message: SlackMessage) -> Iterator[dict[str, Any]]:
    for block in message.blocks:
        yield from (part for part in (block.get("text"), *block.get("fields", ())) if part)
        for element in block.get("elements", ()):
            yield element["text"] if element["type"] == "button" else element


def _shown(message: SlackMessage) -> str:
    return seen("\n".join(part["text"] for part in _texts(message)))


def _is_ours(construct: str) -> bool:
    return construct == "<!here>" or re.fullmatch(r"\*[A-Za-z0-9 ,.()=/-]+\*", construct) is not None


@given(notices, st.booleans())
def test_every_notice_is_a_message_that_slack_takes(notice: Notice, buttons: bool) -> None:  # noqa: FBT001
    message = render(notice, buttons=buttons)
    refused = check_message({"text": message.text, "blocks": list(message.blocks)})
    assert refused is None
    assert sum(len(part["text"]) for part in _texts(message)) <= MOST_TEXT


@given(notices, st.booleans())
def test_no_notice_gets_its_markup_obeyed(notice: Notice, buttons: bool) -> None:  # noqa: FBT001
    message = render(notice, buttons=buttons)
    for part in _texts(message):
        if part["type"] == "mrkdwn":
            assert part["verbatim"] is True
            assert all(_is_ours(construct) for construct in obeyed(part["text"])), part["text"]
        else:
            assert part["emoji"] is False
            assert not re.search(r"[<>\n]|&(?!amp;|lt;|gt;)", part["text"])
    assert [c for c in obeyed(message.text) if c != "<!here>"] == []


@given(notices)
def test_only_pages_mention_anybody_and_once(notice: Notice) -> None:
    message = render(notice)
    mentions = [c for part in _texts(message) for c in obeyed(part["text"]) if c.startswith("<")]
    assert mentions == (["<!here>"] if notice.page else [])
    assert message.text.startswith("🚨 PAGE <!here>") is notice.page
    header = message.blocks[0]
    assert header["type"] == "header"
    assert header["text"]["text"].startswith("🚨 PAGE: ") is notice.page


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_everywhere_still_makes_a_message(text: str) -> None:
    everywhere = Notice(
        NoticeKind.RUN,
        text,
        Tone.BAD,
        text,
        text,
        ((text, text), ("Target", text), ("Rule", text)) * 9,
        (text,) * 50,
        "\n".join([text] * 50),
        (text,) * 9,
        RunId(text),
        choices=(Choice("x", "Approve", "r-1 d1", text),),
    )
    message = render(everywhere, buttons=True)
    assert check_message({"text": message.text, "blocks": list(message.blocks)}) is None
    assert sum(len(part["text"]) for part in _texts(message)) <= MOST_TEXT


def test_a_message_says_everything_in_the_order_in_which_it_is_needed() -> None:
    shown = _shown(render(NOTICE))
    order = [
        "✅ service-down-rollback: repaired and verified",
        "*P1* · deployment/shop/cart",
        "rolled back to revision 6",
        "*Alert*\nServiceDown",
        "*Says*: cart has been down for more than 30 seconds",
        "03:12:04 decided\n03:12:05 acting: roll back to revision 6",
        "-  image: cart:2.4.0\n+  image: cart:2.3.9",
        "*Next*\nremediator explain r-7k2m9q4xza",
        "run r-7k2m9q4xza",
    ]
    found = [shown.find(part) for part in order]
    assert -1 not in found
    assert found == sorted(found)


CHOICES = (
    Choice("remediator.approve", "Approve", "r-1 d1", "remediator approve r-1", urgent=True),
    Choice("remediator.deny", "Deny", "r-1 d1", "remediator deny r-1"),
)


def test_choices_are_buttons_where_clicks_come_back_and_commands_elsewhere() -> None:
    asking = replace(NOTICE, choices=CHOICES)
    with_buttons, without = render(asking, buttons=True), render(asking)
    (row,) = [block for block in with_buttons.blocks if block["type"] == "actions"]
    assert [(b["action_id"], b["text"]["text"], b["value"], b.get("style")) for b in row["elements"]] == [
        ("remediator.approve", "Approve", "r-1 d1", "primary"),
        ("remediator.deny", "Deny", "r-1 d1", None),
    ]
    assert "remediator approve r-1" not in _shown(with_buttons)
    assert "actions" not in [block["type"] for block in without.blocks]
    assert "*Next*\nremediator approve r-1\nremediator deny r-1" in _shown(without)


def test_a_bare_notice_has_no_empty_parts() -> None:
    message = render(Notice(NoticeKind.ALARM, "Remediator: webhook refused", Tone.BAD))
    assert [block["type"] for block in message.blocks] == ["header"]
    assert message.text == "❌ Remediator: webhook refused"


def test_a_notice_without_a_title_says_so() -> None:
    assert _shown(render(replace(NOTICE, title=" \n"))).startswith("✅ (no title)")


@pytest.mark.parametrize(
    ("count", "said"), [(1, None), (2, "and 1 more like it"), (1_500, "and 1,499 more like it")]
)
def test_what_was_counted_together_is_counted_out_loud(count: int, said: str | None) -> None:
    message = render(replace(NOTICE, count=count))
    assert (said in _shown(message)) if said else ("more like it" not in _shown(message))
    assert message.text.endswith(said or "revision 6")


@pytest.mark.parametrize("tone", Tone)
def test_every_tone_has_a_mark_of_its_own(tone: Tone) -> None:
    marks = {render(replace(NOTICE, tone=each)).text.split()[0] for each in Tone}
    assert len(marks) == len(Tone)
    assert (
        render(replace(NOTICE, tone=tone)).text.split()[0]
        == _shown(render(replace(NOTICE, tone=tone))).split()[0]
    )


def test_a_cut_says_how_much_was_cut() -> None:
    shown = _shown(
        render(
            replace(
                NOTICE,
                title="t" * 1_000,
                summary="s" * 5_000,
                fields=tuple((f"name {n}", "v" * 100) for n in range(40)),
                lines=tuple(f"03:12:{n:02} line" * 20 for n in range(60)),
                diff="@@ -1 +1 @@\n" + "+ changed\n" * 1_000,
            )
        )
    )
    assert re.search(r"t … \(\d+ characters cut\)", shown)
    assert re.search(r"s … \([\d,]+ characters cut\)", shown)
    assert re.search(r"… \(\d+ fields cut\)", shown)
    assert re.search(r"… \(\d+ earlier lines cut\)", shown)
    assert re.search(r"… \(\d+ lines cut\)", shown)
    assert "03:12:59" in shown
