"""How a run's story and its parts are shown to people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from remediator.cli.approvals import request_lines
from remediator.core.durations import format_duration

_OUTCOMES = {
    "succeeded": "green",
    "observed": "cyan",
    "cancelled": "dim",
    "failed": "bold red",
    "unknown": "bold red",
    "refused": "red",
    "expired": "red",
}
_SAYS = {
    "yes": "green",
    "allows": "green",
    "no": "yellow",
    "waits": "yellow",
    "refuses": "red",
    "error": "red",
}


#: Where a run's steps would be told, had they not been so old.
PRUNED = "undetermined: pruned, since events are kept for `retention.events`; what an audit needs is below"


def head(out: Console, story: dict[str, Any]) -> None:
    """Which run it is, and how it stands."""
    what = f"  {story['rule']} on {story['target']}  "
    out.print(Text.assemble((story["id"], "bold"), what, outcome(story)))
    out.print(Text(f"{story['severity']}, mode {story['mode']}, rulebook {story['rulebook'][:12]}"))
    ended = f", ended {clock(story['ended'])}" if story["ended"] else f", deadline {clock(story['deadline'])}"
    out.print(Text(f"decided {clock(story['started'])}{ended} ({took(story)})"))
    if story["detail"]:
        out.print(Text(story["detail"]))


def decision(out: Console, made: dict[str, Any]) -> None:
    """A decision with its facts and guards."""
    which = f" by {made['rule']}" if made["rule"] else ""
    title = f"\n{clock(made['at'])} decided{which} to {made['kind']}: {made['reason']}"
    out.print(Text(title, style="bold"))
    out.print(Text(f"  {made['meaning']}" + (f" ({made['detail']})" if made["detail"] else "")))
    facts(out, made["facts"])
    answers(out, made["guards"])


def facts(out: Console, known: Iterable[dict[str, Any]], indent: int = 2) -> None:
    """What checks said."""
    for fact in known:
        line = Text(f"{' ' * indent}fact   ")
        line.append(f"{fact['said']:<8}", _SAYS.get(fact["said"], ""))
        line.append(f" {fact['check']}, expected {fact['expect']}: {fact['detail']}")
        out.print(line)


def answers(out: Console, said: Iterable[dict[str, Any]]) -> None:
    """What guards said."""
    for answer in said:
        line = Text("  guard  ")
        line.append(f"{answer['answer']:<8}", _SAYS.get(answer["answer"], ""))
        line.append(f" {answer['guard']}: {answer['detail']}")
        out.print(line)


def requests(out: Console, story: dict[str, Any]) -> None:
    """What people were asked, and what they said."""
    for approval in story["approvals"]:
        first, *lines = request_lines(approval)
        out.print(Text(f"\n{first}", style="bold"))
        for line in lines:
            out.print(Text(f"  {line}"))


def changes(out: Console, story: dict[str, Any]) -> None:
    """What was changed, or, where nothing was, what would have been."""
    diffs = [attempt["diff"] for attempt in story["attempts"] if attempt["diff"]]
    if not diffs and story["approvals"]:
        diffs = [step["diff"] for step in story["approvals"][-1]["steps"] if step["diff"]]
    if not diffs:
        planned = (event["data"] for event in story["events"] if event["kind"] == "run.planned")
        diffs = [data["diff"] for data in planned if data.get("diff")]
    for diff in diffs:
        out.print()
        out.print(Syntax(diff, "diff", background_color="default", word_wrap=True))


def timeline(out: Console, story: dict[str, Any]) -> None:
    """What happened, line by line."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for at, kind, detail in _lines(story):
        table.add_row(at, kind, Text(detail))
    out.print(Text("\nwhat happened", style="bold"))
    if story["pruned"]:
        out.print(Text(f"  {PRUNED}", "yellow"))
    out.print(table)


def _lines(story: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for event in story["events"]:
        if event["kind"] != "guards.asked":
            yield clock(event["at"], exact=True), event["kind"], str(event["data"].get("detail") or "")


def outcome(run: dict[str, Any]) -> Text:
    """How it ended, or where it stands."""
    if run["outcome"] is None:
        return Text(run["state"], "yellow")
    return Text(run["outcome"], _OUTCOMES.get(run["outcome"], ""))


def took(run: dict[str, Any]) -> str:
    """How long it took, or has taken so far."""
    end = moment(run["ended"]) if run["ended"] else datetime.now(UTC)
    return format_duration(max(end - moment(run["started"]), end - end))


def clock(text: str, *, exact: bool = False) -> str:
    """A time, for people; `exact` ones are within a day."""
    at = moment(text)
    return f"{at:%H:%M:%S.%f}"[:-3] if exact else f"{at:%Y-%m-%d %H:%M:%S}"


def moment(text: str) -> datetime:
    """A time of the API."""
    return datetime.fromisoformat(text)


def pause_line(made: dict[str, Any]) -> str:
    """What a pause stops, until when, who made it and why, and its number."""
    what = "everything" if made["scope"] == "all" else f"{made['scope']} {made['value']}"
    until = f"until {made['until']}" if made["until"] else "until it is resumed"
    who = f"{made['who']} ({made['name']})" if made["name"] else made["who"]
    return f"{what}, {until}, by {who}: {made['why']} (id {made['id']})"
