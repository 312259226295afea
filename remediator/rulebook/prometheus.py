"""Alerting rules of Prometheus: plain rule files, and the operator's PrometheusRule objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediator.core.matchers import Matcher
from remediator.rulebook.document import Document, Path, read_all
from remediator.rulebook.problems import Place, Problem

_TEMPLATE = "{{"
_ALERTNAME = "alertname"
_KIND = "PrometheusRule"
_REMEDY = "a rule file has `groups`, a PrometheusRule has `spec.groups`, and each of them a list of `rules`"


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """One kind of alert that Prometheus may raise.

    ``labels`` are those that each of its alerts is certain to have. What else it has comes from templates,
    from series or from Prometheus' external labels: nothing is known of it.
    """

    name: str
    labels: Mapping[str, str]
    place: Place

    def surely(self, matchers: Sequence[Matcher]) -> bool:
        """Whether these hold for each such alert."""
        return all(each.name in self.labels and each.matches(self.labels) for each in matchers)

    def refusing(self, matchers: Sequence[Matcher]) -> Matcher | None:
        """The first of them that holds for no such alert; ``None`` if they may hold."""
        return next(
            (each for each in matchers if each.name in self.labels and not each.matches(self.labels)), None
        )


def alerting_rules(file: str, text: str, *, named: bool = True) -> tuple[list[AlertingRule], list[Problem]]:
    """Read a file's alerting rules; recording rules and objects of other kinds are passed over.

    That it has no rules at all is a problem of a file that was ``named``, not of one that lay in a folder.
    """
    found: list[AlertingRule] = []
    problems: list[Problem] = []
    groups = 0
    for document in read_all(text):
        problems += [
            Problem(Place(file, each.line, each.column), each.message) for each in document.complaints
        ]
        for path, group in _groups(document.data, ()):
            groups += 1
            try:
                found += _of_group(file, document, path, group)
            except _Malformed as malformed:
                problems.append(
                    Problem(Place(file, *document.place(malformed.path)), f"no alerting rules: {_REMEDY}")
                )
    if named and not groups and not problems:
        problems.append(Problem(Place(file, 1, 1), f"no alerting rules here: {_REMEDY}"))
    return found, problems


class _Malformed(Exception):
    """What ``path`` leads to is of another shape than Prometheus' rules have."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path


def _groups(data: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if not isinstance(data, dict):
        return
    if isinstance(data.get("items"), list):
        for index, item in enumerate(data["items"]):
            yield from _groups(item, (*path, "items", index))
        return
    if data.get("kind", _KIND) != _KIND:
        return
    inside: Path = ("spec", "groups") if "kind" in data else ("groups",)
    groups: Any = data
    for part in inside:
        groups = groups.get(part) if isinstance(groups, dict) else None
    for index, group in enumerate(groups if isinstance(groups, list) else ()):
        yield (*path, *inside, index), group


def _of_group(file: str, document: Document, path: Path, group: Any) -> Iterator[AlertingRule]:
    rules = group.get("rules") if isinstance(group, dict) else None
    if not isinstance(rules, list | None):
        raise _Malformed(path)
    for index, rule in enumerate(rules or ()):
        here = (*path, "rules", index)
        if not isinstance(rule, dict):
            raise _Malformed(here)
        if "alert" in rule:
            labels = rule.get("labels") or {}
            if not isinstance(labels, dict):
                raise _Malformed((*here, "labels"))
            name = f"{rule['alert']}"
            place = Place(file, *document.place((*here, "alert")))
            yield AlertingRule(name, {**_certain(labels), _ALERTNAME: name}, place)


def _certain(labels: Mapping[str, Any]) -> dict[str, str]:
    """Labels whose values are written out: one that is empty is taken away from what series bring."""
    texts = {name: "" if value is None else f"{value}" for name, value in labels.items()}
    return {name: text for name, text in texts.items() if _TEMPLATE not in text}
