"""A replica that dies on cue: the daemon itself, handed adapters that may be struck where it is composed.

Its environment is that of ``remediator serve``; ``FAULTS`` names the folder of its strikes.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import partial
from pathlib import Path

import kubernetes_asyncio.client  # noqa: F401 - loaded here once, and not by each that is forked from here
import pytest

from remediator.cli.daemon import run
from remediator.core.runs import move
from tests.faults.adapters import StrikingClient, StrikingNotifier, striking_store_from_url
from tests.faults.moves import watched
from tests.faults.strikes import Strikes
from tests.support.daemon import hurry
from tests.support.preemption import add_actions

#: What :func:`hurry` shortens too far for three replicas and dozens of runs on one machine.
_CALM = {
    "remediator.engine.attempts.PROBE_FOR": timedelta(seconds=5),
    "remediator.engine.driver.BLIND_FOR": timedelta(seconds=15),
    "remediator.engine.recovery._EVERY": 2.0,
    "remediator.engine.pages.PagesLoop.idle": timedelta(seconds=1),
    "remediator.engine.watchdog.WatchdogLoop.idle": timedelta(seconds=1),
    "remediator.engine.brake.BrakeLoop.idle": timedelta(seconds=1),
}


def main() -> int:
    """Serve until told to stop, or struck; gives the exit code."""
    strikes = Strikes(Path(os.environ["FAULTS"]))
    patch = pytest.MonkeyPatch()
    hurry(patch)
    add_actions(patch)
    patch.setattr("remediator.engine.journal.move", watched(move, strikes))
    for name, value in _CALM.items():
        patch.setattr(name, value)
    patch.setattr("remediator.app.store_from_url", partial(striking_store_from_url, strikes=strikes))
    patch.setattr("remediator.app.KubernetesClient", partial(StrikingClient, strikes=strikes))
    patch.setattr("remediator.app.SlackNotifier", partial(StrikingNotifier, strikes=strikes))
    return run()
