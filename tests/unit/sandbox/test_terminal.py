"""What a person sees in the terminal is what Slack would show."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from remediator.sandbox.terminal import render_message, render_mrkdwn


def seen(message: dict[str, Any]) -> str:
    console = Console(file=StringIO(), width=80, force_terminal=False)
    console.print(render_message(message))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO from above
    return text


@pytest.mark.parametrize(
    ("markup", "shown", "style"),
    [
        ("*bold*", "bold", "bold"),
        ("_it_", "it", "italic"),
        ("~gone~", "gone", "strike"),
        ("`a*b*c`", "a*b*c", "cyan"),
        ("<https://x.example/a|the run>", "the run", "https://x.example/a"),
        ("<https://x.example/a>", "https://x.example/a", "https://x.example/a"),
        ("<!here>", "@here", "blue"),
        (":white_check_mark:", "✅", ""),
        (":unheard_of:", ":unheard_of:", ""),
        ("a &lt;b&gt; &amp;lt;", "a <b> &lt;", ""),
        ("snake_case_name 2*3*4", "snake_case_name 2*3*4", ""),
        ("[bold]not rich's[/bold]", "[bold]not rich's[/bold]", ""),
    ],
)
def test_markup(markup: str, shown: str, style: str) -> None:
    rendered = render_mrkdwn(markup)
    assert rendered.plain == shown
    assert style in " ".join(str(span.style) for span in rendered.spans)


def test_nested_styles_add_up() -> None:
    rendered = render_mrkdwn("*all `code` and _more_*")
    assert rendered.plain == "all code and more"
    assert any("bold" in str(span.style) and "italic" in str(span.style) for span in rendered.spans)


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert render_mrkdwn("a\x1b[2Jb\x07").plain == "a[2Jb"


@given(st.text())
def test_any_text_can_be_shown(text: str) -> None:
    seen({"text": text, "blocks": [], "attachments": [{"text": text, "color": text}]})


def test_blocks_take_the_place_of_the_fallback_text() -> None:
    text = seen(
        {
            "text": "only a fallback",
            "blocks": [
                {"type": "header", "text": {"type": "plain_text", "text": ":rewind: Rolled back"}},
                {"type": "section", "text": {"type": "mrkdwn", "text": "*auth-service* is healthy"}},
                {
                    "type": "section",
                    "fields": [
                        {"type": "mrkdwn", "text": "*Target*\ndeployment/shop/web"},
                        {"type": "mrkdwn", "text": "*Took*\n4 s"},
                    ],
                },
                {"type": "divider"},
                {"type": "context", "elements": [{"type": "mrkdwn", "text": "run `r-1`"}]},
                {
                    "type": "actions",
                    "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Show"}}],
                },
            ],
        }
    )
    for part in (
        "⏪ Rolled back",
        "auth-service is healthy",
        "deployment/shop/web",
        "run r-1",
        "[ Show ]",
        "───",
    ):
        assert part in text
    assert "fallback" not in text
    assert "*" not in text


def test_an_attachment_has_its_coloured_bar() -> None:
    attachment = {
        "color": "danger",
        "title": "Why",
        "text": "_because_",
        "fields": [{"title": "A", "value": "1"}],
    }
    text = seen({"text": "Look:", "attachments": [attachment]})
    for part in ("Look:", "▌", "Why", "because", "A"):
        assert part in text


def test_preformatted_text_keeps_its_lines() -> None:
    assert "  image: web:1\n  image: web:2" in render_mrkdwn("```  image: web:1\n  image: web:2```").plain
