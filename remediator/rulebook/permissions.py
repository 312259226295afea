"""What a Role of Kubernetes grants, and which steps and checks of rules need more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.core.ports.actions import ActionSpec, CheckSpec
from remediator.core.rules import Rule
from remediator.rulebook.compile import Judgement
from remediator.rulebook.document import Path, read_all
from remediator.rulebook.problems import Place, Problem

#: API group, resource, verb; `*` stands for all.
Permission = tuple[str, str, str]
_KINDS = ("Role", "ClusterRole")
_ALL = "*"


def granted(file: str, text: str) -> tuple[frozenset[Permission], list[Problem]]:
    """What the Roles and ClusterRoles of a manifest grant; what holds for single names only is left out."""
    found: set[Permission] = set()
    problems: list[Problem] = []
    roles = 0
    for document in read_all(text):
        problems += [
            Problem(Place(file, each.line, each.column), each.message) for each in document.complaints
        ]
        for role in _roles(document.data):
            roles += 1
            found |= set(_grants(role))
    if not roles and not problems:
        problems.append(
            Problem(Place(file, 1, 1), "no Role here: name a manifest with a Role or a ClusterRole")
        )
    return frozenset(found), problems


def lacking(judgement: Judgement, grants: frozenset[Permission], role: str) -> list[Problem]:
    """Steps and checks that need what is not granted; ``role`` says whose grants these are."""
    return [
        Problem(
            reporter.place(path),
            f"{spec.name} needs to {verb} {resource}{f' of {group}' if group else ''}, "
            f"which {role} does not allow: add it there, or name the one you use with --role",
        )
        for rule, reporter in judgement.written
        for path, spec in _used(rule)
        for group, resource, verb in sorted(spec.permissions)
        if not _allows(grants, (group, resource, verb))
    ]


def _used(rule: Rule) -> Iterator[tuple[Path, ActionSpec | CheckSpec]]:
    for key, steps in (("steps", rule.steps), ("on_failure", rule.on_failure)):
        for index, step in enumerate(steps):
            yield (key, index, "action"), ACTIONS[step.action]
    for index, fact in enumerate(rule.only_if):
        yield ("only_if", index, "check"), CHECKS[fact.check]
    for index, proof in enumerate(rule.verify.checks if rule.verify else ()):
        yield ("verify", "checks", index, "check"), CHECKS[proof.check]


def _allows(grants: frozenset[Permission], wanted: Permission) -> bool:
    return any(
        all(given in (_ALL, part) for given, part in zip(grant, wanted, strict=True)) for grant in grants
    )


def _roles(data: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(data, dict):
        return
    if isinstance(data.get("items"), list):
        for item in data["items"]:
            yield from _roles(item)
    elif data.get("kind") in _KINDS:
        yield data


def _grants(role: Mapping[str, Any]) -> Iterator[Permission]:
    rules = role.get("rules")
    for rule in rules if isinstance(rules, list) else ():
        if not isinstance(rule, dict) or rule.get("resourceNames"):
            continue
        groups, resources, verbs = (_words(rule.get(key)) for key in ("apiGroups", "resources", "verbs"))
        yield from ((group, resource, verb) for group in groups for resource in resources for verb in verbs)


def _words(value: Any) -> list[str]:
    return ["" if each is None else f"{each}" for each in value] if isinstance(value, list) else []
