"""``history``, ``show`` and ``explain``: what happened, and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from remediator.cli.approvals import request_lines
from remediator.cli.client import ask, console, print_json
from remediator.core.durations import format_duration, parse_duration

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


@click.command()
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most this many."
)
@click.option("--rule", help="Only this rule's.")
@click.option("--target", help="Only on this target.")
@click.option("--since", help="Only of the last while, such as 24h.")
@click.option("--decisions", is_flag=True, help="List every decision instead, those to do nothing too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def history(
    *, limit: int, rule: str | None, target: str | None, since: str | None, decisions: bool, as_json: bool
) -> None:
    """List runs, newest first."""
    if decisions:
        _history_of_decisions(limit, as_json=as_json)
        return
    runs = ask("GET", "/runs", limit=limit, rule=rule, target=target, since=_ago(since))
    if as_json:
        print_json(runs)
        return
    if not runs:
        click.echo("no such runs; `remediator history --decisions` shows what was decided, and why")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("run", "started (UTC)", "rule", "target", "outcome", "took"):
        table.add_column(head, overflow="fold")
    for run in runs:
        table.add_row(
            run["id"], _clock(run["started"]), run["rule"], run["target"], _outcome(run), _took(run)
        )
    console().print(table)


def _history_of_decisions(limit: int, *, as_json: bool) -> None:
    found = ask("GET", "/decisions", limit=limit)
    if as_json:
        print_json(found)
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("at (UTC)", "rule", "target", "decision", "why"):
        table.add_column(head, overflow="fold")
    for one in found:
        facts = [f"{fact['check']} {fact['said']}: {fact['detail']}" for fact in one["facts"]]
        why = "; ".join([one["detail"] or one["meaning"], *facts])
        said = f"{one['kind']}: {one['reason']}"
        table.add_row(_clock(one["at"]), one["rule"] or "none", one["target"], said, Text(why))
    console().print(table)


@click.command()
@click.argument("run", required=False)
@click.option("--quarantined", is_flag=True, help="Show the quarantined targets instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(*, run: str | None, quarantined: bool, as_json: bool) -> None:
    """Show one run: its steps, its change and its times. The beginning of an id will do."""
    if quarantined:
        _show_quarantined(as_json=as_json)
        return
    if run is None:
        raise click.UsageError("name a RUN (`remediator history` lists them), or give --quarantined")
    story = ask("GET", f"/runs/{run}")
    if as_json:
        print_json(story)
        return
    out = console()
    _head(out, story)
    for attempt in story["attempts"]:
        said = attempt["outcome"] or "no outcome yet"
        out.print(Text(f"\n{attempt['id']}  {attempt['action']}  {said}", style="bold"))
        out.print(Text(attempt["summary"]))
        if attempt["detail"] and attempt["detail"] != attempt["summary"]:
            out.print(Text(attempt["detail"]))
    _requests(out, story)
    _changes(out, story)
    _timeline(out, story)


@click.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def explain(*, run: str, as_json: bool) -> None:
    """Explain one run: every fact and every guard with the value it saw, then what happened."""
    story = ask("GET", f"/runs/{run}")
    if as_json:
        print_json(story)
        return
    out = console()
    _head(out, story)
    for episode in story["episodes"]:
        labels = ", ".join(f"{name}={value}" for name, value in sorted(episode["labels"].items()))
        firing = (
            "firing" if episode["closed"] is None else f"{episode['closed']} {_clock(episode['closed_at'])}"
        )
        out.print(Text(f"\nalert {episode['alertname']} from {episode['source']}, {firing}", style="bold"))
        out.print(
            Text(f"  began {_clock(episode['starts_at'])}, seen {episode['repeats'] + 1} times; {labels}")
        )
    for decision in story["decisions"]:
        _decision(out, decision)
    for event in story["events"]:
        if event["kind"] == "guards.asked":
            out.print(Text(f"\nguards asked again at the intent, {_clock(event['at'])}", style="bold"))
            _answers(out, event["data"].get("answers", ()))
    _requests(out, story)
    _changes(out, story)
    _timeline(out, story)


def _show_quarantined(*, as_json: bool) -> None:
    held = ask("GET", "/quarantines")
    if as_json:
        print_json(held)
        return
    if not held:
        click.echo("no target is quarantined")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("target", "since (UTC)", "run", "why"):
        table.add_column(head, overflow="fold")
    for one in held:
        table.add_row(one["target"], _clock(one["at"]), one["run"], Text(one["why"]))
    console().print(table)
    click.echo("\n`remediator explain RUN` tells what is known; `remediator clear TARGET --why` lifts one")


def _head(out: Console, story: dict[str, Any]) -> None:
    outcome = _outcome(story)
    out.print(Text.assemble((story["id"], "bold"), f"  {story['rule']} on {story['target']}  ", outcome))
    out.print(Text(f"{story['severity']}, mode {story['mode']}, rulebook {story['rulebook'][:12]}"))
    ended = (
        f", ended {_clock(story['ended'])}" if story["ended"] else f", deadline {_clock(story['deadline'])}"
    )
    out.print(Text(f"decided {_clock(story['started'])}{ended} ({_took(story)})"))
    if story["detail"]:
        out.print(Text(story["detail"]))


def _decision(out: Console, decision: dict[str, Any]) -> None:
    title = f"\n{_clock(decision['at'])} decided to {decision['kind']}: {decision['reason']}"
    out.print(Text(title, style="bold"))
    out.print(Text(f"  {decision['meaning']}" + (f" ({decision['detail']})" if decision["detail"] else "")))
    for fact in decision["facts"]:
        line = Text("  fact   ")
        line.append(f"{fact['said']:<8}", _SAYS.get(fact["said"], ""))
        line.append(f" {fact['check']}, expected {fact['expect']}: {fact['detail']}")
        out.print(line)
    _answers(out, decision["guards"])


def _answers(out: Console, answers: list[dict[str, Any]]) -> None:
    for answer in answers:
        line = Text("  guard  ")
        line.append(f"{answer['answer']:<8}", _SAYS.get(answer["answer"], ""))
        line.append(f" {answer['guard']}: {answer['detail']}")
        out.print(line)


def _requests(out: Console, story: dict[str, Any]) -> None:
    for approval in story["approvals"]:
        head, *lines = request_lines(approval)
        out.print(Text(f"\n{head}", style="bold"))
        for line in lines:
            out.print(Text(f"  {line}"))


def _changes(out: Console, story: dict[str, Any]) -> None:
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


def _timeline(out: Console, story: dict[str, Any]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for at, kind, detail in _lines(story):
        table.add_row(at, kind, Text(detail))
    out.print(Text("\nwhat happened", style="bold"))
    out.print(table)


def _lines(story: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for event in story["events"]:
        if event["kind"] != "guards.asked":
            yield _clock(event["at"], exact=True), event["kind"], str(event["data"].get("detail") or "")


def _outcome(run: dict[str, Any]) -> Text:
    if run["outcome"] is None:
        return Text(run["state"], "yellow")
    return Text(run["outcome"], _OUTCOMES.get(run["outcome"], ""))


def _took(run: dict[str, Any]) -> str:
    end = _moment(run["ended"]) if run["ended"] else datetime.now(UTC)
    return format_duration(max(end - _moment(run["started"]), end - end))


def _clock(text: str, *, exact: bool = False) -> str:
    at = _moment(text)
    return f"{at:%H:%M:%S.%f}"[:-3] if exact else f"{at:%Y-%m-%d %H:%M:%S}"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _ago(length: str | None) -> str | None:
    if length is None:
        return None
    try:
        return (datetime.now(UTC) - parse_duration(length)).isoformat()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
