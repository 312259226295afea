"""Laws 4 and 5 forgotten: acts without intent, blind retries, two actors on one target."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from remediator.actions.kubernetes import fencing
from remediator.actions.kubernetes.deployments import DeploymentAction
from remediator.actions.kubernetes.objects import TOKEN
from remediator.clients.kubernetes import ApiError
from remediator.core.ids import RunId
from remediator.core.leases import Contention, Cover, Held, Lease, Occupied, Preempted, Side, contend
from remediator.core.ports.actions import ActionContext, Plan, Probe, Sighting
from remediator.core.rules import Step
from remediator.core.runs import Attempt
from remediator.engine.acting import step_key
from remediator.engine.attempts import Attempts
from remediator.engine.journal import Journal
from remediator.engine.leases import Holder
from remediator.store.sqlite import leases
from remediator.store.sqlite.transaction import Transaction
from tests.simulation.bugs.bug import Bug, laws

# Law 4.


async def _act_before_the_intent(
    attempts: Attempts, step: Step, plan: Plan, params: Mapping[str, object], *given: Any
) -> Any:
    run, now = attempts._run, await attempts._parts.store.now()
    attempt = Attempt(
        id=step_key(run, step),
        run=run.id,
        step=step.id,
        phase=run.phase,
        position=run.position,
        number=run.attempts + 1,
        action=step.action,
        params=params,
        token=attempts._holder.token,
        intended_at=now,
        deadline_at=now + step.timeout,
    )
    over_at = asyncio.get_running_loop().time() + step.timeout.total_seconds()
    await attempts._acting.apply(run, attempt, plan, over_at, {})
    return await _make(attempts, step, plan, params, *given)


_make: Any = Attempts.make


async def _try_again_blindly(attempts: Attempts, step: Step) -> None:
    await attempts.miss(step, "tried again", counted=False, attempt=attempts._journal.last_attempt)


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


def _blind(standing: Occupied, forgotten: Sequence[str]) -> Occupied:
    return replace(standing, **{name: _NOTHING[name] for name in forgotten})


_contend: Any = contend


_renew_once: Any = Holder._renew_once


async def _renewed_whoever_preempts(holder: Holder) -> Lease | Preempted | None:
    lease = holder.lease
    answer: Lease | Preempted | None = await _renew_once(holder)
    if isinstance(answer, Lease):
        return answer
    holder._renewed_at = asyncio.get_running_loop().time()
    return lease


def _barred_by_who_is_alone(cover: Cover, other: Cover) -> bool:
    apart = cover.side is Side.WHOLE or cover.side is not other.side
    return cover.place == other.place and apart and not (cover.shared or other.shared)


BUGS: Sequence[Bug] = (
    Bug(
        "act before intent",
        "the change is sent before its intent is durable",
        laws("law_4_an_intent_precedes_each_change"),
        {"remediator.engine.attempts.Attempts.make": _act_before_the_intent},
    ),
    Bug(
        "blind retry",
        "an attempt whose outcome is lost is taken not to have happened",
        laws(
            "law_4_outcomes_are_true",
            "law_4_no_step_is_applied_twice",
            "law_4_an_intent_precedes_each_change",
        ),
        {"remediator.engine.attempts.Attempts.probe": _try_again_blindly},
    ),
    Bug(
        "probe without a stamp",
        "a probe looks at the target and leaves it open to a late writer",
        laws("law_4_an_intent_precedes_each_change", "law_4_no_step_is_applied_twice"),
        {"remediator.actions.kubernetes.deployments.DeploymentAction.probe": _probe_without_a_stamp},
    ),
    Bug(
        "unknown without quarantine",
        "a run ends as unknown and its target stays open to the next",
        laws("law_4_unknown_quarantines"),
        {"remediator.engine.journal.Journal.move": _move_without_quarantine},
    ),
    Bug(
        "doubt ignored",
        "a lease is given although nobody knows what another's attempt came to",
        laws("law_4_doubt_is_cleared_before_others_act"),
        {"remediator.store.sqlite.leases.contend": _contention_without("in_doubt")},
    ),
    Bug(
        "token ignored",
        "a write does not test the fencing token",
        laws("law_5_no_older_writer_after_a_newer_stamp", "law_4_an_intent_precedes_each_change"),
        {"remediator.actions.kubernetes.deployments.write": _write_without_token},
    ),
    Bug(
        "lease for two",
        "a lease is given although another's lives",
        laws("law_5_nobody_takes_a_lease_that_lives"),
        {"remediator.store.sqlite.leases.contend": _contention_without("until")},
    ),
    Bug(
        "shared beside alone",
        "who shares a target gets it although another holds it alone",
        laws("law_5_one_lease_per_target", "law_5_nobody_works_beside_who_holds_it_alone"),
        {"remediator.core.leases.Cover.bars": _barred_by_who_is_alone},
    ),
    Bug(
        "expired lease",
        "nobody heeds that a lease is over: neither who held it, nor the ledger",
        laws("law_5_only_the_holder_moves_a_run", "law_5_tokens_grow"),
        {
            **{
                f"remediator.store.sqlite.leases.{name}": statement.replace("expires_at > ?", "? IS NOT NULL")
                for name, statement in (("_LEASED", leases._LEASED), ("_RENEW", leases._RENEW))
            },
            "remediator.engine.leases.Holder._left": lambda holder: holder._ttl.total_seconds(),
        },
    ),
    Bug(
        "preempted and goes on",
        "a run that another preempts works on until its lease is gone, and beyond",
        laws("law_5_nobody_works_beside_who_holds_it_alone"),
        {"remediator.engine.leases.Holder._renew_once": _renewed_whoever_preempts},
    ),
    Bug(
        "tokens that do not grow",
        "a lease that is taken anew has its old token",
        laws("law_5_tokens_grow"),
        {"remediator.store.sqlite.leases.acquire": _the_same_token_again},
    ),
)
