"""``backup``: copies to fall back on."""

from __future__ import annotations

import os
from pathlib import Path

import click

from remediator.cli.client import download


@click.command()
@click.option(
    "--ledger",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Write a copy of the running daemon's own ledger to this new file.",
)
def backup(*, file: Path) -> None:
    """Copy the ledger while the daemon goes on.

    A daemon that is started on the copy knows it for one: it starts paused, and probes what was under way.
    """
    if file.exists():
        message = f"{file} is there already: name a new file"
        raise click.BadParameter(message, param_hint="--ledger")
    part = file.with_name(f"{file.name}.part")
    try:
        _write(part)
        part.rename(file)
    except OSError as error:
        message = f"{file} can't be written: {error.strerror}"
        raise click.ClickException(message) from None
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{file}: {file.stat().st_size:,} bytes")


def _write(part: Path) -> None:
    # It holds what alerts say: for its owner alone. Half a copy never has the name of a whole one.
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        download("/ledger", out)
        out.flush()
        os.fsync(out.fileno())
