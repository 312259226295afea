"""Laws 6 to 8 forgotten: errors that act, guards that are not asked, a brake that does not hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from remediator.core.checks import CheckAnswer, Said
from remediator.core.guards import (
    Guard,
    GuardAnswer,
    GuardView,
    Question,
    Verdict,
    asking,
    brake,
    entry,
    limits,
    standing,
)
from remediator.core.guards.values import allow
from remediator.core.rules import Expect, Step
from remediator.core.runs import Outcome
from remediator.engine.sections import Sections
from remediator.store.sqlite import SqliteStore, moves
from tests.simulation.bugs.bug import Bug, laws, without

# Law 6.


def _error_is_as_good(answer: CheckAnswer, expect: Expect) -> bool:
    return answer.said is Said.ERROR or answer.said.value == expect.value


# Laws 7 and 8.


def _allow_everything(*_given: Any) -> Verdict:
    return Verdict(())


async def _take_the_slot_afterwards(
    store: SqliteStore, token: Any, request: Any, ask: Any, change: Any
) -> Any:
    intended = await _intend(store, token, request, ask, change)
    if request.first and getattr(intended, "change", None) is not None:
        await store._writer.submit(lambda transaction: _take_slot(transaction, intended.change.run))
    return intended


_intend: Any = SqliteStore.intend
_take_slot = moves._take_slot


def _approved_by_nobody(_question: Question, _view: GuardView) -> GuardAnswer:
    return allow(Guard.APPROVAL, "not asked for")


def _once_within_always_within(sections: Sections, _step: Step) -> bool:
    done = [each for each in sections._journal.story.attempts if each.outcome is Outcome.SUCCEEDED]
    return any(each.action in sections._critical for each in done)


async def _say_nothing(_sections: Sections) -> None:
    return


BUGS: Sequence[Bug] = (
    Bug(
        "error is yes",
        "a check that can't answer counts as the answer that is wanted",
        laws("law_6_errors_lead_to_no_action", "law_9_success_is_proven"),
        {"remediator.core.checks.CheckAnswer.meets": _error_is_as_good},
    ),
    Bug(
        "no second guard",
        "guards are asked at the decision alone",
        laws(
            "law_3_only_firing_alerts_act",
            "law_4_unknown_quarantines",
            "law_7_no_intent_while_paused",
            "law_7_cooldown",
            "law_7_rates",
            "law_7_no_intent_in_a_freeze",
            "law_7_no_intent_unapproved",
            "law_8_no_more_than_so_many_in_parallel",
        ),
        {
            "remediator.engine.asking.Guards.ask": staticmethod(_allow_everything),
            "remediator.engine.asking.Guards.ask_before_plan": staticmethod(_allow_everything),
        },
    ),
    Bug(
        "pause forgotten before steps",
        "a run that has begun goes on while it is paused",
        laws("law_7_no_intent_while_paused"),
        {
            "remediator.core.guards.asking._WAITING_STEP": without(
                asking._WAITING_STEP, standing.waiting_pause
            )
        },
    ),
    Bug(
        "section cut",
        "a pause leaves a critical section half done",
        laws("law_7_a_pause_cuts_no_critical_section"),
        {"remediator.engine.sections.Sections.holds": lambda *_: False},
    ),
    Bug(
        "section without end",
        "a run that was in a critical section is never stopped by a pause any more",
        laws("law_7_no_intent_while_paused"),
        {"remediator.engine.sections.Sections.holds": _once_within_always_within},
    ),
    Bug(
        "pause waits in silence",
        "nobody hears that a pause waits for a critical section",
        laws("law_7_people_hear_that_their_pause_waits"),
        {"remediator.engine.sections.Sections._tell": _say_nothing},
    ),
    Bug(
        "cooldown forgotten",
        "a rule acts again on a target as soon as its last run has ended",
        laws("law_7_cooldown"),
        {"remediator.core.guards.asking._ENTRY": without(asking._ENTRY, entry.cooldown)},
    ),
    Bug(
        "rate forgotten",
        "a rule acts on a target as often as its cooldown lets it",
        laws("law_7_rates"),
        {"remediator.core.guards.asking._ENTRY": without(asking._ENTRY, limits.rate)},
    ),
    Bug(
        "targets forgotten",
        "a rule acts on any number of targets",
        laws("law_7_rates"),
        {"remediator.core.guards.asking._ENTRY": without(asking._ENTRY, limits.targets)},
    ),
    Bug(
        "freeze forgotten",
        "a rule acts although nothing may be changed",
        laws("law_7_no_intent_in_a_freeze"),
        {"remediator.core.guards.asking._ENTRY": without(asking._ENTRY, entry.freeze)},
    ),
    Bug(
        "approval forgotten",
        "a run acts although nobody has said so",
        laws("law_7_no_intent_unapproved"),
        {
            "remediator.core.guards.entry.approval": _approved_by_nobody,
            "remediator.engine.consent.Consent.granted": property(lambda _consent: True),
        },
    ),
    Bug(
        "slot not in the transaction",
        "the slot is taken after the intent, in a transaction of its own",
        laws("law_7_slots_are_first_intents", "law_8_no_more_than_so_many_in_parallel"),
        {
            "remediator.store.sqlite.moves._take_slot": lambda *_: None,
            "remediator.store.sqlite.store.SqliteStore.intend": _take_the_slot_afterwards,
        },
    ),
    Bug(
        "brake forgotten",
        "any number of runs act at once",
        laws("law_8_no_more_than_so_many_in_parallel"),
        {"remediator.core.guards.asking._ENTRY": without(asking._ENTRY, brake.parallel)},
    ),
    Bug(
        "labels not tested",
        "a write does not test the labels that the guards judged by",
        laws("law_7_what_is_labelled_as_protected_is_not_changed"),
        {"remediator.actions.kubernetes.fencing.Bounds.tests": lambda *_: []},
    ),
    Bug(
        "labels not judged",
        "what its labels protect is acted on",
        laws("law_7_what_is_labelled_as_protected_is_not_changed"),
        {"remediator.core.selections.Selection.fits": lambda selection, _: not selection.labels},
    ),
    Bug(
        "share not reckoned",
        "any part of a namespace is acted on at once",
        laws("law_8_no_more_than_a_share_of_a_namespace"),
        {"remediator.core.guards.brake._shares_spent": lambda *_: iter(())},
    ),
)
