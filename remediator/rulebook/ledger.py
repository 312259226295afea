"""Rules that act on the database that holds the ledger: without it nothing is done, healing it least."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from remediator.core.rules import Database, Rule
from remediator.core.targets import Target
from remediator.rulebook.compile import Judgement
from remediator.rulebook.problems import Problem

_ADDRESS = re.compile(r"[0-9.]+|\[.*\]")
_ORDINAL = re.compile(r"-\d+$")
_SERVICE = "svc"


@dataclass(frozen=True, slots=True)
class Host:
    """Where a ledger is, as Kubernetes' names tell: a Service, or a Pod of a StatefulSet behind one."""

    written: str
    namespace: str
    names: frozenset[str]

    def is_one_of(self, objects: Iterable[Target]) -> bool:
        return any(each.namespace == self.namespace and each.name in self.names for each in objects)


def hosts(url: str, home: str) -> tuple[Host, ...]:
    """The hosts in the cluster that a ledger's URL names; ``home`` is the namespace that short names are in.

    None for SQLite, for sockets and addresses, and for names outside of a cluster.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        return ()
    parts = urlsplit(url)
    written = parts.netloc.rpartition("@")[2].split(",")
    for more in parse_qs(parts.query).get("host", []):
        written += more.split(",")
    names = (re.sub(r":\d+$", "", each).lower() for each in written)
    return tuple(filter(None, (_host(name, home) for name in dict.fromkeys(names))))


def healing_the_ledger(judgement: Judgement, ledgers: Iterable[Host]) -> list[Problem]:
    """Rules with steps whose target is, or for some alerts may be, where the ledger is."""
    databases = judgement.rulebook.databases if judgement.rulebook else ()
    return [
        Problem(
            reporter.place(("target",)),
            f"{rule.name!r} acts on {ledger.written}, which holds Remediator's own ledger "
            "(REMEDIATOR_STORE): without it nothing is done, so keep the ledger in another database",
        )
        for rule, reporter in judgement.written
        for ledger in ledgers
        if rule.steps and ledger.is_one_of(_objects(rule, ledger, databases))
    ]


def _host(name: str, home: str) -> Host | None:
    if not name or name.startswith("/") or name == "localhost" or _ADDRESS.fullmatch(name):
        return None
    labels = name.split(".")
    if _SERVICE in labels[2:4]:
        at = labels.index(_SERVICE, 2)
        own, namespace = labels[: at - 1], labels[at - 1]
    elif len(labels) <= 2:
        own, namespace = labels[:1], labels[1] if len(labels) == 2 else home
    else:
        return None
    return Host(name, namespace, frozenset({*own, *(_ORDINAL.sub("", each) for each in own)}))


def _objects(rule: Rule, ledger: Host, databases: Iterable[Database]) -> Iterator[Target]:
    """What a rule may act on, as far as it is written: a namespace that an alert says may be the ledger's."""
    sources = [segment.source if segment.is_constant else None for segment in rule.target.segments]
    if rule.target.kind == "database":
        for database in databases:
            if sources[-1] in (None, database.target.name):
                yield from database.objects
    elif rule.target.kind is not None and len(sources) > 2 and sources[-1] is not None:
        yield Target("", rule.target.kind, sources[-2] or ledger.namespace, sources[-1])
