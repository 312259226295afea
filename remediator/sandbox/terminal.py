"""A Slack message in a terminal, about as Slack would show it.

Markup: https://api.slack.com/reference/surfaces/formatting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import Box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.style import Style
from rich.table import Table
from rich.text import Text

BORDER = "grey50"
_QUIET = "grey62"
_COLOURS = {"good": "green", "warning": "yellow", "danger": "red"}
# the coloured bar beside an attachment: a box of which only the left edge is drawn
_BAR = Box("\n".join(["▌   "] * 8))
_EMOJI = {
    "rotating_light": "🚨",
    "white_check_mark": "✅",
    "warning": "⚠️",
    "x": "❌",
    "rewind": "⏪",
    "hourglass_flowing_sand": "⏳",
    "eyes": "👀",
    "octagonal_sign": "🛑",
    "large_green_circle": "🟢",
    "red_circle": "🔴",
}

_MARKUP = re.compile(
    r"```(?P<pre>.+?)```"
    r"|`(?P<code>[^`\n]+)`"
    r"|<(?P<link>[^<>\n]+)>"
    r"|(?<![\w*])\*(?P<bold>[^*\n]+)\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>[^_\n]+)_(?![\w_])"
    r"|(?<![\w~])~(?P<strike>[^~\n]+)~(?![\w~])"
    r"|:(?P<emoji>[a-z0-9_+-]+):",
    re.DOTALL,
)
_STYLES = {"bold": "bold", "italic": "italic", "strike": "strike"}


def render_message(message: Mapping[str, Any]) -> RenderableType:
    """A message's payload (text, blocks, attachments) as something that rich prints, in a frame.

    As in Slack, `text` shows only where there are no blocks.
    """
    return Panel(Group(*_parts(message)), title="Slack", title_align="left", border_style=BORDER)


def render_mrkdwn(text: str) -> Text:
    """Slack's mrkdwn as styled text: what was escaped shows as itself, and no markup of rich's applies."""
    rendered = Text()
    _append(rendered, text, Style())
    return rendered


def _append(rendered: Text, text: str, style: Style) -> None:
    end = 0
    for found in _MARKUP.finditer(text):
        rendered.append(_plain(text[end : found.start()]), style)
        _append_markup(rendered, found, style)
        end = found.end()
    rendered.append(_plain(text[end:]), style)


def _append_markup(rendered: Text, found: re.Match[str], style: Style) -> None:
    kind, inner = str(found.lastgroup), found[str(found.lastgroup)]
    if kind in _STYLES:
        _append(rendered, inner, style + Style.parse(_STYLES[kind]))
    elif kind == "pre":
        rendered.append(f"\n{_plain(inner).strip(chr(10))}\n", style + Style(color="cyan"))
    elif kind == "code":
        rendered.append(_plain(inner), style + Style(color="cyan"))
    elif kind == "emoji":
        rendered.append(_EMOJI.get(inner, found[0]), style)
    else:
        _append_link(rendered, inner, style)


def _append_link(rendered: Text, inner: str, style: Style) -> None:
    target, _, label = inner.partition("|")
    if target.startswith(("!", "@", "#")):
        rendered.append(label or f"@{target.lstrip('!@#')}", style + Style(color="blue", bold=True))
    else:
        link = _plain(target)
        rendered.append(_plain(label) or link, style + Style(color="blue", underline=True, link=link))


def _plain(text: str) -> str:
    shown = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    # a terminal obeys control characters, Slack doesn't
    return "".join(char for char in shown if char in "\n\t" or char.isprintable())


def _parts(message: Mapping[str, Any]) -> Iterator[RenderableType]:
    blocks = message.get("blocks") or []
    if blocks:
        yield from map(_block, blocks)
    elif message.get("text"):
        yield render_mrkdwn(str(message["text"]))
    for attachment in message.get("attachments") or ():
        yield _attachment(attachment)


def _attachment(attachment: Mapping[str, Any]) -> RenderableType:
    colour = str(attachment.get("color") or "").lower()
    style = _COLOURS.get(colour, colour if re.fullmatch(r"#[0-9a-f]{6}", colour) else BORDER)
    lines: list[RenderableType] = []
    if attachment.get("blocks"):
        lines.extend(map(_block, attachment["blocks"]))
    else:
        if attachment.get("pretext"):
            lines.append(render_mrkdwn(str(attachment["pretext"])))
        if attachment.get("title"):
            lines.append(Text(_plain(str(attachment["title"])), style="bold"))
        if body := attachment.get("text") or attachment.get("fallback"):
            lines.append(render_mrkdwn(str(body)))
        if attachment.get("fields"):
            lines.append(_grid([_titled(each) for each in attachment["fields"]]))
    barred = Table(box=_BAR, show_header=False, show_edge=True, border_style=style, pad_edge=True)
    barred.add_column()
    for line in lines:
        barred.add_row(line)
    return barred


def _titled(field: Mapping[str, Any]) -> Text:
    return Text.assemble((_plain(str(field.get("title", ""))), "bold"), "\n").append_text(
        render_mrkdwn(str(field.get("value", "")))
    )


def _block(block: Mapping[str, Any]) -> RenderableType:
    match block.get("type"):
        case "header":
            return Text(_with_emoji(_text_of(block.get("text"))), style="bold")
        case "section":
            return _section(block)
        case "context":
            shown = [_rendered(element) for element in block.get("elements", ())]
            return Text("  ").join(shown) if not shown else _quiet(shown)
        case "actions":
            return Text("  ").join(_button(element) for element in block.get("elements", ()))
        case "divider":
            return Rule(style=BORDER)
        case "image":
            return Text(f"[{_plain(str(block.get('alt_text', 'image')))}]", style=_QUIET)
        case "markdown":
            return render_mrkdwn(str(block.get("text", "")))
        case _:
            return Text(f"({block.get('type')})", style=_QUIET)


def _section(block: Mapping[str, Any]) -> RenderableType:
    parts: list[RenderableType] = []
    if "text" in block:
        parts.append(_rendered(block["text"]))
    if block.get("fields"):
        parts.append(_grid([_rendered(field) for field in block["fields"]]))
    if block.get("accessory", {}).get("type") == "button":
        parts.append(_button(block["accessory"]))
    return Group(*parts)


def _grid(cells: list[Text]) -> Table:
    """Two columns, filled row by row, as Slack lays fields out."""
    grid = Table.grid(padding=(0, 4), expand=False)
    for at in range(0, len(cells), 2):
        grid.add_row(*cells[at : at + 2])
    return grid


def _quiet(shown: list[Text]) -> Text:
    line = Text("  ").join(shown)
    line.stylize_before(_QUIET)
    return line


def _button(element: Mapping[str, Any]) -> Text:
    return Text(f"[ {_with_emoji(_text_of(element.get('text')))} ]", style="reverse")


def _rendered(text: Any) -> Text:
    if isinstance(text, Mapping) and text.get("type") == "mrkdwn":
        return render_mrkdwn(_text_of(text))
    if isinstance(text, Mapping) and text.get("type") == "image":
        return Text(f"[{_plain(str(text.get('alt_text', 'image')))}]")
    return Text(_with_emoji(_text_of(text)))


def _text_of(text: Any) -> str:
    return str(text.get("text", "")) if isinstance(text, Mapping) else ""


def _with_emoji(text: str) -> str:
    return re.sub(r":([a-z0-9_+-]+):", lambda found: _EMOJI.get(found[1], found[0]), _plain(text))
