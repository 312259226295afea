"""`remediator simulate`: what rules would have decided on webhooks that came in once, touching nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.cli import simulated
from remediator.cli.client import ask, console, print_json
from remediator.core.checks import Said
from remediator.core.durations import parse_duration
from remediator.core.ports.channels import RulebookError
from remediator.rehearse.past import facts_of, posts_of
from remediator.rehearse.posts import Post, PostsError, parse_posts, read_posts
from remediator.rehearse.recollection import Remembered
from remediator.rehearse.simulation import Simulation, Simulator, differences
from remediator.rulebook.source import FileRules
from remediator.settings.home import home
from remediator.store.sqlite.memory import MemoryStore

_PAGE = 500
_MISUSE = 2


@dataclass(frozen=True, slots=True)
class _Past:
    """What came in, and what is known of the world then."""

    posts: Sequence[Post]
    facts: Sequence[Remembered] = ()


@click.command()
@click.argument("webhooks", required=False)
@click.option("--since", metavar="LENGTH", help="Take the daemon's history instead, from so long ago: 30d.")
@click.option(
    "--rules",
    envvar="REMEDIATOR_RULES",
    default="rules",
    type=click.Path(path_type=Path),
    help="The rules to simulate; left out, REMEDIATOR_RULES, else rules.",
)
@click.option(
    "--diff",
    "before",
    type=click.Path(path_type=Path),
    metavar="RULES",
    help="Tell only what --rules would do otherwise than these; exits with 1 if there is anything.",
)
@click.option(
    "--assume",
    "assumed",
    multiple=True,
    metavar="CHECK=yes|no",
    help="What a check said, if it is not known.",
)
@click.option("--live", is_flag=True, help="As if every rule were live.")
@click.option(
    "--limit", default=20, type=click.IntRange(0), help="List at most so many of each; 0 lists all."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def simulate(
    *,
    webhooks: str | None,
    since: str | None,
    rules: Path,
    before: Path | None,
    assumed: tuple[str, ...],
    live: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Show what rules would have decided, touching nothing.

    WEBHOOKS is a file, a folder of such, or - for standard input: bodies as Alertmanager posts them, one
    after the other or in a JSON array, each alone or as {"received_at": ..., "source": ..., "body": ...}.

    Exits with 0; with --diff with 1 if anything is or may be decided otherwise, as diff does; with 2 if
    nothing can be simulated.
    """
    if (webhooks is None) == (since is None):
        raise click.UsageError(
            "name a file or folder of webhooks, or - for standard input; or give --since 30d"
        )
    answers = _assumptions(assumed)
    past = _history(since) if since is not None else _Past(_read(str(webhooks)))
    if not past.posts:
        _stop("there is nothing to simulate: no alert came in" + (f" in the last {since}" if since else ""))
    simulator = Simulator(
        past.posts,
        CHECKS,
        ACTIONS,
        lambda clock, monotonic: MemoryStore(clock=clock, monotonic=monotonic),
        past.facts,
        answers,
        live=live,
    )
    after = _simulated(simulator, rules)
    if before is None:
        if as_json:
            print_json(simulated.document(after))
        else:
            simulated.show(console(), after, str(rules), limit)
        return
    old = _simulated(simulator, before)
    found = differences(old, after)
    if as_json:
        print_json(simulated.difference_document(old, after, found))
    else:
        simulated.show_differences(console(), old, after, found, (str(before), str(rules)), limit)
    sys.exit(1 if found else 0)


def _assumptions(written: tuple[str, ...]) -> dict[str, Said]:
    answers = {}
    for each in written:
        check, _, said = each.partition("=")
        if check not in CHECKS or said not in (Said.YES, Said.NO):
            known = ", ".join(sorted(CHECKS))
            raise click.BadParameter(f"write CHECK=yes or CHECK=no, of {known}", param_hint="--assume")
        answers[check] = Said(said)
    return answers


def _read(webhooks: str) -> list[Post]:
    try:
        if webhooks == "-":
            posts = parse_posts(sys.stdin.buffer.read(), "standard input")
            return sorted(posts, key=lambda post: post.at)
        return read_posts(Path(webhooks))
    except PostsError as error:
        _stop(str(error))


def _history(since: str) -> _Past:
    try:
        begin = datetime.now(UTC) - parse_duration(since)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"{error}", param_hint="--since") from None
    posts: list[Post] = []
    facts: list[Remembered] = []
    before = None
    while True:
        page = _page(begin, before)
        posts += posts_of(page["episodes"])
        facts += facts_of(page["episodes"])
        before = page["before"]
        if before is None:
            return _Past(sorted(posts, key=lambda post: post.at), facts)


def _page(since: datetime, before: int | None) -> dict[str, Any]:
    try:
        page: dict[str, Any] = ask("GET", "/episodes", since=since.isoformat(), before=before, limit=_PAGE)
    except SystemExit:
        sys.exit(_MISUSE)  # 1 would say that something differs
    return page


def _simulated(simulator: Simulator, rules: Path) -> Simulation:
    try:
        simulation = simulator.simulate(FileRules(rules, home()))
    except RulebookError as error:
        _stop(
            "\n".join(
                [*error.problems, f"{rules} can't be simulated: `remediator check {rules}` says the same"]
            )
        )
    if simulation.problems:
        _stop("\n".join(["the simulation failed, which is a fault of Remediator:", *simulation.problems]))
    return simulation


def _stop(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(_MISUSE)
