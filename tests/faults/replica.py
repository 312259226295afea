"""A replica that dies on cue: the daemon itself, handed adapters that may be struck where it is composed.

``python -m tests.faults.replica`` takes the settings of ``remediator serve``; ``FAULTS`` names the folder of
its strikes.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from remediator.core import runs
from tests.faults.moves import watched
from tests.faults.strikes import Strikes

CLAIM = timedelta(seconds=4)
"""How long a dead replica's claims keep others away: longer than a stopped one is stopped."""
BLIND_FOR = timedelta(seconds=15)


def put(name: str, value: object) -> None:
    """Set a value by its dotted name; AttributeError when there is none."""
    module, _, attribute = name.rpartition(".")
    home = import_module(module)
    getattr(home, attribute)
    setattr(home, attribute, value)


def main() -> int:
    """Serve until told to stop, or struck; gives the exit code."""
    strikes = Strikes(Path(os.environ["FAULTS"]))
    # Before anything else takes it by its name.
    runs.move = watched(runs.move, strikes)
    from remediator.cli.daemon import run
    from tests.faults.adapters import StrikingClient, StrikingNotifier, striking_store_from_url
    from tests.support.daemon import hurry

    hurry(pytest.MonkeyPatch())
    put("remediator.engine.driver.BLIND_FOR", BLIND_FOR)
    put("remediator.engine.dispatcher._CLAIM", CLAIM)
    put("remediator.engine.outbox._CLAIM", CLAIM)
    put("remediator.app.store_from_url", partial(striking_store_from_url, strikes=strikes))
    put("remediator.app.KubernetesClient", partial(StrikingClient, strikes=strikes))
    put("remediator.app.SlackNotifier", partial(StrikingNotifier, strikes=strikes))
    return run()


if __name__ == "__main__":
    sys.exit(main())
