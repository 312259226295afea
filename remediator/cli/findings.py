"""What `remediator check` found, as people and machines want to read it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import click

from remediator import __version__
from remediator.rulebook.defaults import Setting
from remediator.rulebook.problems import Problem

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
#: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
_GITHUB_TEXT = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_GITHUB_PROPERTY = {**_GITHUB_TEXT, ":": "%3A", ",": "%2C"}


@dataclass(frozen=True, slots=True)
class Findings:
    """What is printed; places are relative to where the command was called."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    rules: int
    files: int
    settings: tuple[Setting, ...] = ()

    def levels(self) -> Iterator[tuple[str, Problem]]:
        """Every finding behind its level, ``error`` or ``warning``."""
        yield from (("error", each) for each in self.errors)
        yield from (("warning", each) for each in self.warnings)


def lines(findings: Findings) -> str:
    """A line for each finding, with a place to click on, and a last one that counts them."""
    found = [f"{_location(each)} {click.style(each.message, fg='red')}" for each in findings.errors]
    found += [
        f"{_location(each)} {click.style('warning:', fg='yellow')} {each.message}"
        for each in findings.warnings
    ]
    return "\n".join([*found, _summary(findings)])


def document(findings: Findings) -> str:
    """One JSON document of our own."""
    return json.dumps(
        {
            "ok": not findings.errors,
            "rules": findings.rules,
            "files": findings.files,
            "errors": [_entry(each) for each in findings.errors],
            "warnings": [_entry(each) for each in findings.warnings],
            "settings": [_setting(each) for each in findings.settings],
        },
        indent=2,
    )


def github(findings: Findings) -> str:
    """GitHub's workflow commands: each finding is shown at its line of the change."""
    return "\n".join([*(_command(*each) for each in findings.levels()), _summary(findings)])


def gitlab(findings: Findings) -> str:
    """GitLab's Code Quality report."""
    severities = {"error": "major", "warning": "minor"}
    report = [
        {
            "description": each.message,
            "check_name": f"remediator-{level}",
            "fingerprint": hashlib.sha256(str(each).encode()).hexdigest(),
            "severity": severities[level],
            "location": {"path": each.place.file, "lines": {"begin": max(each.place.line, 1)}},
        }
        for level, each in findings.levels()
    ]
    return json.dumps(report, indent=2)


def sarif(findings: Findings) -> str:
    """SARIF 2.1.0, which code scanning reads."""
    rules = [{"id": level} for level in ("error", "warning")]
    driver = {"name": "remediator check", "version": __version__, "rules": rules}
    results = [
        {
            "ruleId": level,
            "level": level,
            "message": {"text": each.message},
            "locations": [{"physicalLocation": _physical(each)}],
        }
        for level, each in findings.levels()
    ]
    runs = [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}]
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": runs}, indent=2)


#: The words of `--format`.
FORMATS: Mapping[str, Callable[[Findings], str]] = {
    "text": lines,
    "json": document,
    "github": github,
    "gitlab": gitlab,
    "sarif": sarif,
}


def _location(problem: Problem) -> str:
    return click.style(f"{problem.place}:", bold=True)


def _summary(findings: Findings) -> str:
    rules, files = _counted(findings.rules, "rule"), _counted(findings.files, "file")
    errors, warnings = _counted(len(findings.errors), "error"), _counted(len(findings.warnings), "warning")
    colour = "red" if findings.errors else "yellow" if findings.warnings else "green"
    return click.style(f"{rules} in {files}: {errors}, {warnings}", fg=colour)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _entry(problem: Problem) -> dict[str, object]:
    place = problem.place
    return {"file": place.file, "line": place.line, "column": place.column, "message": problem.message}


def _setting(setting: Setting) -> dict[str, object]:
    """What a rule has of what it may leave out, and from where; what is built in has no place."""
    written = {} if setting.place is None else asdict(setting.place)
    said = {"rule": setting.rule, "key": setting.key, "value": setting.value, "from": setting.origin}
    return {**said, **written}


def _command(level: str, problem: Problem) -> str:
    place = problem.place
    where = {"file": place.file, **({"line": place.line, "col": place.column} if place.line else {})}
    properties = ",".join(f"{key}={_escaped(str(value), _GITHUB_PROPERTY)}" for key, value in where.items())
    return f"::{level} {properties}::{_escaped(problem.message, _GITHUB_TEXT)}"


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(each, each) for each in text)


def _physical(problem: Problem) -> dict[str, Any]:
    place = problem.place
    region = {"region": {"startLine": place.line, "startColumn": place.column}} if place.line else {}
    return {"artifactLocation": {"uri": place.file.replace("\\", "/")}, **region}
