"""``remediator serve``: the daemon."""

from __future__ import annotations

import sys

import click
import structlog
import uvloop

from remediator.app import serve as serve_app
from remediator.settings import SettingsError, load_settings
from remediator.telemetry import configure_logging


@click.command()
def serve() -> None:
    """Run the daemon, set up by REMEDIATOR_* in the environment."""
    try:
        settings = load_settings()
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    configure_logging(settings.log_format, settings.secrets)
    for warning in settings.warnings:
        structlog.get_logger(__name__).warning("settings", warning=warning)
    sys.exit(uvloop.run(serve_app(settings)))
