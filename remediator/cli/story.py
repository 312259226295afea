"""``history`` and ``show``: what happened."""

from __future__ import annotations

from datetime import UTC, datetime

import click
from rich.table import Table
from rich.text import Text

from remediator.cli import painting
from remediator.cli.client import ask, console, print_json
from remediator.core.durations import parse_duration


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
        _history_of_decisions(limit, rule, as_json=as_json)
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
            run["id"],
            painting.clock(run["started"]),
            run["rule"],
            run["target"],
            painting.outcome(run),
            painting.took(run),
        )
    console().print(table)


def _history_of_decisions(limit: int, rule: str | None, *, as_json: bool) -> None:
    found = ask("GET", "/decisions", limit=limit, rule=rule)
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
        table.add_row(painting.clock(one["at"]), one["rule"] or "none", one["target"], said, Text(why))
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
    painting.head(out, story)
    for attempt in story["attempts"]:
        said = attempt["outcome"] or "no outcome yet"
        out.print(Text(f"\n{attempt['id']}  {attempt['action']}  {said}", style="bold"))
        out.print(Text(attempt["summary"]))
        if attempt["detail"] and attempt["detail"] != attempt["summary"]:
            out.print(Text(attempt["detail"]))
    painting.requests(out, story)
    painting.changes(out, story)
    painting.timeline(out, story)


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
        table.add_row(one["target"], painting.clock(one["at"]), one["run"], Text(one["why"]))
    console().print(table)
    click.echo("\n`remediator explain RUN` tells what is known; `remediator clear TARGET --why` lifts one")


def _ago(length: str | None) -> str | None:
    if length is None:
        return None
    try:
        return (datetime.now(UTC) - parse_duration(length)).isoformat()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
