"""Runs one seed in a laboratory: no logs, no real time, and chance that is the seed's alone."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import structlog

from tests.simulation.patching import SeededSecrets, SeededUuid, replacing
from tests.simulation.world import Broken, World

#: The engine's patience, made for a cluster's pace, as short as a simulation of two minutes needs it; and its
#: polling, which is the net below messages, as long as that allows.
_PACE: Mapping[str, object] = {
    "remediator.engine.attempts.PROBE_FOR": timedelta(seconds=20),
    "remediator.engine.recovery._EVERY": 10.0,
    "remediator.engine.watch.WatchLoop.idle": timedelta(seconds=20),
    "remediator.engine.loops.Loop.idle": timedelta(seconds=8),
    "remediator.engine.dispatcher.DispatcherLoop.idle": timedelta(seconds=4),
    "remediator.engine.runner.RunnerLoop.idle": timedelta(seconds=4),
}


#: What is critical and no surprise where the weather takes the ledger away.
_FORESEEN = "the ledger is gone"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one seed; ``schedule`` is everything that happened, line by line."""

    seed: int
    broken: Broken | None
    digest: str
    schedule: tuple[str, ...] = ()
    counts: Counter[str] = field(default_factory=Counter)


class _Time:
    """What loops take for `time`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def monotonic(self) -> float:
        return self._world.clockwork.now


def simulate(seed: int, *, schedule: bool = False) -> Result:
    """Play one seed. Its schedule is given when a law was broken, or when asked for."""
    world = World(seed)
    with _laboratory(world):
        try:
            broken = world.play()
        finally:
            world.close()
    lines = tuple(world.diary.lines()) if broken or schedule else ()
    return Result(seed, broken, world.diary.digest, lines, world.diary.counts)


@contextmanager
def _laboratory(world: World) -> Iterator[None]:
    ids = Random(f"{world.seed} ids")
    replaced: dict[str, object] = {
        **_PACE,
        "remediator.engine.dispatcher.secrets": SeededSecrets(ids),
        "remediator.sandbox.kubernetes.store.uuid": SeededUuid(ids),
        "remediator.engine.loops.time": _Time(world),
    }
    logs = structlog.get_config()
    structlog.configure(
        processors=[_Listener(world)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    with replacing(replaced):
        try:
            yield
        finally:
            structlog.configure(**logs)


class _Listener:
    """Hears what the engine logs: an error that nobody foresaw breaks a law, whatever became of it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __call__(self, _logger: object, method: str, event: Any) -> Any:
        error, said = event.get("exc_info"), str(event.get("event"))
        if (method in ("exception", "critical") and not said.startswith(_FORESEEN)) or error:
            self._world.unforeseen(said, error)
        raise structlog.DropEvent
