"""``/api/v1``, ``/health`` and ``/ready``: what each endpoint does, and the table of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, TypeVar
from uuid import uuid4

import msgspec

from remediator.core.changes import DecisionFilter, Proposal, RunFilter
from remediator.core.durations import parse_duration
from remediator.core.guards import OVERRIDABLE, Guard, PauseScope
from remediator.core.ids import EpisodeId, RunId
from remediator.core.manual import Request
from remediator.core.ports.channels import RulebookError
from remediator.core.ports.store import NotCopiedError
from remediator.core.targets import Target, TargetError, parse_target
from remediator.engine.commands import CommandError
from remediator.web import explained, models, requests, views
from remediator.web.approvals import approvals, approve, deny
from remediator.web.endpoints import Access, Answer, Call, Download, Endpoint, ProblemError
from remediator.web.explaining import explain
from remediator.web.finding import outside, run_by_prefix
from remediator.web.health import overall
from remediator.web.ports import Health

_Value = TypeVar("_Value")
#: How long a request for a run waits for its decision, whose facts may take their time.
_PATIENCE: Final = timedelta(seconds=12)


async def _health(call: Call[None, None]) -> dict[str, Any]:
    known = await call.health.dependencies()
    head = models.HealthView(
        status=overall(known), timestamp=models.instant(datetime.now(UTC)), version=call.deps.version
    )
    parts = {
        name: models.DependencyView(status=found.status, detail=found.detail) for name, found in known.items()
    }
    return {**parts, **msgspec.structs.asdict(head)}


async def _ready(call: Call[None, None]) -> models.ReadyView | Answer:
    store = await call.health.store()
    if store.status is Health.HEALTHY:
        wrong = call.deps.rule_files()
        return models.ReadyView(status="ready", detail=f"the rule files: {wrong}" if wrong else "")
    detail = f"the store: {store.detail}"
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, models.ReadyView(status="unready", detail=detail))


async def _runs(call: Call[requests.RunsQuery, None]) -> list[models.RunView]:
    asked = call.query
    target = _given(asked.target)
    before = _given(asked.before)
    wanted = RunFilter(
        limit=asked.limit,
        rule=_given(asked.rule),
        target=None if target is None else str(_target(target)),
        since=_given(asked.since),
        before=None if before is None else RunId(before),
    )
    return [views.run(each) for each in await call.deps.store.history(wanted)]


async def _run(call: Call[None, None]) -> models.RunStory:
    return views.story(await run_by_prefix(call.deps.store, call.path["run"]))


async def _decisions(call: Call[requests.DecisionsQuery, None]) -> list[models.DecisionView]:
    rule, on = _given(call.query.rule), _given(call.query.episode)
    wanted = DecisionFilter(
        None if on is None else EpisodeId(on), None if rule is None else frozenset({rule})
    )
    rows = await call.deps.store.decisions(call.query.limit, _given(call.query.before), wanted)
    return [views.decision(row) for row in rows]


async def _episodes(call: Call[requests.EpisodesQuery, None]) -> models.PastView:
    asked, before = call.query, _given(call.query.before)
    from_ = None if before is None else EpisodeId(before)
    return views.past(await call.deps.store.past_episodes(_given(asked.since), from_, asked.limit))


async def _events(call: Call[requests.EventsQuery, None]) -> list[models.EventView]:
    return [views.event(each) for each in await call.deps.store.events(call.query.after, call.query.limit)]


async def _status(call: Call[None, None]) -> models.StatusView:
    store = call.deps.store
    return models.StatusView(
        version=call.deps.version,
        mode=call.deps.mode.word,
        time=models.instant(await store.now()),
        rulebook=views.rulebook(await store.active_rulebook()),
        rule_files=call.deps.rule_files(),
        drift=call.deps.drift(),
        backlog=views.backlog(await store.backlog()),
        pauses=[views.pause(each) for each in await store.pauses()],
        brakes=[views.brake(each) for each in (await store.brakes(timedelta(0))).rows if not each.release],
        quarantines=[views.quarantine(each) for each in await store.quarantines()],
        pages=[views.page(each) for each in await store.open_pages()],
        asking=[views.asking(each) for each in await store.asking()],
        unreadable=[views.unreadable(each) for each in await store.unreadable()],
    )


async def _quarantines(call: Call[None, None]) -> list[models.QuarantineView]:
    return [views.quarantine(each) for each in await call.deps.store.quarantines()]


async def _copy(call: Call[None, None]) -> Download:
    try:
        copy = call.deps.store.copy()
    except NotCopiedError as error:
        raise ProblemError(
            HTTPStatus.CONFLICT, str(error), "docs/operations.md says how, and how to put it back"
        ) from None
    return Download(copy, "remediator.db")


async def _pause(call: Call[None, requests.PauseRequest]) -> Answer:
    asked = call.body
    length = None if asked.length is None else _length(asked.length)
    value = _scope_value(call, asked.scope, asked.value)
    try:
        made = await call.deps.commands.pause(
            asked.scope, value, asked.why, call.who.name, length, asked.name
        )
    except CommandError as error:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), "mend it and ask again") from error
    return Answer(HTTPStatus.CREATED, views.pause(made))


async def _resume(call: Call[None, requests.ResumeRequest]) -> models.Resumed:
    asked = call.body
    if not isinstance(asked.id, msgspec.UnsetType):
        return await _lift(call, asked.id)
    value = _scope_value(call, asked.scope, asked.value)
    lifted = await call.deps.commands.resume(asked.scope, value, asked.why, call.who.name)
    if not lifted:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            f"there is no pause of scope {asked.scope.value}" + (f" and value {value}" if value else ""),
            "GET /api/v1/status lists the pauses in force",
        )
    return models.Resumed(lifted=lifted)


async def _lift(call: Call[None, requests.ResumeRequest], id_: int) -> models.Resumed:
    asked = call.body
    if asked.value or asked.scope is not PauseScope.ALL:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "`id` names one pause already", "leave `scope` and `value` out"
        )
    found = [each for each in await call.deps.store.pauses() if each.id == id_]
    for each in found:
        _scope_value(call, each.scope, each.value)
    if not found or await call.deps.commands.lift(id_, asked.why, call.who.name) is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            f"there is no pause {id_} in force",
            "GET /api/v1/status lists the pauses in force, with their ids",
        )
    return models.Resumed(lifted=1)


async def _clear(call: Call[None, requests.ClearRequest]) -> models.Cleared:
    target = _own_target(call, call.body.target)
    if not await call.deps.commands.clear(target, call.body.why, call.who.name):
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            f"{target} is not in quarantine",
            "GET /api/v1/status lists the targets that are",
        )
    return models.Cleared(target=str(target))


async def _acknowledge(call: Call[None, requests.AckRequest]) -> models.PageView:
    commands, asked = call.deps.commands, call.body
    page = await commands.open_page(asked.page)
    if page.call.target:
        _own_target(call, page.call.target)
    else:
        _everywhere(call, "take on what is about no single target")
    taken = await commands.acknowledge(page.id, asked.why, call.who.name)
    if taken is None:
        who = page.acknowledged_by
        raise ProblemError(
            HTTPStatus.CONFLICT,
            f"{who} has taken it on already" if who else "it is over, or was taken on, a moment ago",
            "GET /api/v1/status lists the pages that are open",
        )
    return views.page(taken)


async def _request_run(call: Call[None, requests.RunRequest]) -> Answer:
    asked, commands = call.body, call.deps.commands
    overridden = _overridden(call)
    id_ = _given(asked.request) or uuid4().hex
    request = Request(asked.rule, call.who.name, asked.why, asked.labels, overridden)
    try:
        target = commands.requested(asked.rule, asked.labels)
        if not call.who.may_act_on(target):
            raise outside(call.who, f"act on {target}")
        key = await commands.run(id_, request)
    except CommandError as error:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), "mend it and ask again") from error
    made = await commands.decided(key, _PATIENCE)
    decision = None if made is None else views.decision(made)
    return Answer(HTTPStatus.ACCEPTED, models.Requested(id_, str(target), decision))


def _overridden(call: Call[None, requests.RunRequest]) -> frozenset[Guard]:
    asked = frozenset(call.body.override)
    if asked:
        call.require_person()
    if beyond := asked - OVERRIDABLE:
        allowed = ", ".join(sorted(OVERRIDABLE))
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"nobody may override {', '.join(sorted(beyond))}",
            f"only these can be overridden: {allowed}",
        )
    return asked


async def _reload(call: Call[None, None]) -> models.Reloaded:
    _everywhere(call, "reload the rulebook")
    try:
        proposal = await call.deps.commands.reload(call.who.name)
    except RulebookError as error:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "the rule files can't be used; the rulebook that was in force still is",
            "mend what `problems` lists; `remediator check` finds the same",
            error.problems,
        ) from None
    if proposal is Proposal.OVERTAKEN:
        raise ProblemError(
            HTTPStatus.CONFLICT,
            "another rulebook was put in force while this one was proposed, and stays so",
            "compare both, and reload again if you still mean it",
        )
    return models.Reloaded(
        proposal=proposal, rulebook=views.rulebook(await call.deps.store.active_rulebook())
    )


def _given(value: _Value | msgspec.UnsetType) -> _Value | None:
    return None if isinstance(value, msgspec.UnsetType) else value


def _scope_value(call: Call[Any, Any], scope: PauseScope, value: str) -> str:
    if scope is PauseScope.TARGET:
        return str(_own_target(call, value))
    _everywhere(call, f"pause or resume the scope {scope.value}")
    if scope is PauseScope.RULE and not value:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "the scope rule needs a value", "name the rule in `value`"
        )
    if scope is PauseScope.ALL and value:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "the scope all takes no value",
            "set `scope` to rule or target, or leave `value` out",
        )
    return value


def _own_target(call: Call[Any, Any], text: str) -> Target:
    target = _target(text)
    if not call.who.may_act_on(target):
        raise outside(call.who, f"act on {target}")
    return target


def _everywhere(call: Call[Any, Any], what: str) -> None:
    if call.who.namespaces:
        raise outside(call.who, what)


def _target(text: str) -> Target:
    try:
        return parse_target(text)
    except TargetError as error:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"the target can't be used: {error}",
            "write it as kind/namespace/name, such as deployment/shop/cart",
        ) from None


def _length(text: str) -> timedelta:
    try:
        length = parse_duration(text)
    except ValueError as error:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"`for`: {error}", "write it like 2h") from None
    if not length:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "`for` is no time at all", "write it like 2h, or leave it out"
        )
    return length


_V1 = "/api/v1"
_ID = {"run": "A run's id, or its beginning if no other run's begins so."}

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", "/health", "getHealth", "How the daemon and its dependencies do; 200 while it lives.",
        Access.ANYBODY, _health, {200: models.HealthView}, open_ended=models.DependencyView,
    ),
    Endpoint(
        "GET", "/ready", "getReady", "Whether a webhook would be kept now; 503 only if not.",
        Access.ANYBODY, _ready, {200: models.ReadyView, 503: models.ReadyView},
    ),
    Endpoint(
        "GET", f"{_V1}/status", "getStatus", "Mode, rulebook, backlog, pauses, quarantines, and who waits.",
        Access.VIEWER, _status, {200: models.StatusView},
    ),
    Endpoint(
        "GET", f"{_V1}/runs", "listRuns", "Runs, newest first.",
        Access.VIEWER, _runs, {200: list[models.RunView]}, query=requests.RunsQuery, problems=(422,),
    ),
    Endpoint(
        "GET", f"{_V1}/runs/{{run}}", "getRun", "A run with its alerts, decisions, attempts and events.",
        Access.VIEWER, _run, {200: models.RunStory}, problems=(404, 409), parameters=_ID,
    ),
    Endpoint(
        "GET", f"{_V1}/decisions", "listDecisions", "Decisions with their facts and guards, newest first.",
        Access.VIEWER, _decisions, {200: list[models.DecisionView]},
        query=requests.DecisionsQuery, problems=(422,),
    ),
    Endpoint(
        "GET", f"{_V1}/episodes", "listEpisodes", "Episodes with the decisions on them, newest first.",
        Access.VIEWER, _episodes, {200: models.PastView}, query=requests.EpisodesQuery, problems=(422,),
    ),
    Endpoint(
        "GET", f"{_V1}/explain", "explain", "Why a run, an episode, a rule or an alert went as it did.",
        Access.VIEWER, explain, {200: explained.Explained},
        query=explained.ExplainQuery, problems=(404, 409, 422),
    ),
    Endpoint(
        "GET", f"{_V1}/events", "listEvents", "Events after an id, oldest first.",
        Access.VIEWER, _events, {200: list[models.EventView]}, query=requests.EventsQuery, problems=(422,),
    ),
    Endpoint(
        "POST", f"{_V1}/runs", "requestRun", "Run a rule by hand, past every guard that is not overridden.",
        Access.OPERATOR, _request_run, {202: models.Requested}, body=requests.RunRequest,
        problems=(400, 403, 413, 415, 422),
    ),
    Endpoint(
        "POST", f"{_V1}/pauses", "pause", "Pause everything, a rule or a target.",
        Access.OPERATOR, _pause, {201: models.PauseView}, body=requests.PauseRequest,
        problems=(400, 403, 413, 415, 422),
    ),
    Endpoint(
        "POST", f"{_V1}/resume", "resume", "Lift the pauses of a scope, or one by its id.",
        Access.OPERATOR, _resume, {200: models.Resumed}, body=requests.ResumeRequest,
        problems=(400, 403, 404, 413, 415, 422),
    ),
    Endpoint(
        "GET", f"{_V1}/quarantines", "listQuarantines", "The quarantined targets, oldest first.",
        Access.VIEWER, _quarantines, {200: list[models.QuarantineView]},
    ),
    Endpoint(
        "POST", f"{_V1}/clear", "clear", "Lift a target's quarantine; needs a person's own token.",
        Access.PERSON, _clear, {200: models.Cleared}, body=requests.ClearRequest,
        problems=(400, 403, 404, 413, 415, 422),
    ),
    Endpoint(
        "POST", f"{_V1}/ack", "acknowledge", "Take a page on: nobody else is called for it.",
        Access.OPERATOR, _acknowledge, {200: models.PageView}, body=requests.AckRequest,
        problems=(400, 403, 409, 413, 415, 422),
    ),
    Endpoint(
        "GET", f"{_V1}/approvals", "listApprovals", "The plans that wait for a person's approval.",
        Access.VIEWER, approvals, {200: list[models.ApprovalView]},
    ),
    Endpoint(
        "POST", f"{_V1}/runs/{{run}}/approve", "approve", "Approve what a run asks for; needs a person.",
        Access.PERSON, approve, {200: models.ApprovalView}, body=requests.AnswerRequest,
        problems=(400, 403, 404, 409, 413, 415, 422), parameters=_ID,
    ),
    Endpoint(
        "POST", f"{_V1}/runs/{{run}}/deny", "deny", "Deny it, which ends the run; needs a person.",
        Access.PERSON, deny, {200: models.ApprovalView}, body=requests.AnswerRequest,
        problems=(400, 403, 404, 409, 413, 415, 422), parameters=_ID,
    ),
    Endpoint(
        "GET", f"{_V1}/ledger", "copyLedger", "A consistent copy of the ledger as it is now, in one file.",
        Access.OPERATOR, _copy, {200: bytes}, problems=(409,),
    ),
    Endpoint(
        "POST", f"{_V1}/rulebook/reload", "reloadRulebook", "Put the rule files as they are now in force.",
        Access.OPERATOR, _reload, {200: models.Reloaded}, problems=(403, 409, 422),
    ),
)  # fmt: skip
