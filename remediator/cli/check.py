"""`remediator check`: every error in the rule files at once, or their JSON Schema."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

import click

from remediator.core.ports.channels import RuleFiles
from remediator.rulebook.compile import Judgement, judge
from remediator.rulebook.problems import Place, Problem
from remediator.rulebook.schema import json_schema
from remediator.rulebook.source import FileRules, UnreadableRules
from remediator.rulebook.upgrades import FORMAT
from remediator.settings.home import home


@dataclass(frozen=True, slots=True)
class _Findings:
    """What is printed; places are relative to where the command was called."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    rules: int
    files: int


@click.command("check")
@click.argument("path", envvar="REMEDIATOR_RULES", default="rules", type=click.Path(path_type=Path))
@click.option("--schema", "wants_schema", is_flag=True, help="Print the JSON Schema of rule files, and stop.")
@click.option("--json", "wants_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--upgrade", is_flag=True, help="Rewrite files of an older version of the format first, and name them."
)
def check(path: Path, *, wants_schema: bool, wants_json: bool, upgrade: bool) -> None:
    """Check rule files, and say everything that is wrong with them at once.

    PATH is a file or a folder; left out, REMEDIATOR_RULES, else rules. Exits with 1 if there are errors;
    warnings alone are fine.
    """
    if wants_schema:
        click.echo(json.dumps(json_schema(), indent=2))
        return
    if upgrade:
        _upgrade(path)
    findings = _findings(path)
    click.echo(_document(findings) if wants_json else _lines(findings))
    sys.exit(1 if findings.errors else 0)


def _upgrade(path: Path) -> None:
    """Rewrite old files; those that can't be read are left for the check to report."""
    with suppress(UnreadableRules):
        rewritten = FileRules(path).upgrade(FORMAT)
        for name in rewritten:
            click.echo(f"{name}: rewritten as version {FORMAT.newest}", err=True)
        if not rewritten:
            click.echo(f"nothing is older than version {FORMAT.newest}", err=True)


def _findings(path: Path) -> _Findings:
    source = FileRules(path)
    try:
        files = source.read()
    except UnreadableRules as unreadable:
        return _Findings(unreadable.found, (), 0, 0)
    return _of(path, files, judge(files, home()), source.misnamed())


def _of(path: Path, files: RuleFiles, judgement: Judgement, misnamed: list[str]) -> _Findings:
    folder = path.parent if path.name in files.texts and not path.is_dir() else path
    overlooked = [
        Problem(Place(str(folder / name)), "not read, since its name ends in .yml: rename it to .yaml")
        for name in misnamed
    ]
    return _Findings(
        tuple(_below(folder, problem) for problem in judgement.errors),
        (*(_below(folder, problem) for problem in judgement.warnings), *overlooked),
        judgement.rules,
        judgement.files,
    )


def _below(folder: PurePath, problem: Problem) -> Problem:
    place = problem.place
    return Problem(Place(str(folder / place.file), place.line, place.column), problem.message)


def _lines(findings: _Findings) -> str:
    lines = [f"{_location(each)} {click.style(each.message, fg='red')}" for each in findings.errors]
    lines += [
        f"{_location(each)} {click.style('warning:', fg='yellow')} {each.message}"
        for each in findings.warnings
    ]
    return "\n".join([*lines, _summary(findings)])


def _location(problem: Problem) -> str:
    return click.style(f"{problem.place}:", bold=True)


def _summary(findings: _Findings) -> str:
    rules, files = _counted(findings.rules, "rule"), _counted(findings.files, "file")
    errors, warnings = _counted(len(findings.errors), "error"), _counted(len(findings.warnings), "warning")
    colour = "red" if findings.errors else "yellow" if findings.warnings else "green"
    return click.style(f"{rules} in {files}: {errors}, {warnings}", fg=colour)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _document(findings: _Findings) -> str:
    document = {
        "ok": not findings.errors,
        "rules": findings.rules,
        "files": findings.files,
        "errors": [_entry(each) for each in findings.errors],
        "warnings": [_entry(each) for each in findings.warnings],
    }
    return json.dumps(document, indent=2)


def _entry(problem: Problem) -> dict[str, object]:
    place = problem.place
    return {"file": place.file, "line": place.line, "column": place.column, "message": problem.message}
