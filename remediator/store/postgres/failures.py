"""What PostgreSQL's and the network's errors mean for a caller of the ledger."""

from __future__ import annotations

from enum import Enum, auto

import asyncpg

#: SQLSTATE classes that blame the statement or its values: https://www.postgresql.org/docs/current/errcodes-appendix.html
_CALLERS_FAULT = ("22", "23", "42", "54")
#: Those, and single codes, after which the same transaction may well succeed: lost connections, rollbacks
#: (serialization, deadlock), restarts and cancelled statements, no free connection, a server on standby.
_PASSING = ("08", "40", "57", "53300", "25006", "25P03", "55P03")
#: At commit these say for sure that nothing was kept.
_ROLLED_BACK = ("23", "40")


class Failure(Enum):
    """What is to be done about an error."""

    REFUSED = auto()
    AGAIN = auto()
    UNAVAILABLE = auto()


#: Errors that reading, writing or waiting for the database may end in.
IO_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError)


def judge(error: BaseException) -> Failure | None:
    """What an error means; ``None`` for one that is not the database's."""
    match error:
        case asyncpg.InvalidCachedStatementError():
            # A newer version changed a table meanwhile; the connection has forgotten the statement by now.
            return Failure.AGAIN
        case asyncpg.PostgresError():
            state = error.sqlstate or ""
            if state.startswith(_PASSING):
                return Failure.AGAIN
            return Failure.REFUSED if state.startswith(_CALLERS_FAULT) else Failure.UNAVAILABLE
        case asyncpg.DataError():
            return Failure.REFUSED
        case asyncpg.InterfaceError() | asyncpg.InternalClientError() | OSError() | EOFError():
            return Failure.AGAIN
        case _:
            return None


def surely_rolled_back(error: BaseException) -> bool:
    """Whether an error at commit proves that nothing was kept."""
    return isinstance(error, asyncpg.PostgresError) and (error.sqlstate or "").startswith(_ROLLED_BACK)


def needs_another_server(error: BaseException) -> bool:
    """Whether the server became a standby: after a failover the primary is somewhere else."""
    return isinstance(error, asyncpg.ReadOnlySQLTransactionError)
