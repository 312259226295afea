"""Scenarios that together take every arrow of the transition table, and what must come of each.

Each is a rule, or two of which the first keeps the target from the second, and a world that makes a run take
the wanted way. All faults of the world are a service's own, so that many services are struck at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from remediator.core.runs import Move, RunState
from remediator.sandbox.alertmanager import Alert
from remediator.sandbox.faults import Answer, DropReply, Late, Refuse
from tests.faults.boundaries import Exchange, arrow
from tests.support.preemption import PREEMPTS, SHARES
from tests.support.processes import eventually
from tests.support.rulebooks import NAMESPACE, alert, image, rule, step

if TYPE_CHECKING:
    from tests.faults.arena import Arena

_S, _M = RunState, Move
Prepare = Callable[["Arena", str], None]
Drive = Callable[["Arena", "list[str]"], Awaitable[None]]
#: Of what is not struck nothing is over while a machine is slow: only a whole scenario has to end in time.
_AMPLE, _STEP = "20m", "5m"
ROLLED_OUT: Final = {"within": _AMPLE, "checks": [{"check": "kubernetes.rolled_out"}]}
SECOND: Final = "-second"
"""What the name of a scenario's second rule ends with."""


def _nothing(_arena: Arena, _name: str) -> None:
    """The world is as it was broken."""


async def _just_wait(_arena: Arena, _names: list[str]) -> None:
    """The runs end by themselves."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """``takes`` are the places that it is struck at; ``ends`` each outcome that may come of it, with how many
    changes are then made to the service. ``second`` is the same of the second rule's run. Services of one
    that is driven ``together`` share what is done to them all."""

    name: str
    takes: tuple[str, ...]
    ends: Mapping[str, int]
    fields: Mapping[str, Any] = field(default_factory=dict)
    second: Mapping[str, Any] | None = None
    second_ends: Mapping[str, int] = field(default_factory=dict)
    releases: int = 3
    broken: tuple[int, ...] = (3,)
    prepare: Prepare = _nothing
    drive: Drive = _just_wait
    together: bool = False

    def rules(self) -> list[dict[str, Any]]:
        """The rules that its alerts match, by their label `scenario`."""
        written = [_rule(self.name, self.fields)]
        if self.second is not None:
            written.append(_rule(self.name + SECOND, self.second))
        return written

    def alert(self, name: str, *, second: bool = False) -> Alert:
        return alert(name, labels={"scenario": self.name + (SECOND if second else "")})


def _rule(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    usual = {"when": {"matchers": [f'scenario="{name}"']}, "deadline": _AMPLE, "verify": ROLLED_OUT}
    undo = step(id="undo", timeout=_STEP, retry=2)
    return rule(name, **{"steps": [undo], **usual, **fields})


# What the world does to one service.


def _once(fault: Any) -> Prepare:
    def prepare(arena: Arena, name: str) -> None:
        arena.fault(arena.changing(name), fault, times=1)

    return prepare


def _blind(arena: Arena, name: str) -> None:
    arena.fault(lambda request: request.verb == "get" and request.name == name, Answer(503))


def _blind_once_changed(arena: Arena, name: str) -> None:
    def hidden(request: Any) -> bool:
        return request.verb == "get" and request.name == name and name in arena.changed()

    arena.fault(hidden, Answer(503))


def _lost_and_blind(arena: Arena, name: str) -> None:
    arena.fault(arena.changing(name), DropReply(), times=1)
    _blind_once_changed(arena, name)


def _listing_pods(name: str) -> Callable[[Any], bool]:
    def listing(request: Any) -> bool:
        return request.resource.plural == "pods" and f"app={name}" in request.query.get("labelSelector", "")

    return listing


def _podless(arena: Arena, name: str) -> None:
    arena.fault(_listing_pods(name), Answer(503))


def _podless_once(arena: Arena, name: str) -> None:
    arena.fault(_listing_pods(name), Answer(503), times=1)


def _held(arena: Arena, name: str) -> None:
    arena.fault(arena.changing(name), Late(arena.gates[name]))


def _protected(arena: Arena, name: str) -> None:
    arena.cluster.annotate(NAMESPACE, name, {"remediator.dev/protected": "true"})


def _never_back(arena: Arena, name: str) -> None:
    arena.cluster.break_image(image(name, 2))


# What is done while the runs are under way.


async def _resolve(arena: Arena, names: list[str]) -> None:
    await arena.in_state("cancel", names, "ready")
    await arena.resolve(CANCEL, names)


def _let_go(arena: Arena, names: list[str]) -> None:
    for name in names:
        arena.gates[name].set()


async def _second_while_held(arena: Arena, names: list[str]) -> None:
    await arena.in_state("held", names, "acting")
    await arena.fire(HELD, names, second=True)
    await arena.ended("held" + SECOND, names)
    _let_go(arena, names)


async def _withdrawn_while_held(arena: Arena, names: list[str]) -> None:
    await arena.in_state("withdrawn", names, "acting")
    await arena.fire(WITHDRAWN, names, second=True)
    await arena.in_state("withdrawn" + SECOND, names, "pending")
    await arena.resolve(WITHDRAWN, names, second=True)
    await arena.ended("withdrawn" + SECOND, names)
    _let_go(arena, names)


async def _unreadable_while_held(arena: Arena, names: list[str]) -> None:
    """What the second run is pinned to was written by a version that this one can't read."""
    await arena.in_state("unreadable", names, "acting")
    pinned = await arena.another_rulebook()
    await arena.fire(UNREADABLE, names, second=True)
    await arena.in_state("unreadable" + SECOND, names, "pending")
    await arena.another_rulebook()
    await arena.make_unreadable(pinned)
    await arena.ended("unreadable" + SECOND, names)
    _let_go(arena, names)


async def _answer(arena: Arena, scenario: Scenario, names: list[str], *, approve: bool) -> None:
    """Answer whatever is asked until the runs have ended: what was approved may be asked once more."""
    left = set(names)

    async def all_answered() -> bool:
        runs = await arena.runs(scenario.name, names)
        for run in runs.values():
            if run["state"] == _S.ASKING:
                await arena.answer(run["id"], approve=approve)
        left.difference_update(name for name, run in runs.items() if RunState(run["state"]).is_final)
        return not left

    await eventually(all_answered, f"each request of {scenario.name} is answered", within=60)


async def _approve(arena: Arena, names: list[str]) -> None:
    await _answer(arena, APPROVED, names, approve=True)


async def _deny(arena: Arena, names: list[str]) -> None:
    await _answer(arena, DENIED, names, approve=False)


async def _approve_another(arena: Arena, names: list[str]) -> None:
    """Between asking and answering the world moves, so that what was approved is not what would be done."""
    await arena.in_state("outdated", names, "asking")
    for name in names:
        arena.cluster.set_image(NAMESPACE, name, image(name, 4))
    await arena.cluster.settled()
    await _answer(arena, OUTDATED, names, approve=True)


async def _resolve_while_asking(arena: Arena, names: list[str]) -> None:
    await arena.in_state("withdrawn_request", names, "asking")
    await arena.resolve(WITHDRAWN_REQUEST, names)


async def _unreadable_while_asking(arena: Arena, names: list[str]) -> None:
    """What they are pinned to is of a version that this one can't read, and nothing is left to ask."""
    await arena.in_state("unreadable_request", names, "asking")
    pinned = await arena.rulebook()
    await arena.another_rulebook()
    await arena.make_unreadable(pinned)
    await arena.resolve(UNREADABLE_REQUEST, names)


_HOLDING = {"steps": [step(id="undo", timeout=_STEP)]}
#: It may get the target for a moment while its holder is taken over, and must do nothing with it.
_HELD_OFF = {"steps": [step(with_={"to_revision": 99})]}
_HELD_ENDS = {"expired": 0, "failed": 0}

REPAIR = Scenario(
    "repair",
    takes=(
        *(each.value for each in Exchange),
        arrow(_S.PENDING, _M.LEASE),
        arrow(_S.READY, _M.INTEND),
        arrow(_S.ACTING, _M.SUCCEED),
        arrow(_S.READY, _M.VERIFY),
        arrow(_S.VERIFYING, _M.PROVE),
    ),
    ends={"succeeded": 1},
)
OBSERVE = Scenario(
    "observe", takes=(arrow(_S.PENDING, _M.OBSERVE),), ends={"observed": 0}, fields={"mode": "observe"}
)
RETRY = Scenario(
    "retry",
    takes=(arrow(_S.ACTING, _M.MISS),),
    ends={"succeeded": 1},
    prepare=_once(Answer(409)),
)
LOST = Scenario(
    "lost",
    takes=(arrow(_S.ACTING, _M.LOSE), arrow(_S.PROBING, _M.SUCCEED)),
    ends={"succeeded": 1},
    prepare=_once(DropReply()),
)
UNSENT = Scenario(
    "unsent", takes=(arrow(_S.PROBING, _M.MISS),), ends={"succeeded": 1}, prepare=_once(Refuse())
)
FALLBACK = Scenario(
    "fallback",
    takes=(arrow(_S.READY, _M.MISS), arrow(_S.READY, _M.FALL_BACK)),
    ends={"succeeded": 1},
    fields={"on_failure": [step("kubernetes.rollout_restart", timeout=_STEP, retry=2)]},
    releases=1,
    broken=(),
)
DISPROVEN = Scenario(
    "disproven",
    takes=(arrow(_S.VERIFYING, _M.DISPROVE), arrow(_S.READY, _M.FAIL)),
    ends={"failed": 1},
    fields={"verify": {**ROLLED_OUT, "within": "1s"}},
    prepare=_never_back,
)
UNPROVABLE = Scenario(
    "unprovable",
    takes=(arrow(_S.PROBING, _M.GIVE_UP),),
    ends={"unknown": 1},
    prepare=_lost_and_blind,
)
UNPROVEN = Scenario(
    "unproven",
    takes=(arrow(_S.VERIFYING, _M.GIVE_UP),),
    ends={"unknown": 1},
    fields={"verify": {"within": "1s", "checks": [{"check": "kubernetes.pods_ready"}]}},
    prepare=_podless,
)
STRANDED = Scenario(
    "stranded",
    takes=(arrow(_S.READY, _M.GIVE_UP),),
    ends={"unknown": 1},
    fields={
        "steps": [
            step(id="undo", timeout=_STEP, retry=2),
            step("kubernetes.scale", id="grow", timeout="1s", with_={"replicas": 4}),
        ]
    },
    prepare=_blind_once_changed,
)
CANCEL = Scenario(
    "cancel",
    takes=(arrow(_S.READY, _M.CANCEL),),
    ends={"cancelled": 0},
    prepare=_blind,
    drive=_resolve,
)
REFUSE = Scenario("refuse", takes=(arrow(_S.READY, _M.REFUSE),), ends={"refused": 0}, prepare=_protected)
EXPIRE = Scenario(
    "expire",
    takes=(arrow(_S.READY, _M.EXPIRE),),
    ends={"expired": 0},
    fields={"deadline": "1s"},
    prepare=_blind,
)
HELD = Scenario(
    "held",
    takes=(arrow(_S.PENDING, _M.EXPIRE),),
    ends={"succeeded": 1},
    fields=_HOLDING,
    second={**_HELD_OFF, "deadline": "1s"},
    second_ends=_HELD_ENDS,
    prepare=_held,
    drive=_second_while_held,
)
WITHDRAWN = Scenario(
    "withdrawn",
    takes=(arrow(_S.PENDING, _M.CANCEL),),
    ends={"succeeded": 1},
    fields=_HOLDING,
    second=_HELD_OFF,
    second_ends={"cancelled": 0, **_HELD_ENDS},
    prepare=_held,
    drive=_withdrawn_while_held,
)
UNREADABLE = Scenario(
    "unreadable",
    takes=(arrow(_S.PENDING, _M.REFUSE),),
    ends={"succeeded": 1},
    fields=_HOLDING,
    second=_HELD_OFF,
    second_ends={"refused": 0, "unknown": 0, **_HELD_ENDS},
    prepare=_held,
    drive=_unreadable_while_held,
    together=True,
)

_ASKS = {"approval": {"within": "10m", "otherwise": "escalate"}}
APPROVED = Scenario(
    "approved",
    takes=(arrow(_S.PENDING, _M.ASK), arrow(_S.ASKING, _M.GRANT)),
    ends={"succeeded": 1},
    fields=_ASKS,
    drive=_approve,
)
DENIED = Scenario(
    "denied", takes=(arrow(_S.ASKING, _M.DENY),), ends={"refused": 0}, fields=_ASKS, drive=_deny
)
LAPSED = Scenario(
    "lapsed",
    takes=(arrow(_S.ASKING, _M.LAPSE),),
    ends={"expired": 0},
    fields={"approval": {"within": "1s", "otherwise": "escalate"}},
)
OUTDATED = Scenario(
    "outdated",
    takes=(arrow(_S.READY, _M.ASK),),
    ends={"succeeded": 1},
    fields=_ASKS,
    broken=(),
    drive=_approve_another,
)
WITHDRAWN_REQUEST = Scenario(
    "withdrawn_request",
    takes=(arrow(_S.ASKING, _M.CANCEL),),
    ends={"cancelled": 0},
    fields=_ASKS,
    drive=_resolve_while_asking,
)
UNREADABLE_REQUEST = Scenario(
    "unreadable_request",
    takes=(arrow(_S.ASKING, _M.REFUSE),),
    ends={"refused": 0},
    fields=_ASKS,
    drive=_unreadable_while_asking,
    together=True,
)


def _preempted(name: str, held: str, takes: str, prepare: Prepare = _nothing) -> Scenario:
    """A run that shares its service is held where it is until one that may preempt it has done its work.

    What struck it as it gave way may let it go on afterwards; it changes nothing in any case.
    """

    def holding(arena: Arena, service: str) -> None:
        arena.strikes.hold(service, name, held)
        prepare(arena, service)

    async def seize(arena: Arena, names: list[str]) -> None:
        await arena.held(names)
        await arena.fire(scenario, names, second=True)
        await arena.ended(name + SECOND, names)
        for each in names:
            arena.strikes.let_go(each)

    scenario = Scenario(
        name,
        takes=(takes,),
        ends={"cancelled": 0, "succeeded": 0},
        fields={
            "steps": [step(SHARES, id="look", timeout=_STEP, retry=5)],
            "verify": {"within": _AMPLE, "checks": [{"check": "kubernetes.deployments"}]},
        },
        second={"steps": [step(PREEMPTS, id="seize", timeout=_STEP, retry=2)]},
        second_ends={"succeeded": 1},
        prepare=holding,
        drive=seize,
    )
    return scenario


PREEMPTED = tuple(
    _preempted(f"preempted_{state.value}", arrow(state, held), arrow(state, _M.YIELD), prepare)
    for state, held, prepare in (
        (_S.PENDING, _M.LEASE, _nothing),
        (_S.READY, _M.VERIFY, _nothing),
        (_S.ACTING, _M.SUCCEED, _nothing),
        (_S.PROBING, _M.MISS, _podless_once),
        (_S.VERIFYING, _M.PROVE, _nothing),
    )
)

SCENARIOS: Final = (
    REPAIR,
    OBSERVE,
    RETRY,
    LOST,
    UNSENT,
    FALLBACK,
    DISPROVEN,
    UNPROVABLE,
    UNPROVEN,
    STRANDED,
    CANCEL,
    REFUSE,
    EXPIRE,
    HELD,
    WITHDRAWN,
    UNREADABLE,
    APPROVED,
    DENIED,
    LAPSED,
    OUTDATED,
    WITHDRAWN_REQUEST,
    UNREADABLE_REQUEST,
    *PREEMPTED,
)
