"""Planted bugs: each takes a law out of the product's code, and must be caught within so many seeds.

A bug is a name, what it breaks, the laws of which one must catch it, and what it puts in the place of which
of the product's own names. Whoever adds a guard, or anything else that a law rests on, adds a bug that
forgets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from remediator.actions.kubernetes import fencing
from remediator.actions.kubernetes.deployments import DeploymentAction
from remediator.actions.kubernetes.objects import TOKEN
from remediator.clients.kubernetes import ApiError
from remediator.core import counts, decide
from remediator.core.changes import OutboxItem, RawWebhook
from remediator.core.checks import CheckAnswer, Said
from remediator.core.counts import Counted
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
from remediator.core.ids import RunId
from remediator.core.leases import Contention, Held, Lease, Standing, contend
from remediator.core.notices import Envelope
from remediator.core.ports.actions import ActionContext, Plan, Probe, Sighting
from remediator.core.rules import Expect, Step
from remediator.core.runs import Attempt, Run
from remediator.engine import proof
from remediator.engine.acting import step_key
from remediator.engine.driver import Driver
from remediator.engine.journal import Journal
from remediator.engine.outbox import OutboxLoop
from remediator.engine.proof import Finding, Proof, Proven
from remediator.store.sqlite import SqliteStore, inbox, leases, moves
from remediator.store.sqlite.transaction import Transaction
from tests.simulation.patching import replacing
from tests.simulation.simulation import Result, simulate

#: Within so many seeds each bug must be caught.
WITHIN = 200


@dataclass(frozen=True, slots=True)
class Bug:
    """What is put in the place of what, by its dotted path; ``laws`` are those that may catch it."""

    name: str
    what: str
    laws: frozenset[str]
    replaced: Mapping[str, object]


def play(seed: int, bug: str | None = None, *, schedule: bool = False) -> Result:
    """Simulate a seed, with a bug planted if one is named."""
    with nullcontext() if bug is None else planted(BUGS[bug]):
        return simulate(seed, schedule=schedule)


def planted(bug: Bug) -> AbstractContextManager[None]:
    """Plant a bug for as long as the context is entered."""
    return replacing(bug.replaced)


# Law 1.


async def _answer_before_it_is_kept(store: SqliteStore, source: str, body: bytes) -> None:
    saving = asyncio.ensure_future(_save_webhook(store, source, body))
    saving.add_done_callback(lambda done: done.cancelled() or done.exception())


_save_webhook = SqliteStore.save_webhook


def _taken_when_handed_out(transaction: Transaction, max_bytes: int) -> list[RawWebhook]:
    found = _untaken_webhooks(transaction, max_bytes)
    marks = [(transaction.micros, webhook.id) for webhook in found]
    transaction.sql.executemany("UPDATE webhooks SET taken_at = ? WHERE id = ?", marks)
    return found


_untaken_webhooks = inbox.untaken_webhooks


# Law 2.


def _each_firing(window: Sequence[Counted], enough: int) -> tuple[int, datetime | None]:
    return len(window), window[enough - 1].at if len(window) >= enough else None


def _over_at_once(counted: Counted, *given: Any) -> counts.Standing:
    return replace(_standing(counted, *given), over_at=counted.at)


_standing = counts._standing


# Law 3.


def _decide_on_what_has_resolved(episode: Any, question: Any, view: Any) -> decide.Decision:
    return _decide(replace(episode, closed=None), question, view)


_decide = decide.decide


# Law 4.


async def _act_before_the_intent(
    driver: Driver, step: Step, plan: Plan, params: Mapping[str, object], *given: Any
) -> None:
    run, now = driver._run, await driver._parts.store.now()
    attempt = Attempt(
        id=step_key(run, step),
        run=run.id,
        step=step.id,
        phase=run.phase,
        position=run.position,
        number=run.attempts + 1,
        action=step.action,
        params=params,
        token=driver._token,
        intended_at=now,
        deadline_at=now + step.timeout,
    )
    over_at = asyncio.get_running_loop().time() + step.timeout.total_seconds()
    await driver._acting.apply(run, attempt, plan, over_at, {})
    await _attempt(driver, step, plan, params, *given)


_attempt: Any = Driver._attempt


async def _try_again_blindly(driver: Driver) -> None:
    await driver._miss(driver._current_step(), "tried again", counted=False, attempt=driver._last_attempt())


async def _probe_without_a_stamp(action: DeploymentAction, context: ActionContext, plan: Plan) -> Probe:
    del plan
    target = context.target
    try:
        found = await action._client.get_deployment(target.namespace, target.name)
        where = await action._bearer(found, context.attempt)
    except ApiError as error:
        return Probe(Sighting.UNPROVABLE, str(error))
    return Probe(Sighting.HAPPENED if where else Sighting.NOT_HAPPENED, "looked")


async def _move_without_quarantine(
    journal: Journal, *given: Any, quarantine: bool = False, **more: Any
) -> None:
    del quarantine
    await _move(journal, *given, **more)


_move = Journal.move


# Law 5.


class _Careless:
    """A client whose patches test no token."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def patch_deployment(self, namespace: str, name: str, operations: Sequence[Any]) -> Any:
        token = TOKEN.replace("/", "~1")
        kept = [each for each in operations if each["op"] != "test" or not each["path"].endswith(token)]
        return await self._client.patch_deployment(namespace, name, kept)


async def _write_without_token(client: Any, *given: Any) -> Any:
    return await _write(_Careless(client), *given)


_write: Any = fencing.write


def _the_same_token_again(transaction: Transaction, run: RunId, **given: Any) -> Lease | Held:
    row = transaction.sql.execute("SELECT token FROM leases WHERE run = ?", (run,)).fetchone()
    lease: Lease | Held = _acquire(transaction, run, **given)
    if row is None or isinstance(lease, Held):
        return lease
    transaction.sql.execute("UPDATE leases SET token = ? WHERE run = ?", (row[0], run))
    return replace(lease, token=row[0])


_acquire: Any = leases.acquire


def _contention_without(*forgotten: str) -> Callable[..., Contention]:
    """Contention as if nothing of these were standing: a live lease, or an attempt in doubt."""

    def contending(run: Any, owner: Any, covers: Any, found: Any, now: Any, **more: Any) -> Contention:
        seen = [_blind(each, forgotten) for each in found]
        contention: Contention = _contend(run, owner, covers, seen, now, **more)
        return contention

    return contending


_NOTHING: Mapping[str, Any] = {"until": None, "in_doubt": False}


def _blind(standing: Standing, forgotten: Sequence[str]) -> Standing:
    return replace(standing, **{name: _NOTHING[name] for name in forgotten})


_contend: Any = contend


# Laws 6 and 9.


def _error_is_as_good(answer: CheckAnswer, expect: Expect) -> bool:
    return answer.said is Said.ERROR or answer.said.value == expect.value


async def _proven_unseen(*_given: Any) -> Finding:
    return Finding(Proven.PROVEN, "nobody looked")


async def _watch_for_a_moment(this: Proof, run: Run, verify: Any, *given: Any) -> Finding:
    return await _watch(this, run, replace(verify, stable_for=timedelta(0)), *given)


_watch = Proof.watch


def _an_error_disproves(facts: Any, verify: Any, *, good: bool) -> Finding:
    finding = _at_the_end(facts, verify, good=good)
    return replace(finding, verdict=Proven.DISPROVEN)


_at_the_end = proof._at_the_end


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


def _without(these: Sequence[Callable[..., GuardAnswer]], *forgotten: Callable[..., GuardAnswer]) -> object:
    return tuple(guard for guard in these if guard not in forgotten)


# Law 11.


async def _sent_before_it_is_delivered(loop: OutboxLoop, item: OutboxItem, _asked_at: float) -> None:
    await loop.store.sent(item, "")
    await loop._try(item, loop._notifiers.get(item.envelope.channel.partition(":")[0]))


def _the_older_is_dropped(_old: Envelope, new: Envelope) -> Envelope:
    return new


def _laws(*names: str) -> frozenset[str]:
    return frozenset(names)


def _runnable(transaction: Transaction, limit: int, leaving: Sequence[RunId]) -> list[RunId]:
    del leaving
    found = transaction.sql.execute(
        "SELECT id FROM runs WHERE state = 'pending' ORDER BY seq LIMIT ?", (limit,)
    )
    return [RunId(row[0]) for row in found]


_ALL = (
    Bug(
        "answer before it is kept",
        "a post is answered with 200 while it is being written",
        _laws("law_1_what_was_answered_is_kept"),
        {"remediator.store.sqlite.store.SqliteStore.save_webhook": _answer_before_it_is_kept},
    ),
    Bug(
        "taken when handed out",
        "a webhook counts as taken apart as soon as a replica has read it",
        _laws("law_1_what_was_answered_is_taken_in"),
        {
            "remediator.store.sqlite.inbox.untaken_webhooks": _taken_when_handed_out,
            "remediator.store.sqlite.inbox._STILL_UNTAKEN": inbox._STILL_UNTAKEN.replace(
                "taken_at IS NULL AND", ""
            ),
        },
    ),
    Bug(
        "join forgotten",
        "an episode begins a run of its own although one is under way",
        _laws("law_2_one_run_at_a_time", "law_2_a_burst_is_one_run"),
        {"remediator.core.decide._joined": lambda *_: None},
    ),
    Bug(
        "late join forgotten",
        "what a run covered, which has ended, begins another or counts as a relapse",
        _laws("law_2_a_burst_is_one_run", "law_2_what_a_run_covers_joins_it"),
        {"remediator.core.decide._covers": lambda *_: False},
    ),
    Bug(
        "count forgotten",
        "a rule that asks for several alerts acts on one",
        _laws("law_2_a_count_is_reached_within_its_window"),
        {"remediator.core.decide._too_few": lambda *_: None},
    ),
    Bug(
        "flapping counts",
        "a rule that asks for several alerts takes one that flaps for many",
        _laws("law_2_a_count_is_reached_within_its_window"),
        {"remediator.core.counts._alerts": _each_firing},
    ),
    Bug(
        "no patience",
        "an alert that waits for others goes on to the next rule at once",
        _laws("law_2_who_goes_on_was_not_enough"),
        {"remediator.core.counts._standing": _over_at_once},
    ),
    Bug(
        "resolved acts",
        "an episode that closed is decided on like an open one",
        _laws("law_3_only_firing_alerts_act"),
        {"remediator.engine.dispatcher.decide": _decide_on_what_has_resolved},
    ),
    Bug(
        "cancel without asking",
        "a run is cancelled although an alert joined it meanwhile",
        _laws("law_3_only_firing_alerts_act"),
        {"remediator.store.sqlite.moves.still_fires": lambda *_: False},
    ),
    Bug(
        "act before intent",
        "the change is sent before its intent is durable",
        _laws("law_4_an_intent_precedes_each_change"),
        {"remediator.engine.driver.Driver._attempt": _act_before_the_intent},
    ),
    Bug(
        "blind retry",
        "an attempt whose outcome is lost is taken not to have happened",
        _laws(
            "law_4_outcomes_are_true",
            "law_4_no_step_is_applied_twice",
            "law_4_an_intent_precedes_each_change",
        ),
        {"remediator.engine.driver.Driver._probe": _try_again_blindly},
    ),
    Bug(
        "probe without a stamp",
        "a probe looks at the target and leaves it open to a late writer",
        _laws("law_4_an_intent_precedes_each_change", "law_4_no_step_is_applied_twice"),
        {"remediator.actions.kubernetes.deployments.DeploymentAction.probe": _probe_without_a_stamp},
    ),
    Bug(
        "unknown without quarantine",
        "a run ends as unknown and its target stays open to the next",
        _laws("law_4_unknown_quarantines"),
        {"remediator.engine.journal.Journal.move": _move_without_quarantine},
    ),
    Bug(
        "doubt ignored",
        "a lease is given although nobody knows what another's attempt came to",
        _laws("law_4_doubt_is_cleared_before_others_act"),
        {"remediator.store.sqlite.leases.contend": _contention_without("in_doubt")},
    ),
    Bug(
        "token ignored",
        "a write does not test the fencing token",
        _laws("law_5_no_older_writer_after_a_newer_stamp", "law_4_an_intent_precedes_each_change"),
        {"remediator.actions.kubernetes.deployments.write": _write_without_token},
    ),
    Bug(
        "lease for two",
        "a lease is given although another's lives",
        _laws("law_5_nobody_takes_a_lease_that_lives"),
        {"remediator.store.sqlite.leases.contend": _contention_without("until")},
    ),
    Bug(
        "tokens that do not grow",
        "a lease that is taken anew has its old token",
        _laws("law_5_tokens_grow"),
        {"remediator.store.sqlite.leases.acquire": _the_same_token_again},
    ),
    Bug(
        "error is yes",
        "a check that can't answer counts as the answer that is wanted",
        _laws("law_6_errors_lead_to_no_action", "law_9_success_is_proven"),
        {"remediator.core.checks.CheckAnswer.meets": _error_is_as_good},
    ),
    Bug(
        "no second guard",
        "guards are asked at the decision alone",
        _laws(
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
        _laws("law_7_no_intent_while_paused"),
        {
            "remediator.core.guards.asking._WAITING_STEP": _without(
                asking._WAITING_STEP, standing.waiting_pause
            )
        },
    ),
    Bug(
        "cooldown forgotten",
        "a rule acts again on a target as soon as its last run has ended",
        _laws("law_7_cooldown"),
        {"remediator.core.guards.asking._ENTRY": _without(asking._ENTRY, entry.cooldown)},
    ),
    Bug(
        "rate forgotten",
        "a rule acts on a target as often as its cooldown lets it",
        _laws("law_7_rates"),
        {"remediator.core.guards.asking._ENTRY": _without(asking._ENTRY, limits.rate)},
    ),
    Bug(
        "targets forgotten",
        "a rule acts on any number of targets",
        _laws("law_7_rates"),
        {"remediator.core.guards.asking._ENTRY": _without(asking._ENTRY, limits.targets)},
    ),
    Bug(
        "freeze forgotten",
        "a rule acts although nothing may be changed",
        _laws("law_7_no_intent_in_a_freeze"),
        {"remediator.core.guards.asking._ENTRY": _without(asking._ENTRY, entry.freeze)},
    ),
    Bug(
        "approval forgotten",
        "a run acts although nobody has said so",
        _laws("law_7_no_intent_unapproved"),
        {
            "remediator.core.guards.entry.approval": _approved_by_nobody,
            "remediator.engine.consent.Consent.granted": property(lambda _consent: True),
        },
    ),
    Bug(
        "slot not in the transaction",
        "the slot is taken after the intent, in a transaction of its own",
        _laws("law_7_slots_are_first_intents", "law_8_no_more_than_so_many_in_parallel"),
        {
            "remediator.store.sqlite.moves._take_slot": lambda *_: None,
            "remediator.store.sqlite.store.SqliteStore.intend": _take_the_slot_afterwards,
        },
    ),
    Bug(
        "brake forgotten",
        "any number of runs act at once",
        _laws("law_8_no_more_than_so_many_in_parallel"),
        {"remediator.core.guards.asking._ENTRY": _without(asking._ENTRY, brake.parallel)},
    ),
    Bug(
        "labels not tested",
        "a write does not test the labels that the guards judged by",
        _laws("law_7_what_is_labelled_as_protected_is_not_changed"),
        {"remediator.actions.kubernetes.fencing.Bounds.tests": lambda *_: []},
    ),
    Bug(
        "labels not judged",
        "what its labels protect is acted on",
        _laws("law_7_what_is_labelled_as_protected_is_not_changed"),
        {"remediator.core.selections.Selection.fits": lambda selection, _: not selection.labels},
    ),
    Bug(
        "share not reckoned",
        "any part of a namespace is acted on at once",
        _laws("law_8_no_more_than_a_share_of_a_namespace"),
        {"remediator.core.guards.brake._shares_spent": lambda *_: iter(())},
    ),
    Bug(
        "success unseen",
        "a run whose steps are done has succeeded",
        _laws("law_9_success_is_proven"),
        {"remediator.engine.proof.Proof.watch": _proven_unseen},
    ),
    Bug(
        "a moment's proof",
        "the proof need not hold for as long as the rule asks",
        _laws("law_9_success_is_proven"),
        {"remediator.engine.proof.Proof.watch": _watch_for_a_moment},
    ),
    Bug(
        "an error disproves",
        "what could not be proven counts as proven to have failed",
        _laws("law_9_on_failure_follows_proof_alone"),
        {"remediator.engine.proof._at_the_end": _an_error_disproves},
    ),
    Bug(
        "sent before it is delivered",
        "a notice counts as sent before its channel has it",
        _laws("law_11_each_run_is_reported", "law_11_each_decision_is_reported"),
        {"remediator.engine.outbox.OutboxLoop._deliver": _sent_before_it_is_delivered},
    ),
    Bug(
        "digest drops",
        "a notice that takes an unsent one's place forgets what that one told",
        _laws("law_11_each_decision_is_reported"),
        {"remediator.store.sqlite.outbox.in_place_of": _the_older_is_dropped},
    ),
    Bug(
        "runs of the dead are left",
        "nobody takes over a run whose holder is gone",
        _laws("everything_ends"),
        {"remediator.store.sqlite.runs.runnable": _runnable},
    ),
    Bug(
        "claims of the dead last",
        "what was handed out to a replica that died is never handed out again",
        _laws("everything_ends", "law_11_each_run_is_reported", "law_11_each_decision_is_reported"),
        {"remediator.store.sqlite.claims.Claims.expire": lambda *_: None},
    ),
)


BUGS: Mapping[str, Bug] = {bug.name: bug for bug in _ALL}
