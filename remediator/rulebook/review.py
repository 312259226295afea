"""What loads, but hardly does what was meant: warnings about rules that are sound each by itself."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.core.rules import Rule
from remediator.core.selections import always_protected
from remediator.core.targets import CLUSTER_KINDS
from remediator.rulebook.never_biting import report_never_biting, report_rates_that_never_bite
from remediator.rulebook.policy import Policy
from remediator.rulebook.problems import Place, Problem, Reporter, shown
from remediator.rulebook.reach import report_unreached

Rules = Sequence[tuple[Rule, Reporter]]


def review(rules: Rules, policy: Policy, home: str) -> None:
    """Warn of what a whole rulebook without errors shows; ``home`` is Remediator's own namespace."""
    _review_scope(rules, policy)
    _review_protected(rules, home)
    _review_databases(rules, policy)
    _review_limits(rules, policy)
    report_unreached(rules, policy.watchdog)


def _review_scope(rules: Rules, policy: Policy) -> None:
    acting = [reporter for rule, reporter in rules if rule.steps]
    if acting and "scope" not in policy.reporters:
        message = (
            "no file has a `scope`: rules may act on all targets but the protected; list namespaces in it"
        )
        acting[0].findings.warnings.append(Problem(Place(acting[0].file, 1, 1), message))


def _review_protected(rules: Rules, home: str) -> None:
    """Warn of rules that may never act where their target is."""
    for rule, reporter in rules:
        why = always_protected(_namespace_written(rule), home)
        if rule.steps and why is not None:
            message = f"{rule.name!r} never acts: its target is protected, since {why}"
            reporter.warn(("target",), message, key=False)


def _review_databases(rules: Rules, policy: Policy) -> None:
    """Warn of rules on databases of which nobody says what they are in Kubernetes."""
    known = {str(database.target) for database in policy.databases}
    for rule, reporter in rules:
        written = str(rule.target)
        if rule.target.kind == "database" and rule.target.is_constant and written not in known:
            message = f"{shown(written)} is not in `databases`: list it there with its `objects`"
            reporter.warn(("target",), message, key=False)


def _review_limits(rules: Rules, policy: Policy) -> None:
    for rule, reporter in rules:
        report_never_biting(rule, policy.per_target, policy.brake, reporter)
    for key, place, limits in (
        ("limits", ("limits", "per_target"), policy.per_target),
        ("defaults", ("defaults", "limits"), policy.said.defaults.limits),
    ):
        if limits is not None:
            report_rates_that_never_bite(limits.rate, limits.cooldown, place, policy.reporters[key])


def _namespace_written(rule: Rule) -> str:
    """The namespace of a rule's target as it is written, be it a template; empty where there is none."""
    kind, sources = rule.target.kind, [segment.source for segment in rule.target.segments]
    if kind == "namespace":
        return sources[-1]
    return "" if kind in CLUSTER_KINDS else sources[-2]
