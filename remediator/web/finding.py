"""What requests name: runs by the beginning of their ids, and what people may act on."""

from __future__ import annotations

import re
from http import HTTPStatus

from remediator.core.changes import RunRow
from remediator.core.ports.store import Store
from remediator.web.auth import Principal
from remediator.web.endpoints import ProblemError

_RUN = re.compile(r"[A-Za-z0-9-]{1,40}")


async def run_by_prefix(store: Store, prefix: str) -> RunRow:
    """The run of that id, or the one whose id begins so.

    Raises:
        ProblemError: there is none, or several.
    """
    found = await store.run_row(prefix) if _RUN.fullmatch(prefix) else []
    exact = [row for row in found if row.run.id == prefix] or found
    if not exact:
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            f"there is no run {prefix[:60]}",
            "GET /api/v1/runs lists those there are; old ones are pruned",
        )
    if len(exact) > 1:
        ids = tuple(str(row.run.id) for row in exact)
        raise ProblemError(
            HTTPStatus.CONFLICT,
            f"several runs begin with {prefix}: {', '.join(ids)}",
            "write more of the id",
        )
    return exact[0]


def outside(who: Principal, what: str) -> ProblemError:
    """That somebody's namespaces keep them from doing this."""
    allowed = ", ".join(sorted(who.namespaces))
    return ProblemError(
        HTTPStatus.FORBIDDEN,
        f"{who.name} may not {what}: only act on targets of {allowed}",
        "ask an operator of REMEDIATOR_OPERATORS_FILE who has no `namespaces`",
    )
