"""Notices as Slack messages. Pure.

Laid out for a tired person with a phone: what happened, how bad, where, why, what was done, what to type
next. All text of a notice is hostile (see :mod:`remediator.notify.text`); mentions come from here alone.

Limits: https://docs.slack.dev/reference/block-kit/blocks. Beyond those, Slack refuses a message whose blocks
hold some 11,000 to 13,000 characters together (``msg_blocks_too_long``, reported with measurements in
https://github.com/slackapi/bolt-js/issues/2867), so the shares below add up to less.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from remediator.core.notices import Choice, Notice, Tone
from remediator.notify.diffs import excerpt, shortened
from remediator.notify.text import clean, code, escape, fence, fenced, fit, flat, inline, newest, strong

Block = dict[str, Any]

#: Slack's own limit of a header; the others are our shares of a message.
HEADER = 150
FALLBACK = 1_000
PLACE = 500
SUMMARY = 1_000
FIELDS = 10
FIELD = 160
NOTES = 1_600
NOTE = 400
TIMELINE = 1_500
TIMELINE_LINE = 240
DIFF = 1_700
COMMANDS = 600
COMMAND = 200
RUN = 100

#: A field that is longer than this, name and value, gets a line of its own instead of half a line.
_HALF_LINE = 44

_MARKS = {
    Tone.ASKING: "✋",
    Tone.WORKING: "⏳",
    Tone.GOOD: "✅",
    Tone.BAD: "❌",
    Tone.UNSURE: "⚠️",
    Tone.QUIET: "👀",
}
_PAGE_MARK = "🚨 PAGE"
_MENTION = "<!here>"
_SLACK_ID = re.compile(r"[UWS][A-Z0-9]{5,20}")
#: Fields that say where; they stand beside the severity.
_PLACES = ("rule", "target")


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """``text`` is what notifications and screen readers get, ``blocks`` what is seen (Block Kit)."""

    text: str
    blocks: tuple[Block, ...]


def render(notice: Notice, *, buttons: bool = False) -> SlackMessage:
    """Turn any notice into a message that Slack takes.

    ``buttons`` says that clicks come back to us; without them, choices are the commands to type.
    """
    return SlackMessage(_fallback(notice), tuple(_blocks(notice, buttons=buttons)))


def _fallback(notice: Notice) -> str:
    start = [_PAGE_MARK, _mention(notice)] if notice.page else [_MARKS[notice.tone]]
    said = [notice.severity, notice.title, *([] if _blank(notice.summary) else ["–", notice.summary])]
    return " ".join(part for part in (*start, fit(" ".join(said), FALLBACK, inline), _more(notice)) if part)


def _blocks(notice: Notice, *, buttons: bool) -> Iterator[Block]:
    yield _header(notice)
    if intro := "\n".join(part for part in _intro(notice) if part):
        yield _section(intro)
    yield from _field_blocks(notice)
    if timeline := _timeline(notice.lines):
        yield _section(timeline)
    if notice.diff.strip():
        yield _section(f"*Change*\n{_change(notice.diff)}")
    if buttons and notice.choices:
        yield {"type": "actions", "elements": [_button(choice) for choice in notice.choices]}
    typed = () if buttons else [choice.command for choice in notice.choices]
    if commands := _commands([*typed, *notice.commands]):
        yield _section(commands)
    if notice.run:
        yield {"type": "context", "elements": [_mrkdwn(f"run {fit(notice.run, RUN, code)}")]}


def _button(choice: Choice) -> Block:
    label = {"type": "plain_text", "text": choice.label, "emoji": False}
    button = {"type": "button", "action_id": choice.action, "text": label, "value": choice.value}
    return {**button, "style": "primary"} if choice.urgent else button


def _header(notice: Notice) -> Block:
    mark = f"{_PAGE_MARK}:" if notice.page else _MARKS[notice.tone]
    title = "(no title)" if _blank(notice.title) else fit(notice.title, HEADER - len(mark) - 1, _plain)
    # emoji: false keeps a title's :shortcodes: as they were written
    return {"type": "header", "text": {"type": "plain_text", "text": f"{mark} {title}", "emoji": False}}


def _intro(notice: Notice) -> Iterator[str]:
    places = [value for name, value in notice.fields if _is_place(name) and not _blank(value)]
    where = [
        fit(notice.severity, PLACE // 5, strong),
        *(fit(value, PLACE // 2, code) for value in places[:2]),
    ]
    line = " · ".join(part for part in where if part)
    yield f"{_mention(notice)} {line}".rstrip() if notice.page else line
    yield fit(notice.summary, SUMMARY, inline)
    yield _more(notice)


def _mention(notice: Notice) -> str:
    """Those whom a page is for; whoever is here, if it is for nobody in particular."""
    ids = [each for each in notice.mentions if _SLACK_ID.fullmatch(each)]
    return " ".join(f"<!subteam^{each}>" if each[0] == "S" else f"<@{each}>" for each in ids) or _MENTION


def _more(notice: Notice) -> str:
    return f"and {notice.count - 1:,} more like it" if notice.count > 1 else ""


def _field_blocks(notice: Notice) -> Iterator[Block]:
    """Short fields two by two, as Slack lays them out; each long one in a line of its own below."""
    fields = [field for field in notice.fields if not _is_place(field[0]) and not _blank("".join(field))]
    short = [field for field in fields if _is_short(*field)]
    if short:
        pairs = [_mrkdwn(_pair(name, value, "\n", FIELD)) for name, value in short[:FIELDS]]
        yield {"type": "section", "fields": pairs}
    if notes := _notes([*(field for field in fields if not _is_short(*field)), *short[FIELDS:]]):
        yield _section(notes)


def _is_short(name: str, value: str) -> bool:
    return len(name) + len(value) <= _HALF_LINE


def _pair(name: str, value: str, between: str, limit: int) -> str:
    # With the colon behind it, a name that holds one could read as an :emoji:.
    label = "–" if _blank(name) else fit(name, limit // 2, code if ":" in name else strong)
    return label if _blank(value) else label + between + fit(value, limit // 2, inline)


def _notes(fields: Iterable[tuple[str, str]]) -> str:
    lines = [_pair(name, value, ": ", NOTE) for name, value in fields]
    kept: list[str] = []
    room = NOTES
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    cut = len(lines) - len(kept)
    return "\n".join([*kept, *([f"… ({_counted(cut, 'field')} cut)"] if cut else [])])


def _timeline(lines: Sequence[str]) -> str:
    told = [fit(line, TIMELINE_LINE, inline) for line in lines if not _blank(line)]
    kept, cut = newest(told, TIMELINE)
    return "\n".join([*([f"… ({_counted(cut, 'earlier line')} cut)"] if cut else []), *kept])


def _change(diff: str) -> str:
    lines = clean(diff).strip("\n").split("\n")
    return fence(excerpt([fenced(shortened(line)) for line in lines], DIFF))


def _commands(commands: Sequence[str]) -> str:
    spans = [fit(command, COMMAND, code) for command in commands if not _blank(command)]
    kept = spans[: COMMANDS // COMMAND]
    return "\n".join(["*Next*", *kept]) if kept else ""


def _is_place(name: str) -> bool:
    return name.strip().lower() in _PLACES


def _blank(text: str) -> bool:
    return not flat(text[:NOTE])


def _plain(text: str) -> str:
    return escape(flat(text))


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn(text)}


def _mrkdwn(text: str) -> Block:
    # verbatim: Slack must not make links and mentions of bare addresses and names by itself
    return {"type": "mrkdwn", "text": text, "verbatim": True}
