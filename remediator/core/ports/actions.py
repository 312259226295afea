"""The Action and Check ports: what changes the world, and what looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from remediator.core.checks import CheckAnswer, CheckContext
from remediator.core.ids import AttemptId, RunId, Token
from remediator.core.leases import LeaseMode
from remediator.core.reasons import Reason
from remediator.core.runs import Outcome
from remediator.core.sights import NOTHING_SEEN, Sight
from remediator.core.targets import Target


class ParameterError(ValueError):
    """Parameters don't fit; ``path`` leads to the place within them, the message says what to write."""

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


class Fence(StrEnum):
    """Whether the target itself refuses a writer whose token is old."""

    TARGET = "target"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """What is known of an action without its SDK.

    ``kinds`` are the target kinds it acts on. ``parse`` validates parameters and returns a frozen value
    (raises :class:`ParameterError`); with ``templates`` true, text that holds ``{{`` passes any field,
    because it is validated again once rendered. ``proof`` names the checks that verify it when its rule
    names none. ``schema`` is the JSON Schema of the parameters. ``permissions`` are the Kubernetes
    permissions it needs, each ``(api group, resource, verb)``. One whose ``lease`` is shared leaves its
    target as it is, and needs only that nobody changes it meanwhile; an exclusive one that ``preempts`` makes
    such holders give way. Between ``critical`` ones that follow each other the world must not be left as it
    is: once one of them is done, a pause waits until the last of them is.
    """

    name: str
    summary: str
    kinds: frozenset[str]
    fence: Fence
    parse: Callable[[Mapping[str, object], bool], object]
    schema: Mapping[str, object]
    proof: tuple[str, ...] = ()
    permissions: frozenset[tuple[str, str, str]] = frozenset()
    lease: LeaseMode = LeaseMode.EXCLUSIVE
    preempts: bool = False
    critical: bool = False


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """What is known of a check without its SDK; fields as in :class:`ActionSpec`."""

    name: str
    summary: str
    kinds: frozenset[str]
    parse: Callable[[Mapping[str, object], bool], object]
    schema: Mapping[str, object]
    permissions: frozenset[tuple[str, str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class ActionContext:
    """Everything an action is told. ``cause`` is one line that may be left on the target for people.

    ``attempt`` is found on the target by :meth:`Action.probe`; ``token`` is the lease's at this call;
    ``deadline`` is when :meth:`Action.apply` is given up. ``earlier`` is the plan's data of the step's try
    before this one, if there was one: who finds the target changed since must not take it for what failed.
    ``labels`` are those that guards judged the target by, as its plan saw them, ``None`` where it bore none.
    """

    target: Target
    params: object
    run: RunId
    attempt: AttemptId
    token: Token
    cause: str
    now: datetime
    deadline: datetime
    earlier: Mapping[str, object] | None = None
    labels: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action would do: a sentence, a unified diff, and ``data`` (JSON-able) that apply works from.

    ``sight`` is what it saw of the target. An approval binds ``data``, but for the members named in
    ``fleeting``, which are new with each planning as a time is; where steps before it change what it starts
    from, those in ``goal``, which say where it leads.
    """

    summary: str
    diff: str
    data: Mapping[str, object] = field(default_factory=dict)
    goal: tuple[str, ...] = ()
    fleeting: tuple[str, ...] = ()
    sight: Sight = NOTHING_SEEN


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an action can't or must not be done now; nothing was changed.

    ``reason`` is set when a guard would say so too (a protected object). ``temporary`` says that asking
    again soon may help: the API did not answer.
    """

    detail: str
    reason: Reason | None = None
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an apply. ``failed`` is proven not to have changed the target; else ``unknown``.

    ``values`` are what later steps' templates see under ``steps.ID``.
    """

    outcome: Outcome
    detail: str
    values: Mapping[str, object] = field(default_factory=dict)


class Sighting(StrEnum):
    """What a probe found."""

    HAPPENED = "happened"
    NOT_HAPPENED = "not_happened"
    UNPROVABLE = "unprovable"


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe's finding; ``values`` as in :class:`Result`."""

    sighting: Sighting
    detail: str
    values: Mapping[str, object] = field(default_factory=dict)


class Action(Protocol):
    """Changes the world.

    No method raises for what the world does: SDK errors become values at the edge. Only cancellation
    and programming errors leave as exceptions.
    """

    @property
    def spec(self) -> ActionSpec: ...

    async def plan(self, context: ActionContext) -> Plan | Refusal:
        """Look, change nothing, and say what :meth:`apply` would do. Safe to call at any time."""
        ...

    async def apply(self, context: ActionContext, plan: Plan) -> Result:
        """Do what was planned, once, leaving ``context.attempt`` on the target.

        Called only after the intent is durable. With ``Fence.TARGET`` it first stamps the token, if
        greater, and each write, the stamp included, tests that the target is not protected and still bears
        ``context.labels``; the change itself tests the token and the very fields that it replaces, so a
        target that moved since the plan is refused. ``FAILED`` is said only when the change is proven not
        to have been made and can no longer arrive; anything else that went wrong is ``UNKNOWN``.
        """
        ...

    async def probe(self, context: ActionContext, plan: Plan) -> Probe:
        """Find out whether ``context.attempt`` happened.

        With ``Fence.TARGET`` it stamps ``context.token`` (newer than the attempt's) before it looks, so
        that no earlier writer can arrive after a ``NOT_HAPPENED``.
        """
        ...


class Check(Protocol):
    """Looks and changes nothing; says yes, no or error, and does not raise for what the world does."""

    @property
    def spec(self) -> CheckSpec: ...

    async def look(self, context: CheckContext) -> CheckAnswer: ...
