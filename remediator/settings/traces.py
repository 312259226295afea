"""Traces that a start without a ledger leaves for the next one on this machine, or in this pod."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


class Trace:
    """That something is to be made good, and nothing else: an empty file of this user's among temporary ones.

    Where none can be kept, people do what the next start would have done.
    """

    def __init__(self, name: str) -> None:
        self._file = Path(tempfile.gettempdir()) / f"remediator-{name}"

    def leave(self) -> None:
        try:
            os.close(os.open(self._file, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except OSError:
            return

    def take_up(self) -> bool:
        """Whether one was left, which then is gone. Another user's does not count."""
        try:
            ours = self._file.lstat().st_uid == os.geteuid()
            if ours:
                self._file.unlink()
        except OSError:
            return False
        return ours
