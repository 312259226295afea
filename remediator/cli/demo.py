"""``remediator demo``: the whole main job on this machine alone, told as it happens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import click
import uvloop
from pydantic import SecretStr
from rich.console import Console

from remediator import shipped_rules
from remediator.app import Daemon, running
from remediator.cli.demo_view import DemoView
from remediator.core.changes import RunFilter
from remediator.core.rules import Mode
from remediator.core.runs import Run, RunState
from remediator.sandbox.alertmanager import AlertmanagerStandIn, webhook
from remediator.sandbox.kubernetes import StandIn
from remediator.sandbox.pagerduty import ROUTING_KEY, PagerDutyReceiver
from remediator.sandbox.scenario import BrokenRollout
from remediator.sandbox.slack import SlackReceiver
from remediator.settings import Address, NamedToken, Settings
from remediator.telemetry import configure_logging

_TOKEN = "demo"  # noqa: S105 - opens nothing but a daemon on loopback that lives for seconds
_DEADLINE = 60.0
_POLL = 0.05


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything serving afterwards, until Ctrl-C.")
def demo(*, keep: bool) -> None:
    """Break a service on a pretend cluster and watch its alert repair it."""
    try:
        sys.exit(uvloop.run(_demo(keep=keep)))
    except asyncio.CancelledError:
        raise click.Abort from None


async def _demo(*, keep: bool) -> int:
    _leave_nothing_behind_on_sigterm()
    configure_logging("console", (_TOKEN,), sys.stderr, level=logging.WARNING)
    view = DemoView(Console(highlight=False))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="remediator-demo-")))
        cluster = await stack.enter_async_context(StandIn())
        alertmanager = await stack.enter_async_context(AlertmanagerStandIn())
        slack = await stack.enter_async_context(SlackReceiver())
        pagerduty = await stack.enter_async_context(PagerDutyReceiver())
        broken = await stack.enter_async_context(BrokenRollout(cluster, alertmanager))
        settings = _settings(folder, alertmanager, slack, pagerduty)
        kubeconfig = str(cluster.kubeconfig(folder / "kubeconfig"))
        daemon = await stack.enter_async_context(running(settings, kubeconfig=kubeconfig))
        view.opening(cluster, daemon.url)
        run = await _play(daemon, broken, view)
        await _reported(slack, run)
        view.ending(run, cluster, slack, pagerduty)
        if keep:
            view.keeping(daemon.url, kubeconfig)
            await _until_interrupted()
    return 0 if run is not None and run.state is RunState.SUCCEEDED else 1


def _settings(
    folder: Path, alertmanager: AlertmanagerStandIn, slack: SlackReceiver, pagerduty: PagerDutyReceiver
) -> Settings:
    return Settings(
        listen=Address("127.0.0.1", 0),
        store=f"sqlite:///{folder / 'ledger.db'}",
        rules=_armed_rules(folder),
        mode=Mode.LIVE,
        webhook_token=(NamedToken("demo-alertmanager", SecretStr(_TOKEN)),),
        slack_bot_token=SecretStr(slack.token),
        slack_api_url=slack.api_url,
        pagerduty_routing_key=(NamedToken("", SecretStr(ROUTING_KEY)),),
        pagerduty_url=pagerduty.url,
        alertmanager_url=(alertmanager.url,),
    )


def _armed_rules(folder: Path) -> Path:
    """The shipped rules with `mode: live`, their proofs shortened so that nobody has to wait."""
    armed = folder / "rules"
    shutil.copytree(shipped_rules(), armed, ignore=shutil.ignore_patterns("tests"))
    for file in armed.rglob("*.yaml"):
        text = file.read_text().replace("mode: observe", "mode: live")
        file.write_text(text.replace("stable_for: 1m", "stable_for: 2s"))
    return armed


async def _play(daemon: Daemon, broken: BrokenRollout, view: DemoView) -> Run | None:
    """Post the alert as both Alertmanagers of a pair would, and tell events until the run has ended."""
    payload = webhook(broken.alerts)
    view.acting(await daemon.store.now())
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {_TOKEN}"}) as http:
        for peer in (1, 2):
            async with http.post(f"{daemon.url}/alertmanager", json=payload) as answer:
                view.posted(peer, payload, answer.status)
    told = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DEADLINE):
            while True:
                ended = await _ended(daemon)
                for event in await daemon.store.events(told, 500):
                    view.event(event)
                    told = event.id
                if ended is not None:
                    return ended
                await asyncio.sleep(_POLL)
    return None


async def _ended(daemon: Daemon) -> Run | None:
    runs = await daemon.store.history(RunFilter(limit=1))
    return runs[0] if runs and runs[0].state.is_final else None


async def _reported(slack: SlackReceiver, run: Run | None) -> None:
    """Wait until Slack has the final word; without a run there is none."""
    if run is not None:
        with contextlib.suppress(TimeoutError):
            await slack.until(lambda messages: any("verified" in each.text for each in messages), 5.0)


def _leave_nothing_behind_on_sigterm() -> None:
    """As Ctrl-C does it: what was started ends, and what was written goes."""
    this = asyncio.current_task()
    if this is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)


async def _until_interrupted() -> None:
    interrupted, loop = asyncio.Event(), asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, interrupted.set)
    await interrupted.wait()
