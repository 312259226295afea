"""What ``remediator serve`` runs; importing it takes most of a daemon's start."""

from __future__ import annotations

import click
import structlog
import uvloop

from remediator.app import serve
from remediator.settings import SettingsError, load_settings
from remediator.telemetry import configure_logging


def run() -> int:
    """Serve until told to stop; gives the exit code."""
    try:
        settings = load_settings()
    except SettingsError as error:
        click.echo(str(error), err=True)
        return 1
    configure_logging(settings.log_format, settings.secrets)
    for warning in settings.warnings:
        structlog.get_logger(__name__).warning("settings", warning=warning)
    return uvloop.run(serve(settings))
