"""Counting: how many Deployments a namespace has, where the brake has a budget for a share of them."""

from __future__ import annotations

from dataclasses import replace

from remediator.core.checks import DEPLOYMENTS, Concerned, Fact
from remediator.core.guards import Question
from remediator.core.rules import Condition
from remediator.engine.facts import Facts

_COUNT = Condition(DEPLOYMENTS, {"at_least": 0})


async def count_deployments(facts: Facts, question: Question, episodes: Concerned) -> Fact:
    """The fact that says how many there are; in error it is asked again for a while, as any other is."""
    (fact,) = await facts.gather((_COUNT,), question.target, episodes, {})
    return fact


def with_count(question: Question, fact: Fact) -> Question:
    """The question with what was counted; a fact that does not hold counts nothing."""
    found = fact.answer.evidence.get("deployments") if fact.holds else None
    return replace(question, deployments=found if isinstance(found, int) else None)
