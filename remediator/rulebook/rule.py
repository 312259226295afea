"""One rule: its model against itself and the policy, and its frozen form."""

from __future__ import annotations

from datetime import timedelta

from remediator.core.rules import AlertTrigger, ApprovalTerms, Count, Limits, OtherTrigger, Rule
from remediator.core.targets import KINDS, TargetError, target_of
from remediator.core.templates import TargetTemplate
from remediator.rulebook import rule_models as models
from remediator.rulebook.defaults import from_defaults, inherited
from remediator.rulebook.policy import Policy
from remediator.rulebook.problems import Reporter, nearest, shown
from remediator.rulebook.steps import StepCompiler, check_scope
from remediator.rulebook.templates import results_used
from remediator.rulebook.validation import Validated

_TRIGGERS = ("matchers", "schedule", "manual")
_HOLD_IDS = ("id", "steps", "on_failure")
_WITH_MATCHERS = ("firing_for", "count")


def compile_rule(validated: Validated[models.Rule], policy: Policy, reporter: Reporter) -> Rule | None:
    """Check a rule and freeze it; what is wrong is reported. ``None`` if it can't even be looked at."""
    if validated.model is None:
        return None
    written = inherited(validated.model, policy.said.defaults)
    deadline = written.deadline or policy.said.defaults.deadline
    sound_deadline = validated.sound("deadline") and policy.sound("defaults")
    compiler = StepCompiler(
        reporter,
        _target_kind(written.target, reporter) if validated.sound("target") else None,
        deadline if sound_deadline else None,
        ids_known=not any(path and path[-1] in _HOLD_IDS for path in validated.left_out),
        by=_counted_by(written) if validated.sound("when") else None,
    )
    if validated.sound("target"):
        for segment in written.target.segments:
            check_scope(segment.source, compiler.by, reporter, ("target",))
    if validated.sound("when"):
        _check_when(written, reporter, acts=bool(written.steps) or not validated.sound("steps"))
    _check_severity(validated.model, policy, reporter)
    only_if = compiler.conditions(written.only_if, ("only_if",))
    steps = compiler.steps(written.steps, "steps")
    ids = [step.id for step in steps]
    on_failure = compiler.steps(written.on_failure, "on_failure", ids)
    verify = compiler.verify(written.verify, ids) if written.verify is not None else None
    if verify is None and steps and validated.whole:
        verify = compiler.usual_proof(steps)
        _report_usual_proof(written, reporter, proven=verify is not None)
    _check_page_only(written, validated, reporter)
    return Rule(
        name=written.name,
        trigger=_trigger(written.when),
        target=written.target,
        summary=written.summary,
        was=written.was,
        severity=written.severity,
        only_if=only_if,
        limits=Limits(written.limits.cooldown, written.limits.rate, written.limits.targets),
        approval=_approval(written.approval),
        deadline=deadline,
        steps=steps,
        verify=verify,
        on_failure=on_failure,
        escalate=_called(written, policy, reporter),
        report=policy.channels(written.report, "report", reporter),
        mode=written.mode,
        goes_on=written.goes_on,
        from_defaults=from_defaults(validated.model, policy.said.defaults),
    )


def _trigger(when: models.When) -> AlertTrigger | OtherTrigger:
    if when.matchers is not None:
        return AlertTrigger(when.matchers, when.firing_for or timedelta(0), _count(when.count))
    return OtherTrigger("schedule" if when.schedule is not None else "manual")


def _count(written: models.Count | None) -> Count | None:
    return None if written is None else Count(written.at_least, written.within, written.by)


def _counted_by(written: models.Rule) -> tuple[str, ...] | None:
    return None if written.when.count is None else written.when.count.by


def _check_when(written: models.Rule, reporter: Reporter, *, acts: bool) -> None:
    when = written.when
    given = [key for key in _TRIGGERS if getattr(when, key) not in (None, False)]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        message = f"a rule has one trigger, and here is {found}: write one of {', '.join(_TRIGGERS)}"
        reporter.error(("when",), message)
        return
    for key in _WITH_MATCHERS:
        if getattr(when, key) is not None and given != ["matchers"]:
            reporter.error(("when", key), f"{key!r} goes with `matchers` alone: leave it out", key=True)
    if when.timezone is not None and given != ["schedule"]:
        reporter.error(("when", "timezone"), "'timezone' goes with `schedule` alone: leave it out", key=True)
    if acts and when.matchers is not None and all(matcher.matches({}) for matcher in when.matchers):
        message = (
            "these matchers hold for an alert without any labels, so for far too many: "
            "add one that names a value, such as 'alertname=\"ServiceDown\"'"
        )
        reporter.error(("when", "matchers"), message)
    if given == ["schedule"]:
        message = f"`{given[0]}` is not acted on by this version yet: until it is, this rule never runs"
        reporter.warn(("when", given[0]), message)


def _target_kind(target: TargetTemplate, reporter: Reporter) -> str | None:
    """The target's kind where it is written out; a target that no labels can make valid is reported."""
    for segment in target.segments:
        if list(results_used(segment.source)):
            reporter.error(("target",), "a target is made before any step, so it can't use `steps`")
            return None
    kind = target.kind
    if kind is None:
        _check_kind(target, reporter)
        return None
    try:
        target_of([segment.source if segment.is_constant else "x" for segment in target.segments])
    except TargetError as error:
        reporter.error(("target",), f"{shown(target)}: {error}")
        return None
    return kind


def _check_kind(target: TargetTemplate, reporter: Reporter) -> None:
    """With no kind written out, one of the first two segments has to be a template that may become one."""
    first, second = target.segments[:2]
    meant = nearest(first.source, sorted(KINDS))
    may_be_cluster = len(target.segments) > 2 and not second.is_constant and not meant.startswith("did")
    if first.is_constant and not may_be_cluster:
        reporter.error(("target",), f"unknown kind {shown(first.source)}: {meant}")


def _called(written: models.Rule, policy: Policy, reporter: Reporter) -> tuple[str, ...]:
    """Whom a page calls in turn; an empty list of the rule's own calls nobody beyond who is on call."""
    if "escalate" in written.model_fields_set:
        return policy.people(written.escalate, "escalate", reporter)
    return policy.said.defaults.escalate


def _check_severity(written: models.Rule, policy: Policy, reporter: Reporter) -> None:
    policy.check_severity(written.severity, ("severity",), reporter)


def _report_usual_proof(written: models.Rule, reporter: Reporter, *, proven: bool) -> None:
    if not proven:
        reporter.error(
            ("steps",), "none of these actions proves itself: say how success is seen, in `verify`"
        )
        return
    message = f"{written.name!r} has no `verify`: its actions' own checks are the proof, without `stable_for`"
    reporter.warn(("name",), message, key=False)


def _check_page_only(written: models.Rule, validated: Validated[models.Rule], reporter: Reporter) -> None:
    if written.steps or not validated.sound("steps"):
        return
    for key in ("approval", "verify", "on_failure"):
        if getattr(written, key):
            reporter.error((key,), f"`{key}` without `steps`: write steps, or leave it out", key=True)


def _approval(written: models.Approval | None) -> ApprovalTerms | None:
    return None if written is None else ApprovalTerms(written.within, written.otherwise)
