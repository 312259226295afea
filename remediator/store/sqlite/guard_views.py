"""What the guards see, read in the very transaction that acts on their answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from remediator.core.guards import GuardView, PastRun, Pause, PauseScope, Quarantine
from remediator.core.ids import AttemptId, RunId
from remediator.core.rules import Mode
from remediator.core.runs import Run, RunState
from remediator.core.targets import Target
from remediator.store.sqlite.codecs import Row, as_json, maybe_moment, moment, target
from remediator.store.sqlite.transaction import Transaction

_PAST = "a.rule, a.target, r.id, r.state, r.mode, r.created_at, r.ended_at, r.started_at"
#: Each rule and target once per name that the rule has or had: of several rows found, the last counts.
_ASKED = (
    "WITH asked (rule, target, name) AS (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),"
    " json_extract(value, '$[2]') FROM json_each(?1))"
)
_UNFINISHED = (
    f"{_ASKED} SELECT {_PAST} FROM asked a JOIN runs r ON r.seq = (SELECT seq FROM runs WHERE rule = a.name"
    " AND target = a.target AND final = 0 AND id <> ?2 ORDER BY seq LIMIT 1) ORDER BY r.seq DESC"
)
_LAST = (
    f"{_ASKED} SELECT {_PAST} FROM asked a JOIN runs r ON r.seq = (SELECT seq FROM runs WHERE rule = a.name"
    " AND target = a.target AND final = 1 AND id <> ?2 ORDER BY ended_at DESC, seq DESC LIMIT 1)"
    " ORDER BY r.ended_at, r.seq"
)
_LAST_ACTED = (
    f"{_ASKED} SELECT {_PAST} FROM asked a JOIN runs r ON r.seq = (SELECT seq FROM runs WHERE rule = a.name"
    " AND target = a.target AND final = 1 AND started_at IS NOT NULL AND id <> ?2"
    " ORDER BY ended_at DESC, seq DESC LIMIT 1) ORDER BY r.ended_at, r.seq"
)
_QUARANTINED = (
    "SELECT target, run, attempt, why, at FROM quarantines WHERE target IN (SELECT value FROM json_each(?))"
)
_LIVE_UNFINISHED = f"SELECT count(*) FROM runs WHERE final = 0 AND mode = {Mode.LIVE.value} AND id <> ?"
_LIVE_WITH_SLOT = (
    "SELECT count(*) FROM runs r JOIN slots s ON s.run = r.id"
    f" WHERE r.final = 0 AND r.mode = {Mode.LIVE.value} AND r.id <> ?"
)
_PAUSES = (
    "SELECT id, scope, value, why, who, at, until FROM pauses"
    " WHERE lifted_at IS NULL AND (until IS NULL OR until > ?) ORDER BY id"
)

_Key = tuple[str, str]
#: A rule, its target, and the other names that it has or had.
Asked = tuple[str, Target | None, Collection[str]]


def pauses_in_force(transaction: Transaction) -> tuple[Pause, ...]:
    return tuple(
        Pause(id_, PauseScope(scope), value, why, who, moment(at), maybe_moment(until))
        for id_, scope, value, why, who, at, until in transaction.sql.execute(_PAUSES, (transaction.micros,))
    )


def quarantine_from(row: Row) -> Quarantine:
    held, run, attempt, why, at = row
    return Quarantine(
        target=target(held),
        run=RunId(run),
        attempt=None if attempt is None else AttemptId(attempt),
        why=why,
        at=moment(at),
    )


@dataclass(slots=True)
class Surroundings:
    """What is known around some rules and targets at one instant, kept current by :meth:`began`."""

    transaction: Transaction
    pauses: tuple[Pause, ...]
    parallel: int
    quarantines: dict[str, Quarantine] = field(default_factory=dict)
    unfinished: dict[_Key, PastRun] = field(default_factory=dict)
    last: dict[_Key, PastRun] = field(default_factory=dict)
    last_acted: dict[_Key, PastRun] = field(default_factory=dict)

    def view(self, rule: str, on: Target | None) -> GuardView:
        key = (rule, "" if on is None else str(on))
        return GuardView(
            now=self.transaction.now,
            pauses=self.pauses,
            quarantine=self.quarantines.get(key[1]),
            unfinished=self.unfinished.get(key),
            last=self.last.get(key),
            last_acted=self.last_acted.get(key),
            parallel=self.parallel,
            acting_from=self.transaction.acting_from,
        )

    def began(self, run: Run) -> None:
        """Count a run that this transaction creates."""
        past = PastRun(run.id, run.state, run.mode, run.created_at, run.ended_at, run.reached_intent)
        self.unfinished.setdefault((run.rule, str(run.target)), past)
        self.parallel += run.mode is Mode.LIVE


def around_decisions(transaction: Transaction, asked: Iterable[Asked]) -> Surroundings:
    """For decisions, live runs that wait for their slot count as well: no more are begun than may act."""
    return _around(transaction, asked, _LIVE_UNFINISHED, exclude=RunId(""))


def around_run(transaction: Transaction, run: Run, names: Collection[str] = ()) -> Surroundings:
    """For a run that is about to act: those that took a slot and have not ended, itself left out."""
    return _around(transaction, [(run.rule, run.target, names)], _LIVE_WITH_SLOT, exclude=run.id)


def _around(transaction: Transaction, asked: Iterable[Asked], count: str, *, exclude: RunId) -> Surroundings:
    sql = transaction.sql
    keys = {(rule, str(on), name) for rule, on, names in asked if on is not None for name in {rule, *names}}
    around = Surroundings(
        transaction, pauses_in_force(transaction), int(sql.execute(count, (exclude,)).fetchone()[0])
    )
    if not keys:
        return around
    bound = (as_json(sorted(keys)), exclude)
    around.unfinished = dict(map(_past, sql.execute(_UNFINISHED, bound)))
    around.last = dict(map(_past, sql.execute(_LAST, bound)))
    around.last_acted = dict(map(_past, sql.execute(_LAST_ACTED, bound)))
    targets = as_json(sorted({on for _, on, _ in keys}))
    around.quarantines = {row[0]: quarantine_from(row) for row in sql.execute(_QUARANTINED, (targets,))}
    return around


def _past(row: Row) -> tuple[_Key, PastRun]:
    rule, on, id_, state, mode, created_at, ended_at, started_at = row
    past = PastRun(
        id=RunId(id_),
        state=RunState(state),
        mode=Mode(mode),
        created_at=moment(created_at),
        ended_at=maybe_moment(ended_at),
        reached_intent=started_at is not None,
    )
    return (rule, on), past
