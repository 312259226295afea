"""What a file beside the ledger knows of it: how far it had come. A ledger that is behind it was put back."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)


class Witness:
    """The file ``LEDGER-seen``: a time of the ledger's that was durable in it.

    It is written after the ledger, and never waited for: at worst it knows less than it might.
    """

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(f"{ledger.name}-seen")

    def read(self) -> int | None:
        """The time in microseconds, if there is one that can be read."""
        try:
            return int(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def forget(self) -> None:
        """Forget what was seen: the ledger is a new one."""
        with suppress(OSError):
            self._path.unlink()

    def saw(self, micros: int) -> None:
        """Note a time that is durable in the ledger."""
        fresh = self._path.with_name(f"{self._path.name}-new")
        try:
            fresh.touch(mode=0o600)
            fresh.write_text(str(micros), encoding="ascii")
            fresh.replace(self._path)
        except OSError as error:
            _log.warning("a ledger that is put back by hand may not be noticed", error=str(error))
