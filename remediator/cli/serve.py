"""``remediator serve``: the daemon."""

from __future__ import annotations

import signal
import sys
from importlib import import_module

import click


@click.command()
def serve() -> None:
    """Run the daemon, set up by REMEDIATOR_* in the environment."""
    # Its default action would end us while we load; the rules are read after that anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.exit(import_module("remediator.cli.daemon").run())
