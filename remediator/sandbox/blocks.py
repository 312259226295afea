"""Slack's limits on a message, as its API enforces them.

Source: https://api.slack.com/reference/block-kit/blocks and the errors of https://api.slack.com/methods/chat.postMessage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_BLOCKS = 50
MOST_ATTACHMENTS = 100
LONGEST_TEXT = 40_000
LONGEST_SECTION = 3_000
LONGEST_FIELD = 2_000
LONGEST_HEADER = 150
LONGEST_ID = 255
LONGEST_BUTTON = 75
LONGEST_VALUE = 2_000
LONGEST_URL = 3_000
LONGEST_ALT_TEXT = 2_000
LONGEST_MARKDOWN = 12_000
MOST_FIELDS = 10
MOST_CONTEXT_ELEMENTS = 10
MOST_ACTIONS = 25


@dataclass(frozen=True, slots=True)
class Refused:
    """Slack's word for what is wrong with a message, and where."""

    error: str
    messages: tuple[str, ...] = ()


Faults = Iterator[str]


def check_message(message: Mapping[str, Any]) -> Refused | None:
    """What Slack would refuse in a message; None when it would take it."""
    text, blocks, attachments = (message.get(key) for key in ("text", "blocks", "attachments"))
    if not (text or blocks or attachments):
        return Refused("no_text")
    if isinstance(text, str) and len(text) > LONGEST_TEXT:
        return Refused("msg_too_long")
    if faults := tuple(_blocks(blocks or [], "/blocks")):
        return Refused("invalid_blocks", faults)
    if not isinstance(attachments or [], list) or not all(
        isinstance(each, dict) for each in attachments or ()
    ):
        return Refused("invalid_attachments")
    if len(attachments or ()) > MOST_ATTACHMENTS:
        return Refused("too_many_attachments")
    for at, attachment in enumerate(attachments or ()):
        if faults := tuple(_blocks(attachment.get("blocks") or [], f"/attachments/{at}/blocks")):
            return Refused("invalid_blocks", faults)
    return None


def _blocks(blocks: Any, where: str) -> Faults:
    if not isinstance(blocks, list):
        yield f"[ERROR] must be an array [json-pointer:{where}]"
        return
    if len(blocks) > MOST_BLOCKS:
        yield f"[ERROR] no more than {MOST_BLOCKS} items allowed [json-pointer:{where}]"
    for at, block in enumerate(blocks):
        yield from _block(block, f"{where}/{at}")
    named = [block["block_id"] for block in blocks if isinstance(block, dict) and "block_id" in block]
    if len(set(named)) < len(named):
        yield f"[ERROR] block_id is not unique [json-pointer:{where}]"


def _block(block: Any, where: str) -> Faults:
    kind = block.get("type") if isinstance(block, dict) else None
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        yield f"[ERROR] unsupported type: {kind} [json-pointer:{where}/type]"
        return
    yield from _within(block.get("block_id", ""), LONGEST_ID, f"{where}/block_id", least=0)
    yield from check(block, where)


def _section(block: Mapping[str, Any], where: str) -> Faults:
    fields = block.get("fields")
    if "text" not in block and not fields:
        yield f"[ERROR] missing required field: text [json-pointer:{where}]"
    if "text" in block:
        yield from _text(block["text"], LONGEST_SECTION, f"{where}/text")
    if fields is not None:
        yield from _listed(fields, MOST_FIELDS, f"{where}/fields")
        for at, each in enumerate(fields if isinstance(fields, list) else ()):
            yield from _text(each, LONGEST_FIELD, f"{where}/fields/{at}")
    if "accessory" in block:
        yield from _element(block["accessory"], f"{where}/accessory")


def _header(block: Mapping[str, Any], where: str) -> Faults:
    yield from _text(block.get("text"), LONGEST_HEADER, f"{where}/text", kinds=("plain_text",))


def _context(block: Mapping[str, Any], where: str) -> Faults:
    elements = block.get("elements")
    yield from _listed(elements, MOST_CONTEXT_ELEMENTS, f"{where}/elements")
    for at, element in enumerate(elements if isinstance(elements, list) else ()):
        if isinstance(element, dict) and element.get("type") == "image":
            yield from _image(element, f"{where}/elements/{at}")
        else:
            yield from _text(element, LONGEST_SECTION, f"{where}/elements/{at}")


def _actions(block: Mapping[str, Any], where: str) -> Faults:
    elements = block.get("elements")
    yield from _listed(elements, MOST_ACTIONS, f"{where}/elements")
    for at, element in enumerate(elements if isinstance(elements, list) else ()):
        yield from _element(element, f"{where}/elements/{at}")


def _element(element: Any, where: str) -> Faults:
    if not isinstance(element, dict) or not isinstance(element.get("type"), str):
        yield f"[ERROR] missing required field: type [json-pointer:{where}]"
    elif element["type"] == "image":
        yield from _image(element, where)
    elif element["type"] == "button":
        yield from _text(element.get("text"), LONGEST_BUTTON, f"{where}/text", kinds=("plain_text",))
        yield from _within(element.get("value", ""), LONGEST_VALUE, f"{where}/value", least=0)
        yield from _within(element.get("url", ""), LONGEST_URL, f"{where}/url", least=0)
        yield from _within(element.get("action_id", ""), LONGEST_ID, f"{where}/action_id", least=0)
        if element.get("style", "primary") not in ("primary", "danger"):
            yield f"[ERROR] unsupported value: {element['style']} [json-pointer:{where}/style]"


def _image(block: Mapping[str, Any], where: str) -> Faults:
    yield from _within(block.get("image_url", ""), LONGEST_URL, f"{where}/image_url")
    yield from _within(block.get("alt_text", ""), LONGEST_ALT_TEXT, f"{where}/alt_text")


def _markdown(block: Mapping[str, Any], where: str) -> Faults:
    yield from _within(block.get("text", ""), LONGEST_MARKDOWN, f"{where}/text")


def _rich_text(block: Mapping[str, Any], where: str) -> Faults:
    if not isinstance(block.get("elements"), list):
        yield f"[ERROR] missing required field: elements [json-pointer:{where}]"


def _nothing(_: Mapping[str, Any], __: str) -> Faults:
    return iter(())


def _text(text: Any, longest: int, where: str, kinds: tuple[str, ...] = ("mrkdwn", "plain_text")) -> Faults:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        yield f"[ERROR] must be a {' or '.join(kinds)} object [json-pointer:{where}]"
        return
    yield from _within(text.get("text", ""), longest, f"{where}/text")


def _within(text: Any, longest: int, where: str, least: int = 1) -> Faults:
    if not isinstance(text, str):
        yield f"[ERROR] must be a string [json-pointer:{where}]"
    elif len(text) > longest:
        yield f"[ERROR] must be less than {longest + 1} characters [json-pointer:{where}]"
    elif len(text) < least:
        yield f"[ERROR] must be more than {least - 1} characters [json-pointer:{where}]"


def _listed(items: Any, most: int, where: str) -> Faults:
    if not isinstance(items, list) or not items:
        yield f"[ERROR] must be a non-empty array [json-pointer:{where}]"
    elif len(items) > most:
        yield f"[ERROR] no more than {most} items allowed [json-pointer:{where}]"


_CHECKS: dict[str, Callable[[Mapping[str, Any], str], Faults]] = {
    "section": _section,
    "header": _header,
    "context": _context,
    "actions": _actions,
    "image": _image,
    "divider": _nothing,
    "markdown": _markdown,
    "rich_text": _rich_text,
}
