"""``/api/v1/explain``: why a run, an episode, a rule or an alert went as it did."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from http import HTTPStatus
from typing import Any

from remediator.core import explaining as core
from remediator.core.changes import ReasonCount
from remediator.core.rules import AlertTrigger, Rule
from remediator.engine.explaining import NotKnownError, SeveralRunsError
from remediator.web import explained, models, views
from remediator.web.endpoints import Call, ProblemError


async def explain(call: Call[explained.ExplainQuery, None]) -> explained.Explained:
    """What is asked about, with all that was stored of why."""
    try:
        found = await call.deps.commands.explain(call.query.of)
    except NotKnownError as error:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            str(error),
            "name a run by its id, an episode by its number, a rule by its name, an alert by its fingerprint,"
            " name or labels; GET /api/v1/runs and /api/v1/decisions list what there is",
        ) from None
    except SeveralRunsError as error:
        raise ProblemError(HTTPStatus.CONFLICT, str(error), "write more of the id") from None
    return _explained(found)


@singledispatch
def _explained(it: core.Explanation) -> explained.Explained:
    message = f"nothing explains a {type(it).__name__}"
    raise TypeError(message)


@_explained.register
def _(it: core.RunExplained) -> explained.RunExplained:
    return explained.RunExplained(**views.story_fields(it.row), asked=_asked(it.asked))


@_explained.register
def _(it: core.EpisodeStory) -> explained.EpisodeExplained:
    return explained.EpisodeExplained(**_story_fields(it))


@_explained.register
def _(it: core.AlertExplained) -> explained.AlertExplained:
    stories = [explained.EpisodeStory(**_story_fields(each)) for each in it.episodes]
    return explained.AlertExplained(asked_for=it.asked_for, episodes=stories)


@_explained.register
def _(it: core.RuleExplained) -> explained.RuleExplained:
    rule = it.rule
    return explained.RuleExplained(
        rule=it.name,
        was=[] if rule is None else list(rule.was),
        summary="" if rule is None else rule.summary,
        in_force=rule is not None,
        mode=it.mode.word,
        matchers=[] if rule is None else _matchers(rule),
        from_defaults=[] if rule is None else list(rule.from_defaults),
        counts=[_count(each) for each in it.counts],
        decisions=[views.decision(each) for each in it.decisions],
        not_taken=[
            explained.NotTakenView(
                episode=views.episode(each.episode),
                account=None if each.account is None else _account(each.account),
            )
            for each in it.not_taken
        ],
        guards=[
            explained.GuardsNowView(
                target=str(each.target), guards=[views.guard(answer) for answer in each.answers]
            )
            for each in it.guards
        ],
        pauses=[views.pause(each) for each in it.pauses],
        quarantines=[views.quarantine(each) for each in it.quarantines],
    )


def _story_fields(it: core.EpisodeStory) -> Mapping[str, Any]:
    return {
        **views.episode_fields(it.episode),
        "decisions": [views.decision(each) for each in it.decisions],
        "asked": _asked(it.asked),
        "runs": [views.run(each) for each in it.runs],
    }


def _asked(asked: tuple[core.RulesAsked, ...]) -> list[explained.RulesAskedView]:
    return [
        explained.RulesAskedView(
            rulebook=each.rulebook, kept=each.kept, rules=[_account(rule) for rule in each.rules]
        )
        for each in asked
    ]


def _account(it: core.RuleAccount) -> explained.RuleAccountView:
    return explained.RuleAccountView(
        rule=it.rule,
        standing=it.standing,
        meaning=it.standing.meaning,
        decision=it.decision,
        matchers=[
            explained.MatcherView(matcher=str(each.matcher), value=each.value, holds=each.holds)
            for each in it.matchers
        ],
        facts=[views.fact(each) for each in it.facts],
    )


def _matchers(rule: Rule) -> list[str]:
    return [str(each) for each in rule.trigger.matchers] if isinstance(rule.trigger, AlertTrigger) else []


def _count(it: ReasonCount) -> explained.ReasonCountView:
    return explained.ReasonCountView(
        kind=it.kind,
        reason=it.reason,
        meaning=it.reason.meaning,
        count=it.count,
        latest=models.instant(it.latest),
    )
