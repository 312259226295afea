"""``explain``: why a run, an episode, a rule or an alert went as it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from remediator.cli import painting
from remediator.cli.client import ask, console, print_json

_HOLDS = {True: ("holds", "green"), False: ("does not", "yellow")}


@click.command()
@click.argument("of", metavar="RUN|EPISODE|RULE|ALERT", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def explain(*, of: tuple[str, ...], as_json: bool) -> None:
    """Explain every rule, matcher, fact and guard with the value that it saw.

    Name a run by its id or the beginning of it, an episode by its number, a rule by its name, an alert by its
    fingerprint, its name, or labels: `remediator explain ServiceDown job=cart`. What was not stored
    then is said to be undetermined.
    """
    found = ask("GET", "/explain", of=", ".join(of))
    if as_json:
        print_json(found)
        return
    _SHOWN[found["explains"]](console(), found)


def _run(out: Console, story: dict[str, Any]) -> None:
    painting.head(out, story)
    for episode in story["episodes"]:
        _episode_head(out, episode)
    _rules_asked(out, story["asked"])
    for decision in story["decisions"]:
        painting.decision(out, decision)
    for event in story["events"]:
        if event["kind"] == "guards.asked":
            at = painting.clock(event["at"])
            out.print(Text(f"\nguards asked again at the intent, {at}", style="bold"))
            painting.answers(out, event["data"].get("answers", ()))
    painting.requests(out, story)
    painting.changes(out, story)
    painting.timeline(out, story)


def _alert(out: Console, found: dict[str, Any]) -> None:
    for story in found["episodes"]:
        _episode(out, story)
    if len(found["episodes"]) > 1:
        out.print(Text("\nnewest first; `remediator explain NUMBER` explains one episode alone", style="dim"))


def _episode(out: Console, story: dict[str, Any]) -> None:
    _episode_head(out, story)
    if not story["decisions"]:
        out.print(Text("  not decided yet"))
    _rules_asked(out, story["asked"])
    _decisions(out, story["decisions"])
    for run in story["runs"]:
        line = Text(f"\nrun {run['id']}  {run['rule']} on {run['target']}  ")
        out.print(line.append_text(painting.outcome(run)))
        out.print(Text(f"  `remediator explain {run['id']}` tells what it did", style="dim"))


def _decisions(out: Console, made: list[dict[str, Any]]) -> None:
    """Of those that put it off again and again, each for the same reason, the last."""
    for _, alike in groupby(made, key=lambda one: (one["rule"], one["kind"], one["reason"])):
        rows = list(alike)
        painting.decision(out, rows[-1])
        if len(rows) > 1:
            out.print(
                Text(f"  the last of {len(rows)} alike since {painting.clock(rows[0]['at'])}", style="dim")
            )


def _rule(out: Console, found: dict[str, Any]) -> None:
    was = f", was {', '.join(found['was'])}" if found["was"] else ""
    standing = f"mode {found['mode']}" if found["in_force"] else "not in the rulebook in force"
    out.print(Text.assemble((found["rule"], "bold"), f"  {standing}{was}  {found['summary']}"))
    if found["from_defaults"]:
        out.print(Text(f"  from `defaults`: {', '.join(found['from_defaults'])}"))
    for matcher in found["matchers"]:
        out.print(Text(f"  when   {matcher}"))
    _what_holds_it(out, found)
    out.print(Text("\nwhat it decided, how often", style="bold"))
    for one in found["counts"]:
        said = f"{one['kind']}: {one['reason']}"
        out.print(Text(f"  {one['count']:>6}  {said:<22} last {painting.clock(one['latest'])}"))
    if not found["counts"]:
        out.print(Text("  nothing so far"))
    for one in found["not_taken"]:
        _not_taken(out, one)
    for decision in found["decisions"]:
        painting.decision(out, decision)


def _what_holds_it(out: Console, found: dict[str, Any]) -> None:
    for pause in found["pauses"]:
        kind = "brake " if pause["brake"] else "paused"
        out.print(Text(f"  {kind} {painting.pause_line(pause)}", style="yellow"))
    for held in found["quarantines"]:
        at = painting.clock(held["at"])
        out.print(Text(f"  quarantined {held['target']} since {at} by {held['run']}", style="red"))
    for one in found["guards"]:
        out.print(Text(f"\nif it were to act on {one['target']} now", style="bold"))
        painting.answers(out, one["guards"])


def _not_taken(out: Console, one: dict[str, Any]) -> None:
    episode, account = one["episode"], one["account"]
    seen = painting.clock(episode["first_seen"])
    out.print(Text(f"\nnot taken: episode {episode['id']}, {episode['alertname']}, {seen}", style="bold"))
    if account is None:
        out.print(Text("  undetermined: the rulebook of that time is not kept"))
    else:
        _account(out, account)


def _episode_head(out: Console, episode: dict[str, Any]) -> None:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(episode["labels"].items()))
    over = episode["closed"]
    firing = "firing" if over is None else f"{over} {painting.clock(episode['closed_at'])}"
    head = f"\nepisode {episode['id']}: alert {episode['alertname']} from {episode['source']}, {firing}"
    out.print(Text(head, style="bold"))
    began, times = painting.clock(episode["starts_at"]), episode["repeats"] + 1
    out.print(Text(f"  began {began}, seen {times} times, fingerprint {episode['fingerprint']}; {labels}"))


def _rules_asked(out: Console, asked: list[dict[str, Any]]) -> None:
    for one in asked:
        out.print(Text(f"\nrules of rulebook {one['rulebook'][:12]}", style="bold"))
        if not one["kept"]:
            out.print(Text("  undetermined: it is not kept, so that nobody knows what its other rules saw"))
        for account in one["rules"]:
            _account(out, account)


def _account(out: Console, account: dict[str, Any]) -> None:
    out.print(Text(f"  rule   {account['rule']}: {account['meaning']}"))
    for matcher in account["matchers"]:
        holds, style = _HOLDS[matcher["holds"]]
        value = "no such label" if matcher["value"] is None else f"saw {matcher['value']!r}"
        line = Text("    matcher  ")
        line.append(f"{holds:<8}", style)
        out.print(line.append(f" {matcher['matcher']}: {value}"))
    painting.facts(out, account["facts"], indent=4)


_SHOWN: Mapping[str, Callable[[Console, dict[str, Any]], None]] = {
    "run": _run,
    "alert": _alert,
    "episode": _episode,
    "rule": _rule,
}
