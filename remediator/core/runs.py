"""Runs: their states as a table, from which the documentation draws its diagram.

A run is one execution of a rule on a target. Only :func:`move` changes its state, and only along the
table; anything else raises :class:`IllegalMoveError` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from remediator.core.ids import AttemptId, EpisodeId, RulebookHash, RunId, Token
from remediator.core.reasons import Reason
from remediator.core.rules import Mode
from remediator.core.targets import Target


class RunState(StrEnum):
    """Where a run is; the last seven are final."""

    PENDING = "pending"
    ASKING = "asking"
    READY = "ready"
    ACTING = "acting"
    PROBING = "probing"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    OBSERVED = "observed"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        return self in FINAL


FINAL = frozenset(
    {
        RunState.SUCCEEDED,
        RunState.FAILED,
        RunState.UNKNOWN,
        RunState.OBSERVED,
        RunState.CANCELLED,
        RunState.REFUSED,
        RunState.EXPIRED,
    }
)


class Move(StrEnum):
    """What takes a run from one state to the next."""

    ASK = "ask"
    GRANT = "grant"
    DENY = "deny"
    LAPSE = "lapse"
    LEASE = "lease"
    OBSERVE = "observe"
    CANCEL = "cancel"
    REFUSE = "refuse"
    EXPIRE = "expire"
    YIELD = "yield"
    INTEND = "intend"
    SUCCEED = "succeed"
    MISS = "miss"
    LOSE = "lose"
    FALL_BACK = "fall_back"
    FAIL = "fail"
    VERIFY = "verify"
    PROVE = "prove"
    DISPROVE = "disprove"
    GIVE_UP = "give_up"


_S, _M = RunState, Move

TRANSITIONS: Mapping[tuple[RunState, Move], RunState] = {
    # Nothing has been touched yet: about to ask, or waiting for the lease, for a place, for a pause to end.
    (_S.PENDING, _M.ASK): _S.ASKING,
    (_S.PENDING, _M.LEASE): _S.READY,
    (_S.PENDING, _M.OBSERVE): _S.OBSERVED,
    (_S.PENDING, _M.CANCEL): _S.CANCELLED,
    (_S.PENDING, _M.REFUSE): _S.REFUSED,
    (_S.PENDING, _M.EXPIRE): _S.EXPIRED,
    # A person has been asked: it holds no lease and no slot, and a grant decides everything anew.
    (_S.ASKING, _M.GRANT): _S.PENDING,
    (_S.ASKING, _M.DENY): _S.REFUSED,
    (_S.ASKING, _M.LAPSE): _S.EXPIRED,
    (_S.ASKING, _M.CANCEL): _S.CANCELLED,
    (_S.ASKING, _M.REFUSE): _S.REFUSED,
    # Between steps, with the lease.
    (_S.READY, _M.ASK): _S.ASKING,
    (_S.READY, _M.CANCEL): _S.CANCELLED,
    (_S.READY, _M.REFUSE): _S.REFUSED,
    (_S.READY, _M.EXPIRE): _S.EXPIRED,
    (_S.READY, _M.INTEND): _S.ACTING,
    (_S.READY, _M.MISS): _S.READY,
    (_S.READY, _M.FALL_BACK): _S.READY,
    (_S.READY, _M.FAIL): _S.FAILED,
    (_S.READY, _M.VERIFY): _S.VERIFYING,
    (_S.READY, _M.GIVE_UP): _S.UNKNOWN,
    # An attempt has its intent written down and no outcome.
    (_S.ACTING, _M.SUCCEED): _S.READY,
    (_S.ACTING, _M.MISS): _S.READY,
    (_S.ACTING, _M.LOSE): _S.PROBING,
    # Nobody knows whether the attempt happened: look, never repeat blindly.
    (_S.PROBING, _M.SUCCEED): _S.READY,
    (_S.PROBING, _M.MISS): _S.READY,
    (_S.PROBING, _M.GIVE_UP): _S.UNKNOWN,
    # Every step is done: now the world has to say that it got better.
    (_S.VERIFYING, _M.PROVE): _S.SUCCEEDED,
    (_S.VERIFYING, _M.DISPROVE): _S.READY,
    (_S.VERIFYING, _M.GIVE_UP): _S.UNKNOWN,
    # Another run that may preempt it is to have the target, which this one only shared.
    (_S.PENDING, _M.YIELD): _S.CANCELLED,
    (_S.READY, _M.YIELD): _S.CANCELLED,
    (_S.ACTING, _M.YIELD): _S.CANCELLED,
    (_S.PROBING, _M.YIELD): _S.CANCELLED,
    (_S.VERIFYING, _M.YIELD): _S.CANCELLED,
}


class IllegalMoveError(Exception):
    """A run was asked to go where the table has no arrow; nothing was changed."""

    def __init__(self, state: RunState, wanted: Move) -> None:
        super().__init__(f"a run that is {state.value} can't {wanted.value.replace('_', ' ')}")
        self.state = state
        self.wanted = wanted


class Phase(StrEnum):
    """Which of the rule's step lists a run is in."""

    STEPS = "steps"
    ON_FAILURE = "on_failure"


class Outcome(StrEnum):
    """What became of an attempt; whatever is not proven is unknown."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a rule on a target.

    ``position`` is the index of the next step in the ``phase``, ``tries`` how often that step has been
    proven to have failed, ``attempts`` how many attempts that step has had. ``results`` are earlier
    steps' results by step id. ``broken`` is set once a step or the proof has been proven to have failed
    and what follows (``on_failure``, or the end) has not begun. Times are the store's.
    """

    id: RunId
    rule: str
    target: Target
    severity: str
    mode: Mode
    rulebook: RulebookHash
    episode: EpisodeId
    created_at: datetime
    deadline_at: datetime
    state: RunState = RunState.PENDING
    phase: Phase = Phase.STEPS
    position: int = 0
    tries: int = 0
    attempts: int = 0
    results: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    broken: bool = False
    started_at: datetime | None = None
    verifying_since: datetime | None = None
    ended_at: datetime | None = None
    reason: Reason | None = None
    detail: str = ""

    @property
    def reached_intent(self) -> bool:
        """Whether it ever meant to change the world; only such a run starts a cooldown."""
        return self.started_at is not None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a step. ``plan`` is what was to be done, ``diff`` how a person reads it.

    At ``deadline_at`` it is given up. Unless it is ``fenced``, its target refuses no late writer, and nobody
    looks at or touches the target before then.
    """

    id: AttemptId
    run: RunId
    step: str
    phase: Phase
    position: int
    number: int
    action: str
    params: Mapping[str, object]
    token: Token
    intended_at: datetime
    deadline_at: datetime
    summary: str = ""
    diff: str = ""
    plan: Mapping[str, object] = field(default_factory=dict)
    outcome: Outcome | None = None
    detail: str = ""
    ended_at: datetime | None = None
    fenced: bool = True


def move(run: Run, wanted: Move, now: datetime, *, reason: Reason | None = None, detail: str = "") -> Run:
    """Take a run along one arrow of the table; final states get their end, reason and detail.

    Raises:
        IllegalMoveError: the table has no such arrow.
    """
    following = TRANSITIONS.get((run.state, wanted))
    if following is None:
        raise IllegalMoveError(run.state, wanted)
    if following.is_final:
        return replace(run, state=following, ended_at=now, reason=reason, detail=detail)
    return replace(run, state=following, detail=detail)
