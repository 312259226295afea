"""``status``, ``run``, ``pause``, ``resume``, ``clear`` and ``reload``: people steering a running daemon."""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.markup import escape

from remediator.cli import painting
from remediator.cli.client import ask, console, print_json, say


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(*, as_json: bool) -> None:
    """Show where the daemon stands: mode, rulebook, backlog, pauses, quarantines, waiting approvals."""
    found = ask("GET", "/status")
    if as_json:
        print_json(found)
        return
    print_ = console().print
    book, backlog = found["rulebook"], found["backlog"]
    print_(f"remediator {found['version']}, mode [bold]{found['mode']}[/], store time {found['time']}")
    print_(f"rulebook {book['hash'][:12] + ' since ' + book['first_seen'] if book else 'none'}")
    if found["rule_files"]:
        print_(f"[yellow]rule files[/] {escape(found['rule_files'])}")
    print_(
        f"waiting: {backlog['webhooks']} webhooks, {backlog['episodes']} episodes,"
        f" {backlog['unfinished_runs']} runs, {backlog['outbox']} notices"
        f" ({backlog['parked_notices']} given up)"
    )
    for brake in found["brakes"]:
        print_(f"[bold red]brake engaged[/] {escape(_brake_line(brake))}")
    for pause_ in found["pauses"]:
        if pause_["brake"] is None:
            print_(f"[yellow]paused[/] {escape(painting.pause_line(pause_))}")
    for held in found["quarantines"]:
        print_(f"[red]quarantined[/] {escape(_quarantine_line(held))}")
    for page in found["pages"]:
        print_(f"[red]page {page['id']}[/] {escape(_page_line(page))}")
    for asking in found["asking"]:
        print_(f"[yellow]waits for approval[/] {escape(_asking_line(asking))}")
    for row in found["unreadable"]:
        whose = "a newer version's" if row["newer"] else "damaged"
        print_(f"[red]can't be read[/] {escape(row['id'])} in {row['table']} ({whose}): {escape(row['why'])}")


@click.command()
@click.argument("rule")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="What its alert would bear.")
@click.option("--why", required=True, help="What others read of this run.")
@click.option("--override", "overridden", multiple=True, metavar="GUARD", help="Pass over a guard's no.")
@click.option("--request", help="The request's own id: given twice, it is one run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def run(
    *,
    rule: str,
    labels: tuple[str, ...],
    why: str,
    overridden: tuple[str, ...],
    request: str | None,
    as_json: bool,
) -> None:
    """Run a rule by hand. It passes every guard; --override needs your own token of OPERATORS_FILE."""
    body = {"rule": rule, "why": why, "labels": _labels(labels), "override": list(overridden)}
    made = ask("POST", "/runs", body if request is None else {**body, "request": request})
    if as_json:
        print_json(made)
    else:
        say(_request_line(made))
    decision = made["decision"]
    if decision is not None and decision["kind"] == "skip":
        sys.exit(1)


def _labels(written: tuple[str, ...]) -> dict[str, str]:
    pairs = [each.partition("=") for each in written]
    if not all(name and sign for name, sign, _ in pairs):
        raise click.UsageError("write labels as --label NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _request_line(made: dict[str, Any]) -> str:
    decision, target = made["decision"], made["target"]
    if decision is None:
        return f"kept, not decided yet: {target}; `remediator history --decisions` will show it"
    if decision["kind"] == "skip":
        return f"not run on {target}: {decision['reason']}: {decision['detail'] or decision['meaning']}"
    if decision["kind"] == "defer":
        return f"waiting to run on {target}: {decision['reason']}: {decision['detail']}"
    joined = " (joined, it is under way)" if decision["kind"] == "join" else ""
    return f"run {decision['run']} on {target}{joined}; follow it with `remediator show {decision['run']}`"


@click.command()
@click.option("--rule", help="Pause one rule.")
@click.option("--target", help="Pause one target, such as deployment/shop/cart.")
@click.option("--for", "length", help="Resume by itself after this long, such as 2h.")
@click.option("--name", default="", help="What to call it.")
@click.option("--why", required=True, help="What whoever is on call next has to know.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def pause(
    *, rule: str | None, target: str | None, length: str | None, name: str, why: str, as_json: bool
) -> None:
    """Stop automation: everything, one rule or one target. It is asked before every step.

    Pauses stack: each lasts until it is lifted or over. Without --for, people are reminded of it.
    """
    body = {**_scope(rule, target), "why": why, "for": length, "name": name}
    made = ask("POST", "/pauses", body)
    if as_json:
        print_json(made)
    else:
        say(f"paused: {painting.pause_line(made)}")


@click.command()
@click.option("--rule", help="Resume one rule.")
@click.option("--target", help="Resume one target.")
@click.option("--id", "id_", type=click.IntRange(1), help="Lift this pause alone (`status` has the numbers).")
@click.option("--why", default="", help="What has changed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def resume(*, rule: str | None, target: str | None, id_: int | None, why: str, as_json: bool) -> None:
    """Lift the pauses of everything, one rule or one target, exactly as they were made; the brake's too."""
    if id_ is not None and (rule, target) != (None, None):
        raise click.UsageError("--id names one pause already: leave --rule and --target out")
    which = _scope(rule, target) if id_ is None else {"id": id_}
    lifted = ask("POST", "/resume", {**which, "why": why or "resumed by hand"})
    if as_json:
        print_json(lifted)
    else:
        say(f"resumed: {lifted['lifted']} lifted")


@click.command()
@click.argument("target")
@click.option("--why", required=True, help="What proves that the target is in order.")
def clear(*, target: str, why: str) -> None:
    """Lift a target's quarantine, in your own name (a token of OPERATORS_FILE)."""
    cleared = ask("POST", "/clear", {"target": target, "why": why})
    say(f"cleared: {cleared['target']}")


@click.command()
@click.argument("page", metavar="RUN|PAGE")
@click.option("--why", default="", help="What whoever reads it later should know.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def ack(*, page: str, why: str, as_json: bool) -> None:
    """Take a page on, by its run or its number (`status` lists them): nobody else is called for it."""
    taken = ask("POST", "/ack", {"page": page, "why": why})
    if as_json:
        print_json(taken)
    else:
        say(f"acknowledged by {taken['acknowledged_by']}: {taken['title']}")


@click.command()
def reload() -> None:
    """Put the rule files as they are now in force; files with errors change nothing."""
    made = ask("POST", "/rulebook/reload", {})
    book = made["rulebook"]
    say(f"{made['proposal']}: rulebook {book['hash'][:12] if book else 'none'}")


def _scope(rule: str | None, target: str | None) -> dict[str, str]:
    if rule is not None and target is not None:
        raise click.UsageError("give --rule or --target, not both")
    if rule is not None:
        return {"scope": "rule", "value": rule}
    if target is not None:
        return {"scope": "target", "value": target}
    return {"scope": "all", "value": ""}


def _asking_line(asking: dict[str, Any]) -> str:
    asked = ", ".join(asking["asked"]) or "nobody there"
    return (
        f"{asking['run']} {asking['rule']} on {asking['target']}: {asking['summary']};"
        f" {asked} may approve until {asking['until']}, else {asking['otherwise']}"
    )


def _page_line(page: dict[str, Any]) -> str:
    taken = f"acknowledged by {page['acknowledged_by']}" if page["acknowledged"] else "not acknowledged"
    return f"{page['run'] or page['rule']} since {page['opened']}, {taken}: {page['title']}"


def _brake_line(brake: dict[str, Any]) -> str:
    """What is stopped and why, and how to let it go on."""
    made = brake["pause"]
    stopped = f"{brake['alerts']} alerts on {brake['targets']} targets stopped since {made['at']}"
    where = f" --target {made['value']}" if made["scope"] == "target" else ""
    return f"{painting.pause_line(made)}\n  {stopped}; remediator resume{where} --why '...'"


def _quarantine_line(held: dict[str, Any]) -> str:
    return f"{held['target']} since {held['at']} by {held['run']}: {held['why']}"
