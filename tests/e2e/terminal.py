"""A shell session as a reader of the README has it: block after block, in one directory and environment."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import wait_until

GRACE = 15.0


class BlockFailed(AssertionError):
    """A command of a block exited with something else than 0; the message is what was printed."""


@dataclass(slots=True)
class Terminal:
    """What is typed runs in one `sh`: exports and background jobs of one block are there in the next."""

    shell: subprocess.Popen[bytes]
    output: Path
    _seen: int = field(default=0)

    def run(self, block: str, *, within: float) -> str:
        """Type a block in, wait until its last command is over, and return what was printed meanwhile.

        Raises `BlockFailed` as soon as a command fails, `DeadlinePassed` after `within` seconds.
        """
        mark = f"end-of-block-{secrets.token_hex(8)}"
        assert self.shell.stdin is not None
        self.shell.stdin.write(f"{block}\nprintf '\\n%s\\n' {mark}\n".encode())
        self.shell.stdin.flush()
        wait_until(lambda: mark in self._rest() or self.shell.poll() is not None, block, within=within)
        printed, ended, _ = self._rest().partition(f"\n{mark}\n")
        if not ended:
            raise BlockFailed(f"exit code {self.shell.returncode} in:\n{block}\nwhich printed:\n{printed}")
        self._seen += len(printed + ended)
        return printed

    def end_background_job(self) -> int:
        """SIGTERM for the last job that was started with `&`; returns its exit code."""
        return int(self.run('kill "$!"; wait "$!" && echo 0 || echo "$?"', within=GRACE).split()[-1])

    def _rest(self) -> str:
        return self.output.read_text(errors="replace")[self._seen :]


@contextmanager
def terminal(directory: Path, environment: Mapping[str, str], output: Path) -> Iterator[Terminal]:
    """A shell that gives up at the first command that fails; all that it started ends with it."""
    with output.open("wb") as printed:
        shell = subprocess.Popen(
            ["sh", "-e"],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    assert shell.stdin is not None
    try:
        yield Terminal(shell, output)
    finally:
        _end_group(shell)
        shell.stdin.close()
        shell.wait()


def _end_group(shell: subprocess.Popen[bytes]) -> None:
    """End the shell and its jobs, by the process group that is theirs alone."""
    with suppress(ProcessLookupError):
        os.killpg(shell.pid, signal.SIGKILL)
