"""``POST /slack/interactivity``: people's clicks on the buttons of our messages.

Slack signs what it sends, and waits three seconds for the answer. What a click changes is seen in the
message, which the outbox updates; why one does not count is told to who clicked alone.

Payloads: https://docs.slack.dev/reference/interaction-payloads/block_actions-payload.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import parse_qs

import msgspec
import structlog
from aiohttp import hdrs, web

from remediator.core.approvals import APPROVE, DENY, Answer, How, Objection, Obstacle, read_ticket
from remediator.core.ids import RunId
from remediator.core.ports.store import StoreUnavailableError
from remediator.web.approvals import answer
from remediator.web.auth import Principal, people_by_slack
from remediator.web.endpoints import ProblemError, read_short
from remediator.web.ports import Clicks, WebDeps

PATH: Final = "/slack/interactivity"
_VERBS: Final = {APPROVE: True, DENY: False}

_log = structlog.get_logger(__name__)


class _Id(msgspec.Struct):
    id: str = ""


class _Container(msgspec.Struct):
    channel_id: str = ""


class _Action(msgspec.Struct):
    action_id: str = ""
    value: str = ""


class _Interaction(msgspec.Struct):
    """What we need of Slack's payload; it has much more, and other types than clicks."""

    type: str
    user: _Id = msgspec.field(default_factory=_Id)
    channel: _Id | None = None
    container: _Container | None = None
    response_url: str = ""
    actions: list[_Action] = msgspec.field(default_factory=list)

    @property
    def where(self) -> str:
        """The channel in which it was clicked."""
        return (self.channel and self.channel.id) or (self.container and self.container.channel_id) or ""


_decode = msgspec.json.Decoder(_Interaction).decode


class Interactivity:
    """Takes clicks; :meth:`take` is the route's handler."""

    def __init__(self, deps: WebDeps) -> None:
        self._deps = deps
        self._people = people_by_slack(deps.credentials)
        self._whispers: set[asyncio.Task[None]] = set()

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Take a click, if it is Slack's."""
        clicks, limits = self._deps.clicks, self._deps.limits
        try:
            async with asyncio.timeout(limits.click):
                body = await read_short(request, limits.click_bytes)
                if len(body) > limits.click_bytes:
                    return _refused(413, f"the body is over {limits.click_bytes} bytes")
                if clicks is None or not clicks.is_slacks(body, request.headers):
                    return self._stranger(request, "no signing secret is set" if clicks is None else "")
                return await self._taken(clicks, body)
        except (StoreUnavailableError, TimeoutError) as error:
            self._deps.metrics.store_failed()
            _log.error("click not taken", error=str(error) or f"no answer within {limits.click:g} s")
            return _refused(503, "the ledger did not answer; whether the click counts is not known")

    def _stranger(self, request: web.Request, why: str) -> web.Response:
        """Counted and alarmed, as on every door; ``why`` is for the log and people, not for the stranger."""
        self._deps.metrics.auth_refused(PATH)
        why = why or "its signature is wrong or missing, or older than five minutes"
        _log.warning("click refused", why=why, remote=request.remote)
        self._deps.alarms.alarm("slack_unauthorized", f"from {request.remote}: {why}")
        return _refused(401, "this is not signed by Slack with REMEDIATOR_SLACK_SIGNING_SECRET, or too old")

    async def _taken(self, clicks: Clicks, body: bytes) -> web.Response:
        try:
            payload = parse_qs(body.decode(), strict_parsing=True)["payload"][0]
            interaction = _decode(payload)
        except (ValueError, KeyError, msgspec.DecodeError) as error:
            _log.warning("click not understood", error=str(error))
            return _refused(400, "there is no `payload` of an interaction in the body")
        for action in interaction.actions:
            if interaction.type == "block_actions" and action.action_id in _VERBS:
                told = await self._answer(interaction, action)
                if told:
                    _log.info("click does not count", user=interaction.user.id, why=told)
                    self._whisper(clicks, interaction, told)
        return web.Response()

    async def _answer(self, interaction: _Interaction, action: _Action) -> str:
        """Give the answer that a button stands for; why it does not count, for who clicked, else nothing."""
        granted = _VERBS[action.action_id]
        ticket = read_ticket(action.value)
        if ticket is None:
            return "this button is of another version of Remediator, and asks for nothing any more"
        run, digest = ticket
        who = self._people.get(interaction.user.id)
        if who is None:
            return _nobody(interaction.user.id, run, granted=granted)
        if not who.may_operate:
            return f"{who.name} may look, not act: an operator of OPERATORS_FILE has to answer"
        return await self._given(who, run, Answer(granted, who.name, "", How.SLACK, digest))

    async def _given(self, who: Principal, run: RunId, given: Answer) -> str:
        rows = [row for row in await self._deps.store.run_row(run) if row.run.id == run]
        if not rows:
            return f"there is no run {run}"
        try:
            found = await answer(self._deps, who, rows[0], given)
        except ProblemError as error:
            return f"{error.detail}; {error.remedy}"
        # Slack, or an impatient finger, may send a click twice.
        if isinstance(found, Objection) and found.obstacle is not Obstacle.REPEATED:
            return f"{run}: {found.detail}"
        return ""

    def _whisper(self, clicks: Clicks, to: _Interaction, text: str) -> None:
        """Beside the answer, which Slack waits for."""
        said = clicks.whisper(text, channel=to.where, user=to.user.id, response_url=to.response_url)
        task = asyncio.ensure_future(said)
        self._whispers.add(task)
        task.add_done_callback(self._whispers.discard)

    async def close(self) -> None:
        """Whisper no more."""
        for task in self._whispers:
            task.cancel()
        await asyncio.gather(*self._whispers, return_exceptions=True)


def _nobody(user: str, run: RunId, *, granted: bool) -> str:
    verb = "approve" if granted else "deny"
    return (
        f"Slack user {user} is nobody of OPERATORS_FILE, so that this click counts for nothing: have"
        f" slack: {user} written into your entry there, or use remediator {verb} {run}"
    )


def _refused(status: int, detail: str) -> web.Response:
    headers = {hdrs.CONTENT_TYPE: "application/json"}
    return web.Response(status=status, body=msgspec.json.encode({"detail": detail}), headers=headers)
