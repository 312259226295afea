"""Work that was handed out; kept in memory, since on SQLite one process has the whole ledger."""

from __future__ import annotations

from datetime import datetime


class Claims:
    """Ids that nobody else gets before their claim is over; :meth:`expire` comes before the rest."""

    def __init__(self) -> None:
        self._until: dict[int, datetime] = {}
        self._unsettled: list[int] = []

    def holds(self, id_: int) -> bool:
        return id_ in self._until

    def take(self, ids: list[int], until: datetime) -> None:
        self._until.update(dict.fromkeys(ids, until))
        self._unsettled.extend(ids)

    def prolong(self, id_: int, until: datetime) -> None:
        self._until[id_] = until

    def drop(self, id_: int) -> None:
        self._until.pop(id_, None)

    def expire(self, now: datetime) -> None:
        over = [id_ for id_, until in self._until.items() if until <= now]
        for id_ in over:
            del self._until[id_]

    def settle(self, *, committed: bool) -> None:
        """Keep what was claimed since the last call, or give it back: its takers never heard of it."""
        if not committed:
            for id_ in self._unsettled:
                self._until.pop(id_, None)
        self._unsettled.clear()
