"""`remediator check`: every error in the rule files at once, or their JSON Schema."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePath

import click

from remediator import shipped_role
from remediator.cli.findings import FORMATS, Findings
from remediator.core.ports.channels import RuleFiles
from remediator.rulebook.against_prometheus import without_alert, without_rule
from remediator.rulebook.compile import Judgement, judge
from remediator.rulebook.examples import examples, undefined_targets, untested
from remediator.rulebook.ledger import healing_the_ledger, hosts
from remediator.rulebook.permissions import granted, lacking
from remediator.rulebook.problems import Place, Problem
from remediator.rulebook.prometheus import AlertingRule, alerting_rules
from remediator.rulebook.schema import json_schema
from remediator.rulebook.source import FileRules, UnreadableRules
from remediator.rulebook.upgrades import FORMAT
from remediator.settings.home import home, ledger

_YAML = ("*.yaml", "*.yml")
_TESTS = "tests"
_SEVERAL = "--prometheus"


class _TakesSeveral(click.Command):
    """Lets one `--prometheus` name several files, as a shell's pattern does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(_repeated(args)))


def _repeated(arguments: Iterable[str]) -> Iterable[str]:
    """The same arguments with the option before each of its files."""
    several = first = False
    for each in arguments:
        if each.startswith("-"):
            several = first = each == _SEVERAL
        elif several and not first:
            yield _SEVERAL
        else:
            first = False
        yield each


@click.command("check", cls=_TakesSeveral)
@click.argument("path", envvar="REMEDIATOR_RULES", default="rules", type=click.Path(path_type=Path))
@click.option("--schema", "wants_schema", is_flag=True, help="Print the JSON Schema of rule files, and stop.")
@click.option("--json", "wants_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="text",
    help="For people, as one JSON document, or as annotations: GitHub's workflow commands, GitLab's Code "
    "Quality, SARIF.",
)
@click.option(
    _SEVERAL,
    "prometheus",
    multiple=True,
    metavar="FILES",
    type=click.Path(path_type=Path, exists=True),
    help="Alerting rules of Prometheus, plain or as PrometheusRule: which rules no such alert can satisfy, "
    "and which critical alerts no rule takes.",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A manifest with the Roles that Remediator has, instead of the one in deploy/kubernetes.",
)
@click.option(
    "--upgrade", is_flag=True, help="Rewrite files of an older version of the format first, and name them."
)
def check(
    path: Path,
    *,
    wants_schema: bool,
    wants_json: bool,
    form: str,
    prometheus: tuple[Path, ...],
    roles: tuple[Path, ...],
    upgrade: bool,
) -> None:
    """Check rule files, and say everything that is wrong with them at once.

    PATH is a file or a folder; left out, REMEDIATOR_RULES, else rules. Exits with 1 if there are errors;
    warnings alone are fine.
    """
    if wants_schema:
        click.echo(json.dumps(json_schema(), indent=2))
        return
    if upgrade:
        _upgrade(path)
    findings = _findings(path, prometheus, roles)
    click.echo(FORMATS["json" if wants_json else form](findings))
    sys.exit(1 if findings.errors else 0)


def _upgrade(path: Path) -> None:
    """Rewrite old files; those that can't be read are left for the check to report."""
    with suppress(UnreadableRules):
        rewritten = FileRules(path).upgrade(FORMAT)
        for name in rewritten:
            click.echo(f"{name}: rewritten as version {FORMAT.newest}", err=True)
        if not rewritten:
            click.echo(f"nothing is older than version {FORMAT.newest}", err=True)


def _findings(path: Path, prometheus: Iterable[Path], roles: Sequence[Path]) -> Findings:
    source = FileRules(path)
    try:
        files = source.read()
    except UnreadableRules as unreadable:
        return Findings(unreadable.found, (), 0, 0)
    judgement = judge(files, home(), with_settings=True)
    alerts, unreadable_alerts = _alerts(prometheus)
    folder = _folder(path, files)
    missing, unreadable_roles = _missing_permissions(judgement, roles)
    warnings = [
        *judgement.warnings,
        *_of_examples(judgement, source),
        *missing,
        *healing_the_ledger(judgement, hosts(ledger(), home())),
        *without_alert(judgement, alerts),
    ]
    return Findings(
        (*(_below(folder, each) for each in judgement.errors), *unreadable_alerts, *unreadable_roles),
        (
            *(_below(folder, each) for each in sorted(warnings)),
            *_overlooked(folder, source.misnamed()),
            *without_rule(judgement, alerts),
        ),
        judgement.rules,
        judgement.files,
        tuple(replace(each, place=each.place and _at(folder, each.place)) for each in judgement.settings),
    )


def _of_examples(judgement: Judgement, source: FileRules) -> list[Problem]:
    """What the alerts of the rules' tests show."""
    some = [each for file, text in source.tests().items() for each in examples(file, text)]
    return [*undefined_targets(judgement, some), *untested(judgement, some)]


def _missing_permissions(judgement: Judgement, roles: Sequence[Path]) -> tuple[list[Problem], list[Problem]]:
    """What the Roles don't allow that rules need, and what is wrong with their manifests."""
    named = " and ".join(map(str, roles)) or "the Role of deploy/kubernetes"
    read = [granted(str(path), _text(path)) for path in roles or [shipped_role()]]
    grants = frozenset(grant for found, _ in read for grant in found)
    return lacking(judgement, grants, named), [problem for _, problems in read for problem in problems]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig", errors="replace")


def _alerts(paths: Iterable[Path]) -> tuple[list[AlertingRule], list[Problem]]:
    """The alerting rules of all these files, a folder's YAML files too, and what is wrong with them."""
    alerts: list[AlertingRule] = []
    problems: list[Problem] = []
    for path in paths:
        for file in _yaml_in(path) if path.is_dir() else [path]:
            try:
                text = file.read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                problems.append(Problem(Place(str(file)), f"can't be read: {error}"))
                continue
            found, wrong = alerting_rules(str(file), text, named=file == path)
            alerts += found
            problems += wrong
    return alerts, problems


def _yaml_in(folder: Path) -> list[Path]:
    files = (file for form in _YAML for file in folder.rglob(form))
    return sorted(file for file in files if _TESTS not in file.relative_to(folder).parts)


def _folder(path: Path, files: RuleFiles) -> PurePath:
    return path.parent if path.name in files.texts and not path.is_dir() else path


def _overlooked(folder: PurePath, misnamed: Iterable[str]) -> list[Problem]:
    message = "not read, since its name ends in .yml: rename it to .yaml"
    return [Problem(Place(str(folder / name)), message) for name in misnamed]


def _below(folder: PurePath, problem: Problem) -> Problem:
    return Problem(_at(folder, problem.place), problem.message)


def _at(folder: PurePath, place: Place) -> Place:
    return replace(place, file=str(folder / place.file))
