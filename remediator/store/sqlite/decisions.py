"""Decisions: what is due to be decided, and what was, with its facts and guard answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from remediator.core.changes import Decided, DecisionRequest, DecisionRow, EpisodeWork
from remediator.core.checks import Fact
from remediator.core.decide import DecisionKind
from remediator.core.episodes import Episode
from remediator.core.events import Event
from remediator.core.ids import DecisionId, EpisodeId, RulebookHash, RunId
from remediator.core.notices import Envelope
from remediator.core.ports.store import Judge
from remediator.core.runs import Run
from remediator.store.sqlite.codecs import Row, as_json, decision, fact, micros, moment
from remediator.store.sqlite.episodes import COLUMNS, episode_from, episodes_by_id
from remediator.store.sqlite.events import append_events
from remediator.store.sqlite.guard_views import around_decisions
from remediator.store.sqlite.outbox import post
from remediator.store.sqlite.runs import insert_runs, join_runs
from remediator.store.sqlite.transaction import Transaction

_DUE = f"SELECT {COLUMNS} FROM episodes e WHERE e.due_at IS NOT NULL AND e.due_at <= ? ORDER BY e.id"
_FINAL = "SELECT episode, rule FROM decisions WHERE final = 1 AND episode IN (SELECT value FROM json_each(?))"
_AS_NOW = (
    "SELECT id, starts_at, last_seen, closed, repeats FROM episodes"
    " WHERE id IN (SELECT value FROM json_each(?))"
)
_INSERT = (
    "INSERT INTO decisions (id, episode, rule, target, at, kind, reason, final, rulebook, run, decision)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_FACT = "INSERT INTO facts (decision, position, check_name, said, fact) VALUES (?, ?, ?, ?, ?)"
_COLUMNS = "id, episode, rule, target, at, rulebook, decision"


def undecided(transaction: Transaction, limit: int, claim: timedelta) -> list[EpisodeWork]:
    now, claims = transaction.now, transaction.episode_claims
    claims.expire(now)
    rows = (row for row in transaction.sql.execute(_DUE, (transaction.micros,)) if not claims.holds(row[0]))
    episodes = [episode_from(row) for row in islice(rows, limit)]
    ids = [episode.id for episode in episodes]
    decided = _final_decisions(transaction, ids)
    claims.take(list(ids), now + claim)
    return [EpisodeWork(episode, frozenset(decided.get(episode.id, ()))) for episode in episodes]


def _final_decisions(transaction: Transaction, ids: Iterable[EpisodeId]) -> dict[EpisodeId, set[str]]:
    decided: dict[EpisodeId, set[str]] = {}
    for episode, rule in transaction.sql.execute(_FINAL, (as_json(list(ids)),)):
        decided.setdefault(EpisodeId(episode), set()).add(rule)
    return decided


def decide(transaction: Transaction, requests: Sequence[DecisionRequest], judge: Judge) -> list[Decided]:
    judging = _Judging(transaction, judge, requests)
    decided = [judging.judge(request) for request in requests]
    judging.write()
    return decided


class _Judging:
    """Judges requests one after the other in memory, and writes what they entail in a few statements."""

    def __init__(self, transaction: Transaction, judge: Judge, requests: Sequence[DecisionRequest]) -> None:
        ids = {request.episode.id for request in requests}
        self._transaction = transaction
        self._judge = judge
        self._final = _final_decisions(transaction, ids)
        self._changed = _changed_since(transaction, [request.episode for request in requests])
        self._around = around_decisions(transaction, ((r.rule, r.target, r.was) for r in requests))
        self._next_id = _next_decision_id(transaction)
        self._now = transaction.micros
        self._decisions: list[Row] = []
        self._facts: list[Row] = []
        self._runs: list[Run] = []
        self._joins: list[tuple[RunId, EpisodeId]] = []
        self._events: list[Event] = []
        self._envelopes: list[Envelope] = []
        self._deferred: dict[EpisodeId, datetime] = {}
        self._due: dict[EpisodeId, int | None] = {}

    def judge(self, request: DecisionRequest) -> Decided:
        episode = request.episode.id
        if episode in self._changed:
            request = replace(request, episode=self._changed[episode])
        decided = self._judge(request, self._around.view(request.rule, request.target))
        if request.rule not in self._final.get(episode, ()):
            self._keep(request, decided)
        if request.last:
            later = self._deferred.get(episode)
            self._due[episode] = None if later is None else micros(later)
        return decided

    def _keep(self, request: DecisionRequest, decided: Decided) -> None:
        run = decided.decision.run if decided.run is None else decided.run.id
        if decided.decision.kind is not DecisionKind.DEFER:
            self._final.setdefault(request.episode.id, set()).add(request.rule)
        elif decided.decision.not_before is not None:
            self._defer(request.episode.id, decided.decision.not_before)
        self._add_rows(request, decided, run)
        if decided.run is not None:
            self._runs.append(decided.run)
            self._around.began(decided.run)
        if run is not None:
            self._joins.append((run, request.episode.id))
        self._events.extend(decided.events)
        self._envelopes.extend(decided.envelopes)

    def _add_rows(self, request: DecisionRequest, decided: Decided, run: RunId | None) -> None:
        id_, made = self._next_id, decided.decision
        self._next_id += 1
        self._decisions.append(
            (
                id_,
                request.episode.id,
                request.rule,
                "" if request.target is None else str(request.target),
                self._now,
                made.kind.value,
                made.reason.value,
                made.kind is not DecisionKind.DEFER,
                request.rulebook,
                run,
                as_json(made),
            )
        )
        self._facts.extend(
            (id_, position, known.check, known.answer.said.value, as_json(known))
            for position, known in enumerate(request.facts)
        )

    def _defer(self, episode: EpisodeId, not_before: datetime) -> None:
        earlier = self._deferred.get(episode, not_before)
        self._deferred[episode] = min(earlier, not_before)

    def write(self) -> None:
        transaction, sql = self._transaction, self._transaction.sql
        insert_runs(transaction, self._runs)
        sql.executemany(_INSERT, self._decisions)
        sql.executemany(_INSERT_FACT, self._facts)
        join_runs(transaction, self._joins)
        sql.executemany(
            "UPDATE episodes SET due_at = ? WHERE id = ?",
            [(due, episode) for episode, due in self._due.items()],
        )
        append_events(transaction, self._events)
        post(transaction, self._envelopes)
        for episode in self._due:
            transaction.episode_claims.drop(episode)


def _next_decision_id(transaction: Transaction) -> int:
    return int(transaction.sql.execute("SELECT coalesce(max(id), 0) + 1 FROM decisions").fetchone()[0])


def _changed_since(transaction: Transaction, episodes: Sequence[Episode]) -> dict[EpisodeId, Episode]:
    """The episodes that moved on since they were handed out: what resolved meanwhile must not begin a run."""
    known = {
        episode.id: (
            micros(episode.starts_at),
            micros(episode.last_seen),
            None if episode.closed is None else episode.closed.value,
            episode.repeats,
        )
        for episode in episodes
    }
    rows = transaction.sql.execute(_AS_NOW, (as_json(list(known)),))
    changed = [EpisodeId(id_) for id_, *now in rows if tuple(now) != known[id_]]
    return dict(episodes_by_id(transaction, changed)) if changed else {}


def decisions_before(transaction: Transaction, limit: int, before: int | None) -> list[DecisionRow]:
    rows = transaction.sql.execute(
        f"SELECT {_COLUMNS} FROM decisions WHERE id < ? ORDER BY id DESC LIMIT ?",
        (2**63 - 1 if before is None else before, limit),
    ).fetchall()
    return _with_facts(transaction, rows)


def decisions_of_run(transaction: Transaction, run: RunId) -> tuple[DecisionRow, ...]:
    rows = transaction.sql.execute(
        f"SELECT {_COLUMNS} FROM decisions WHERE run = ? ORDER BY id", (run,)
    ).fetchall()
    return tuple(_with_facts(transaction, rows))


def _with_facts(transaction: Transaction, rows: list[Row]) -> list[DecisionRow]:
    facts: dict[int, list[Fact]] = {}
    found = transaction.sql.execute(
        "SELECT decision, fact FROM facts WHERE decision IN (SELECT value FROM json_each(?))"
        " ORDER BY decision, position",
        (as_json([row[0] for row in rows]),),
    )
    for id_, text in found:
        facts.setdefault(id_, []).append(fact(text))
    return [
        DecisionRow(
            id=DecisionId(id_),
            episode=EpisodeId(episode),
            rule=rule,
            target=target,
            at=moment(at),
            decision=decision(made),
            rulebook=RulebookHash(rulebook),
            facts=tuple(facts.get(id_, ())),
        )
        for id_, episode, rule, target, at, rulebook, made in rows
    ]
