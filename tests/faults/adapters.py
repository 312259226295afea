"""The daemon's own adapters, struck on either side of what they write and send."""

from __future__ import annotations

import tempfile
from collections.abc import Coroutine, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import yaml

from remediator.clients.kubernetes import KubernetesClient
from remediator.clients.kubernetes.client import Json, Operation
from remediator.core.changes import Decided, DecisionRequest, Intake, Observed, OutboxItem, Refused
from remediator.core.ids import Owner, RunId
from remediator.core.leases import ALONE, Demand, Held, Lease
from remediator.core.notices import Envelope
from remediator.core.ports.channels import Delivery
from remediator.core.ports.store import Fold, Judge, Store, StoreUnavailableError
from remediator.notify.slack import SlackNotifier
from remediator.store.postgres import PostgresStore
from remediator.store.postgres.transaction import Lock, Work
from remediator.store.sqlite import SqliteStore
from tests.faults.boundaries import Exchange, Fault, Side
from tests.faults.moves import taken
from tests.faults.strikes import LostReply, Strikes, commit, service_in
from tests.support.proxy import Proxy

T = TypeVar("T")


class StrikingStore(PostgresStore):
    """The ledger, whose caller may hear that it can't be reached, before a write or after its commit."""

    def __init__(self, url: str, strikes: Strikes) -> None:
        super().__init__(url)
        self._strikes = strikes
        self._commit = self._db.write
        # the one place by which every method commits, those of later versions included
        self._db.write = self._write  # type: ignore[method-assign]

    async def _write(self, work: Work[T], lock: Lock | None = None, *, shared: bool = False) -> T:
        if (step := taken.get()) is not None:
            await self._strikes.pass_by(step.arrow, step.rule, step.service)
        done = await self._commit(work, lock, shared=shared)
        # An intent takes its arrow only within its transaction.
        step = taken.get()
        if step is not None:
            taken.set(None)
            if not isinstance(done, Refused):
                self._meet(step.arrow, Side.AFTER, [step.service])
        return done

    async def save_webhook(self, source: str, body: bytes) -> None:
        await self._around(Exchange.KEEP, [service_in(body)], super().save_webhook(source, body))

    async def take_webhooks(self, intakes: Sequence[Intake], fold: Fold) -> list[Observed]:
        services = [service_in(each.labels["job"]) for intake in intakes for each in intake.alerts]
        return await self._around(Exchange.FOLD, services, super().take_webhooks(intakes, fold))

    async def decide(self, requests: Sequence[DecisionRequest], judge: Judge) -> list[Decided]:
        services = [service_in(each.episode.labels["job"]) for each in requests]
        return await self._around(Exchange.DECIDE, services, super().decide(requests, judge))

    async def acquire(self, run: RunId, owner: Owner, ttl: timedelta, demand: Demand = ALONE) -> Lease | Held:
        found = await self.run(run)
        service = service_in(str(found.target)) if found else None
        return await self._around(Exchange.ACQUIRE, [service], super().acquire(run, owner, ttl, demand))

    async def sent(self, item: OutboxItem, ref: str) -> None:
        service = service_in(str(item.envelope.notice))
        await self._around(Exchange.RECORD, [service], super().sent(item, ref))
        self._strikes.recorded(service)

    async def _around(self, where: str, services: Iterable[str | None], work: Coroutine[Any, Any, T]) -> T:
        services = list(services)
        try:
            self._meet(where, Side.BEFORE, services)
            done = await work
        finally:
            work.close()
        self._meet(where, Side.AFTER, services)
        return done

    def _meet(self, where: str, side: Side, services: Iterable[str | None]) -> None:
        try:
            for service in services:
                self._strikes.meet(where, side, service)
        except LostReply as lost:
            raise StoreUnavailableError(str(lost)) from lost


def striking_store_from_url(url: str, *, jump_wait: timedelta, strikes: Strikes) -> Store:
    """The ledger that a URL names; of the one in a file, which one replica alone may have, the clock is."""
    if url.startswith("postgresql:"):
        return StrikingStore(url, strikes)
    return SqliteStore(Path(url.removeprefix("sqlite:///")), jump_wait=jump_wait, clock=strikes.wall)


class StrikingClient(KubernetesClient):
    """The API server's client: its write of a change is struck. A reply is lost on the wire, by a proxy."""

    def __init__(self, kubeconfig: str, strikes: Strikes) -> None:
        super().__init__(kubeconfig)
        self._file = Path(kubeconfig)
        self._strikes = strikes

    async def patch_deployment(self, namespace: str, name: str, operations: Sequence[Operation]) -> Json:
        if not any(map(_changes, operations)):
            return await super().patch_deployment(namespace, name, operations)
        before, after = (self._strikes.take(Exchange.APPLY, side, service_in(name)) for side in Side)
        if Fault.LOST in (before, after):
            return await self._cut(namespace, name, operations, arrives=after is Fault.LOST)
        if before is not None:
            commit(before)
        changed = await super().patch_deployment(namespace, name, operations)
        if after is not None:
            commit(after)
        return changed

    async def _cut(
        self, namespace: str, name: str, operations: Sequence[Operation], *, arrives: bool
    ) -> Json:
        config = yaml.safe_load(self._file.read_text())
        cluster = config["clusters"][0]["cluster"]
        async with Proxy(cluster["server"]) as proxy:
            cluster["server"] = proxy.url
            with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as file:
                yaml.safe_dump(config, file)
                file.flush()
                client = KubernetesClient(file.name)
                try:
                    # connected by now, so that the proxy meets the write and nothing else
                    await client.get_deployment(namespace, name)
                    (proxy.cut_next_reply if arrives else proxy.cut_next_request)()
                    return await client.patch_deployment(namespace, name, operations)
                finally:
                    await client.close()


class StrikingNotifier(SlackNotifier):
    """Slack, struck before a notice is sent and after it was taken."""

    def __init__(self, *, strikes: Strikes, **given: Any) -> None:
        super().__init__(**given)
        self._strikes = strikes

    async def deliver(self, envelope: Envelope, *, head: str, sent: str) -> Delivery:
        service = service_in(str(envelope.notice))
        self._strikes.meet(Exchange.SEND, Side.BEFORE, service)
        self._strikes.sends(service)
        delivered = await super().deliver(envelope, head=head, sent=sent)
        self._strikes.meet(Exchange.SEND, Side.AFTER, service)
        return delivered


def _changes(operation: Operation) -> bool:
    return operation["op"] != "test" and str(operation["path"]).startswith("/spec/")
