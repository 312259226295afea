"""The composition root: the only place that picks adapters, and that starts and stops what runs."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from hashlib import sha256
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from remediator import __version__
from remediator.actions.registry import build_actions, build_checks, build_places
from remediator.clients.alertmanager import AlertmanagerClient
from remediator.clients.heartbeat import HeartbeatClient
from remediator.clients.kubernetes import ApiError, KubernetesClient
from remediator.clients.pagerduty import PagerDuty
from remediator.clients.slack import SlackBot, SlackSignature, SlackWebhook
from remediator.core.answers import Silent
from remediator.core.ids import Owner
from remediator.core.matchers import Matcher, Operator
from remediator.core.ports.channels import Notifier, RulebookError, RuleWatch
from remediator.core.ports.store import Store, StoreError
from remediator.core.rules import Rulebook
from remediator.engine.alarms import Alarms
from remediator.engine.answers import Answers
from remediator.engine.commands import Commands
from remediator.engine.engine import Engine
from remediator.engine.lifeline import Lifeline
from remediator.engine.parts import EngineParts
from remediator.engine.rulebooks import Rulebooks
from remediator.notify.clicks import SlackClicks
from remediator.notify.log import LogNotifier
from remediator.notify.pagerduty import PagerDutyNotifier
from remediator.notify.slack import SlackNotifier
from remediator.rulebook.references import require_secrets
from remediator.rulebook.source import FileRules
from remediator.rulebook.watching import FileWatch
from remediator.settings import Settings
from remediator.settings.home import home
from remediator.settings.traces import Trace
from remediator.store import store_from_url
from remediator.telemetry import Metrics
from remediator.web import make_app
from remediator.web.ports import DependencyHealth, Health, Probe, WebDeps

_log = structlog.get_logger(__name__)
#: Of the ten seconds that SIGTERM leaves: for runs to finish or park, and for open requests.
_GRACE_FOR_RUNS = timedelta(seconds=6)
_GRACE_FOR_REQUESTS = 1.5
_BACKLOG = 1024
#: Alerts without a name: whether Alertmanager answers is asked often, and all of its alerts may be many.
_HARDLY_ANY = (Matcher("alertname", Operator.EQUAL, ""),)


@dataclass(frozen=True, slots=True)
class Clients:
    """Connections to the outside; nothing is opened, and no SDK imported, before it is used."""

    kubernetes: KubernetesClient
    alertmanagers: AlertmanagerClient
    heartbeat: HeartbeatClient | None

    async def close(self) -> None:
        """Close what was opened."""
        await self.kubernetes.close()
        await self.alertmanagers.close()
        if self.heartbeat is not None:
            await self.heartbeat.close()


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon: where it listens, its ledger, and its verbs."""

    url: str
    store: Store
    commands: Commands


@asynccontextmanager
async def running(settings: Settings, *, kubeconfig: str | None) -> AsyncIterator[Daemon]:
    """Run a whole daemon; leaving parks what runs and closes everything within ten seconds.

    Raises:
        StoreError: the ledger can't be opened.
        RulebookError: the rule files can't be used, and the ledger holds no rulebook to go on with.
        OSError: it can't listen.
    """
    store = store_from_url(settings.store, jump_wait=settings.lease_ttl)
    source = FileRules(settings.rules, home())
    rulebooks, watch = Rulebooks(store, source, require_secrets), FileWatch(source)
    notifiers = _notifiers(settings)
    lifeline = _lifeline(settings, rulebooks, notifiers)
    await _opened(store, lifeline)
    clients = Clients(KubernetesClient(kubeconfig), _alertmanagers(settings), _heartbeat(settings))
    try:
        await rulebooks.boot()
        speaking = partial(Engine, notifiers=notifiers, lifeline=lifeline)
        async with _serving(settings, store, clients, rulebooks, watch, speaking) as daemon:
            yield daemon
    finally:
        await clients.close()
        await store.close()


@asynccontextmanager
async def _serving(
    settings: Settings,
    store: Store,
    clients: Clients,
    rulebooks: Rulebooks,
    watch: RuleWatch,
    speaking: partial[Engine],
) -> AsyncIterator[Daemon]:
    metrics = Metrics(__version__)
    actions = build_actions(clients.kubernetes)
    alarms = Alarms(store, metrics, rulebooks.active.rulebook.default_report)
    parts = EngineParts(
        store=store,
        rulebooks=rulebooks,
        actions=actions,
        checks=build_checks(clients.kubernetes, clients.alertmanagers),
        places=build_places(clients.kubernetes),
        alertmanagers=clients.alertmanagers,
        metrics=metrics,
        owner=_owner(),
        mode=settings.mode,
        lease_ttl=settings.lease_ttl,
        approvers=settings.credentials.approvers,
        pager="" in settings.pagerduty_keys,
        sources=settings.credentials.sources,
        heartbeat=clients.heartbeat,
        rule_watch=watch,
    )
    acted_on = frozenset(kind for action in actions.values() for kind in action.spec.kinds)
    commands = Commands(store, rulebooks, Answers(store, rulebooks, parts.audience), acted_on, settings.mode)
    deps = WebDeps(
        store=store,
        commands=commands,
        alarms=alarms,
        metrics=metrics,
        credentials=settings.credentials,
        version=__version__,
        mode=settings.mode,
        probes=partial(_probes, settings, clients, rulebooks),
        rule_files=rulebooks.complaint,
        drift=lambda: rulebooks.drift,
        clicks=_clicks(settings),
    )
    engine = speaking(parts, alarms=alarms)
    _tune_memory()
    runner = await _listen(settings, make_app(deps))
    engine.start()
    warming = asyncio.create_task(_warm_up(clients, rulebooks.active.rulebook))
    try:
        yield Daemon(_url(settings, runner), store, commands)
    finally:
        warming.cancel()
        await engine.stop(_GRACE_FOR_RUNS)
        await runner.cleanup()


async def _opened(store: Store, lifeline: Lifeline) -> None:
    """Open the ledger; that it can't be is told, and its end by the next start that can open it."""
    trace = Trace(lifeline.thread.replace(":", "-"))
    try:
        await store.open()
    except StoreError as error:
        trace.leave()
        lifeline.gone(str(error))
        await lifeline.deliver()
        raise
    if trace.take_up():
        lifeline.back()


def _lifeline(settings: Settings, rulebooks: Rulebooks, notifiers: Mapping[str, Notifier]) -> Lifeline:
    """One for each ledger, known by its address: replicas speak of the same incident."""
    address = urlsplit(settings.store)
    where = address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()
    thread = f"ledger:{sha256(where.encode()).hexdigest()[:16]}"
    return Lifeline(notifiers, rulebooks.default_report, thread, pager="" in settings.pagerduty_keys)


def _alertmanagers(settings: Settings) -> AlertmanagerClient:
    token = settings.alertmanager_token
    return AlertmanagerClient(
        settings.alertmanager_url,
        token=None if token is None else token.get_secret_value(),
        ca=settings.alertmanager_ca,
    )


def _heartbeat(settings: Settings) -> HeartbeatClient | None:
    url = settings.heartbeat_url
    return None if url is None else HeartbeatClient(url.get_secret_value())


def _owner() -> Owner:
    return Owner(f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}")


def _notifiers(settings: Settings) -> Mapping[str, Notifier]:
    """A notifier per scheme."""
    pagerduty = PagerDutyNotifier(PagerDuty(settings.pagerduty_url), settings.pagerduty_keys)
    notifiers: tuple[Notifier, ...] = (_slack(settings), LogNotifier(), pagerduty)
    return {each.scheme: each for each in notifiers}


def _slack(settings: Settings) -> Notifier:
    """Without Slack, what is meant for it goes to the log."""
    bot = _slack_bot(settings)
    if bot is not None:
        return SlackNotifier(bot=bot, buttons=settings.slack_signing_secret is not None)
    if settings.slack_webhook_url is not None:
        return SlackNotifier(webhook=SlackWebhook(settings.slack_webhook_url.get_secret_value()))
    return SlackNotifier(otherwise=LogNotifier("slack"))


def _slack_bot(settings: Settings) -> SlackBot | None:
    token = settings.slack_bot_token
    return None if token is None else SlackBot(token.get_secret_value(), api_url=settings.slack_api_url)


def _clicks(settings: Settings) -> SlackClicks | None:
    secret = settings.slack_signing_secret
    if secret is None:
        return None
    return SlackClicks(SlackSignature(secret.get_secret_value()), _slack_bot(settings))


def _probes(settings: Settings, clients: Clients, rulebooks: Rulebooks) -> Mapping[str, Probe]:
    """What `/health` asks beside the ledger: only systems that settings or the rules in force use."""

    async def kubernetes() -> DependencyHealth:
        try:
            return DependencyHealth(Health.HEALTHY, await clients.kubernetes.version())
        except ApiError as error:
            return DependencyHealth(Health.UNHEALTHY, str(error))

    async def alertmanager() -> DependencyHealth:
        answers = await clients.alertmanagers.ask(_HARDLY_ANY)
        silent = [one for one in answers if isinstance(one, Silent)]
        if silent:
            status = Health.UNHEALTHY if len(silent) == len(answers) else Health.DEGRADED
            return DependencyHealth(status, f"{len(silent)} of {len(answers)} do not answer")
        return DependencyHealth(Health.HEALTHY, f"{len(answers)} answer")

    probes: dict[str, Probe] = {}
    if _uses_kubernetes(rulebooks.active.rulebook):
        probes["kubernetes"] = kubernetes
    if settings.alertmanager_url:
        probes["alertmanager"] = alertmanager
    return probes


def _uses_kubernetes(rulebook: Rulebook) -> bool:
    for rule in rulebook.rules:
        named = [step.action for step in (*rule.steps, *rule.on_failure)]
        checks = (*rule.only_if, *(rule.verify.checks if rule.verify else ()))
        named += [condition.check for condition in checks]
        if any(name.startswith("kubernetes.") for name in named):
            return True
    return False


async def _warm_up(clients: Clients, rulebook: Rulebook) -> None:
    """Load the SDK that the first alert would otherwise wait for."""
    if _uses_kubernetes(rulebook):
        try:
            _log.info("kubernetes", version=await clients.kubernetes.version())
        except ApiError as error:
            _log.warning("kubernetes does not answer", error=str(error))


def _tune_memory() -> None:
    """What is loaded by now lives as long as the process: keep the collector from walking it again."""
    gc.collect()
    gc.freeze()


async def _listen(settings: Settings, app: web.Application) -> web.AppRunner:
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=_GRACE_FOR_REQUESTS,
        # Nobody who posts here encodes bodies, and what is not inflated is no bomb.
        auto_decompress=False,
    )
    await runner.setup()
    tls = None
    if settings.tls_cert is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(settings.tls_cert, settings.tls_key)
    site = web.TCPSite(
        runner,
        settings.listen.host,
        settings.listen.port,
        ssl_context=tls,
        backlog=_BACKLOG,
        reuse_address=True,
    )
    try:
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


def _url(settings: Settings, runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_cert else 'http'}://{shown}:{port}"


async def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP puts the rule files in force. Gives the exit code.

    A SIGHUP that comes before all is up is heeded then.
    """
    stop, wish, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()
    for each, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGHUP, wish)):
        loop.add_signal_handler(each, event.set)
    try:
        async with running(settings, kubeconfig=os.environ.get("KUBECONFIG")) as daemon:
            _log.info("listening", url=daemon.url, mode=settings.mode.word, version=__version__)
            reloading = asyncio.create_task(_reload_at(wish, daemon.commands))
            await stop.wait()
            _log.info("stopping: runs finish or are parked")
            reloading.cancel()
    except (StoreError, RulebookError, OSError) as error:
        problems = error.problems if isinstance(error, RulebookError) else (str(error),)
        for problem in problems:
            _log.critical("can't start", problem=problem)
        return 1
    _log.info("stopped")
    return 0


async def _reload_at(wish: asyncio.Event, commands: Commands) -> None:
    """Reload at each wish; those that come meanwhile are one."""
    while True:
        await wish.wait()
        wish.clear()
        try:
            await commands.reload("SIGHUP")
        except (RulebookError, StoreError) as error:
            _log.error("reload failed, the old rulebook stays in force", error=str(error))
        except Exception:  # noqa: BLE001 - the next wish must be heeded, whatever came of this one
            _log.exception("reload failed, the old rulebook stays in force")
