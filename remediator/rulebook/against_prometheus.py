"""A rulebook beside Prometheus' alerting rules: who waits in vain, and which critical alerts nobody takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from remediator.core.implications import contradiction
from remediator.core.matchers import Matcher, Operator, parse_matcher
from remediator.core.rules import AlertTrigger, Rule, Rulebook, Severity
from remediator.rulebook.compile import Judgement
from remediator.rulebook.problems import Problem, nearest
from remediator.rulebook.prometheus import AlertingRule

#: Of what urgency an alert is critical, by name; where a policy has neither, its most urgent level is.
CRITICAL = ("P0", "P1")
_USUAL = Severity("P1", (parse_matcher('severity="critical"'),))
_MOST_NAMED = 3


def without_alert(judgement: Judgement, alerts: Sequence[AlertingRule]) -> list[Problem]:
    """Rules whose matchers hold for none of these alerts, whatever labels their series bring."""
    return [
        Problem(reporter.place(("when", "matchers", at)), f"{rule.name!r} is never asked: {why}")
        for rule, reporter in judgement.written
        if (found := _why_unreached(rule, alerts)) is not None
        for at, why in [found]
    ]


def without_rule(judgement: Judgement, alerts: Iterable[AlertingRule]) -> list[Problem]:
    """Critical alerts that no rule can take."""
    book = judgement.rulebook
    if book is None:
        return []
    triggers = [rule.trigger for rule in book.rules if isinstance(rule.trigger, AlertTrigger)]
    sound = [trigger.matchers for trigger in triggers if contradiction(trigger.matchers) is None]
    return [
        Problem(
            alert.place,
            f"no rule takes the critical alert {alert.name!r}: write one; without `steps` it only pages",
        )
        for alert in alerts
        if _is_critical(book, alert)
        and not (book.watchdog.matchers and alert.surely(book.watchdog.matchers))
        and all(alert.refusing(matchers) is not None for matchers in sound)
    ]


def _why_unreached(rule: Rule, alerts: Sequence[AlertingRule]) -> tuple[int, str] | None:
    """Which of a rule's matchers no alert satisfies, as far as can be told, and what to do about it."""
    if not isinstance(rule.trigger, AlertTrigger) or contradiction(rule.trigger.matchers) is not None:
        return None
    matchers = rule.trigger.matchers
    refusals = [(alert, alert.refusing(matchers)) for alert in alerts]
    if not refusals or any(refused is None for _, refused in refusals):
        return None
    named = [each for each in matchers if each.name == "alertname"]
    near = [(alert, refused) for alert, refused in refusals if refused not in named and refused is not None]
    if not near:
        first = named[0]
        return matchers.index(first), f"no alert's name satisfies {first}: {_meant(first, alerts)}"
    _, refused = near[0]
    places = ", ".join(_shown(refused, alert) for alert, each in near[:_MOST_NAMED] if each == refused)
    return matchers.index(refused), f"no alert satisfies {refused} besides: mend it, or the label in {places}"


def _shown(refused: Matcher, alert: AlertingRule) -> str:
    return f"{alert.place} ({refused.name}={alert.labels[refused.name]!r})"


def _meant(matcher: Matcher, alerts: Iterable[AlertingRule]) -> str:
    near = nearest(matcher.value, dict.fromkeys(alert.name for alert in alerts))
    likely = matcher.operator is Operator.EQUAL and near.startswith("did")
    return near if likely else "mend it, or name the file that has such alerts too"


def _is_critical(book: Rulebook, alert: AlertingRule) -> bool:
    """Whether an alert is critical for sure, by the first level of the policy that it has."""
    levels = [each for each in book.severities if each.matchers] or [_USUAL]
    critical = {each.name for each in levels if each.name in CRITICAL} or {levels[0].name}
    for level in levels:
        if alert.surely(level.matchers):
            return level.name in critical
        if alert.refusing(level.matchers) is None and level.name not in critical:
            return False  # it may be less urgent than what follows
    return False
