"""Where laws are kept, by when they are asked, and what several of them look for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.simulation.seen import AtWork, Commit, History, SeenEvent, Write

Problems = Iterator[str]

AFTER_COMMIT: list[Callable[[History, Commit], Problems]] = []
AFTER_WRITE: list[Callable[[History, Write], Problems]] = []
AT_WORK: list[Callable[[History, AtWork], Problems]] = []
AT_END: list[Callable[[History], Problems]] = []

SECOND = 1_000_000


def after_commit(law: Callable[[History, Commit], Problems]) -> Callable[[History, Commit], Problems]:
    """A law that each commit is held to."""
    AFTER_COMMIT.append(law)
    return law


def after_write(law: Callable[[History, Write], Problems]) -> Callable[[History, Write], Problems]:
    """A law that each write to the cluster is held to."""
    AFTER_WRITE.append(law)
    return law


def at_work(law: Callable[[History, AtWork], Problems]) -> Callable[[History, AtWork], Problems]:
    """A law about what a replica does under its lease, where the target itself refuses nobody."""
    AT_WORK.append(law)
    return law


def at_end(law: Callable[[History], Problems]) -> Callable[[History], Problems]:
    """A law about what has to have come of everything."""
    AT_END.append(law)
    return law


def of(commit: Commit, *kinds: str) -> Iterator[SeenEvent]:
    return (event for event in commit.events if event.kind in kinds)


def first_intents(history: History, commit: Commit) -> Iterator[SeenEvent]:
    for event in of(commit, "attempt.intended"):
        if history.one("SELECT count(*) FROM attempts WHERE run = ?", event.run) == 1:
            yield event
