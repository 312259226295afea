"""Example alerts, as rules' tests hold them: what rules make of their labels, and which rules have none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import Any

from remediator.core.alerts import fingerprint
from remediator.core.rule_index import RuleIndex
from remediator.core.rules import AlertTrigger, Rule
from remediator.core.targets import TargetError
from remediator.core.templates import TemplateError, scope_of
from remediator.core.triggers import count_of
from remediator.rulebook.compile import Judgement
from remediator.rulebook.document import Document, Path, read
from remediator.rulebook.problems import Place, Problem

_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
#: Of an alert with `each`, which stands for many, no more than these are looked at.
_MOST_OF_EACH = 100


@dataclass(frozen=True, slots=True)
class Example:
    """An alert of a test, or the labels with which somebody runs the rule ``runs``."""

    labels: Mapping[str, str]
    place: Place
    annotations: Mapping[str, str] = field(default_factory=dict)
    runs: str | None = None


def examples(file: str, text: str) -> list[Example]:
    """The alerts and runs that a file of rule tests tells of; its own errors are not this one's business."""
    document = read(text)
    return [
        each
        for path, test in _listed(document.data, "tests")
        for each in _of_test(file, document, path, test)
    ]


def undefined_targets(judgement: Judgement, some: Sequence[Example]) -> list[Problem]:
    """Rules whose target can't be made of an alert's labels that they match, each with the first such."""
    index = RuleIndex([rule for rule, _ in judgement.written])
    found: dict[str, tuple[Example, str]] = {}
    for example in some:
        for rule in index.matching(example.labels):
            if rule.name not in found and (why := _why_undefined(rule, example)) is not None:
                found[rule.name] = example, why
    return [
        Problem(
            reporter.place(("target",)),
            f"undefined for the alert in {found[rule.name][0].place}: {found[rule.name][1]}; "
            "give it a `default`, or match such alerts no more",
        )
        for rule, reporter in judgement.written
        if rule.name in found
    ]


def untested(judgement: Judgement, some: Sequence[Example]) -> list[Problem]:
    """Rules that none of these reach; where there are none at all, that is said once."""
    if judgement.written and not some:
        _, reporter = judgement.written[0]
        message = "no rule has a test: write some in `tests/` beside the rules, for `remediator test` to run"
        return [Problem(reporter.place(("name",)), message)]
    index = RuleIndex([rule for rule, _ in judgement.written])
    reached = {rule.name for example in some for rule in index.matching(example.labels)}
    reached |= {example.runs for example in some if example.runs is not None}
    return [
        Problem(
            reporter.place(("name",)),
            f"{rule.name!r} has no test: write one in `tests/`, with an alert that it answers to",
        )
        for rule, reporter in judgement.written
        if reached.isdisjoint(rule.names)
    ]


def _why_undefined(rule: Rule, example: Example) -> str | None:
    counted = count_of(rule) if isinstance(rule.trigger, AlertTrigger) else None
    labels = dict(example.labels)
    if counted is not None:
        labels = {name: value for name, value in labels.items() if name in counted.by}
    scope = scope_of(
        labels=labels,
        annotations=example.annotations,
        fingerprint=fingerprint(example.labels),
        starts_at=_SOME_TIME,
        group=labels,
    )
    try:
        rule.target.render(scope)
    except (TemplateError, TargetError) as error:
        return str(error)
    return None


def _of_test(file: str, document: Document, path: Path, test: Any) -> Iterator[Example]:
    for below, alert in _listed(test, "alerts"):
        labels = _texts(alert, "labels")
        place = Place(file, *document.place((*path, *below, "labels")))
        for more in _each(alert):
            yield Example({**labels, **more}, place, _texts(alert, "annotations"))
    for below, person in _listed(test, "people"):
        if isinstance(person, dict) and isinstance(person.get("run"), str):
            place = Place(file, *document.place((*path, *below)))
            yield Example(_texts(person, "labels"), place, runs=person["run"])


def _listed(data: Any, key: str) -> Iterator[tuple[Path, Any]]:
    found = data.get(key) if isinstance(data, dict) else None
    yield from (((key, index), each) for index, each in enumerate(found if isinstance(found, list) else ()))


def _texts(data: Any, key: str) -> dict[str, str]:
    found = data.get(key) if isinstance(data, dict) else None
    return {f"{name}": f"{value}" for name, value in found.items()} if isinstance(found, dict) else {}


def _each(alert: Any) -> Iterator[dict[str, str]]:
    """The labels in which the alerts differ that one entry stands for."""
    found = alert.get("each") if isinstance(alert, dict) else None
    several = (
        {name: each for name, each in found.items() if isinstance(each, list)}
        if isinstance(found, dict)
        else {}
    )
    for _, values in zip(range(_MOST_OF_EACH), product(*several.values()), strict=False):
        yield {name: f"{value}" for name, value in zip(several, values, strict=True)}
