"""`remediator test`: rule tests, played by the real engine on a clock of their own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import click

from remediator.actions.alerts import AlertResolved
from remediator.actions.specs import ACTIONS, CHECKS
from remediator.cli.client import one_line
from remediator.core.durations import format_duration
from remediator.rehearse import showing
from remediator.rehearse.files import Loaded, Story, load
from remediator.rehearse.scenario import RESOLVED, Kit, Outcome, play
from remediator.rehearse.schema import json_schema
from remediator.rulebook.source import FileRules
from remediator.settings.home import home
from remediator.store.sqlite.memory import MemoryStore

_COLOURS = {
    showing.OK: "green",
    showing.EXPECTED: "yellow",
    showing.HAPPENED: "red",
    showing.MISSING: "red",
    showing.UNEXPECTED: "red",
    showing.PROBLEM: "red",
}


@dataclass(frozen=True, slots=True)
class _Played:
    """The outcomes, each with the seconds that it took."""

    outcomes: tuple[tuple[Outcome, float], ...]
    loaded: Loaded

    @property
    def passed(self) -> bool:
        return not self.loaded.errors and all(outcome.passed for outcome, _ in self.outcomes)


@click.command("test")
@click.argument(
    "path", envvar="REMEDIATOR_RULES", default="rules", type=click.Path(exists=True, path_type=Path)
)
@click.option("-k", "wanted", metavar="TEXT", help="Only tests whose name holds this text.")
@click.option("-v", "--verbose", is_flag=True, help="Show the timeline of tests that pass, too.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write a JUnit report here.")
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON document.")
@click.option("--schema", "wants_schema", is_flag=True, help="Print the JSON Schema of test files, and stop.")
def test(
    path: Path, *, wanted: str | None, verbose: bool, junit: Path | None, wants_json: bool, wants_schema: bool
) -> None:
    """Test rules as they will run: the real engine, hours in milliseconds.

    PATH is a folder of rules, whose tests are in `tests/*.yaml` beside them, or one file of tests; left out,
    REMEDIATOR_RULES, else rules. Nothing outside is asked or touched. Exits with 1 if a test fails, or a
    file can't be used.
    """
    if wants_schema:
        click.echo(json.dumps(json_schema(), indent=2))
        return
    played = _play_all(load(path), wanted)
    if junit is not None:
        errors = [(str(each.place), each.message) for each in played.loaded.errors]
        junit.write_text(showing.junit(played.outcomes, errors))
    click.echo(_document(played) if wants_json else _lines(played, verbose=verbose))
    sys.exit(0 if played.passed else 1)


def _play_all(loaded: Loaded, wanted: str | None) -> _Played:
    stories = [each for each in loaded.stories if (wanted or "").lower() in each.test.name.lower()]
    if wanted is not None and not stories and not loaded.errors:
        message = f"no test's name holds {wanted!r}: there are {len(loaded.stories)} tests"
        raise click.UsageError(message)
    parts = kit()
    return _Played(tuple(_timed(story, parts) for story in stories), loaded)


def kit() -> Kit:
    """What tests are played with."""
    return Kit(
        ACTIONS,
        CHECKS,
        lambda clock, monotonic: MemoryStore(clock=clock, monotonic=monotonic),
        lambda alertmanagers: AlertResolved(CHECKS[RESOLVED], alertmanagers),
        lambda story: FileRules(story.rules, home()),
    )


def _timed(story: Story, kit: Kit) -> tuple[Outcome, float]:
    began = time.monotonic()
    return play(story, kit), time.monotonic() - began


def _lines(played: _Played, *, verbose: bool) -> str:
    lines = [
        f"{click.style(f'{each.place}:', bold=True)} {click.style(each.message, fg='red')}"
        for each in played.loaded.errors
    ]
    for outcome, _ in played.outcomes:
        if verbose or not outcome.passed:
            lines += [*_timeline(outcome), ""]
    return "\n".join([*lines, _summary(played)])


def _timeline(outcome: Outcome) -> list[str]:
    passed = outcome.passed
    head = click.style("passed" if passed else "FAILED", fg="green" if passed else "red", bold=True)
    lines = [f"{head}  {click.style(outcome.story.test.name, bold=True)}", f"        {outcome.story.place}"]
    for row in showing.rows(outcome):
        mark = click.style(f"{row.mark:>10}", fg=_COLOURS.get(row.mark), bold=bool(row.mark))
        said = one_line(row.text) if row.mark else click.style(one_line(row.text), dim=True)
        lines.append(f"{mark}  {row.at:>8}  {said}")
    return lines


def _summary(played: _Played) -> str:
    failed = [outcome for outcome, _ in played.outcomes if not outcome.passed]
    length = sum((o.ended - o.began for o, _ in played.outcomes), timedelta(0))
    took = sum(seconds for _, seconds in played.outcomes)
    parts = [f"{len(played.outcomes) - len(failed)} passed"]
    parts += [f"{len(failed)} failed"] if failed else []
    parts += [f"{len(played.loaded.errors)} errors"] if played.loaded.errors else []
    tests, files = _counted(len(played.outcomes), "test"), _counted(played.loaded.files, "file")
    hours = format_duration(timedelta(seconds=round(length.total_seconds())))
    text = f"{tests} in {files}: {', '.join(parts)}; {hours} played in {took:.1f} s"
    return click.style(text, fg="green" if played.passed else "red")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _document(played: _Played) -> str:
    errors = [
        {"file": e.place.file, "line": e.place.line, "column": e.place.column, "message": e.message}
        for e in played.loaded.errors
    ]
    tests: Sequence[object] = [showing.document(outcome, seconds) for outcome, seconds in played.outcomes]
    return json.dumps({"ok": played.passed, "tests": tests, "errors": errors}, indent=2)
