"""Rule files that can't be used: recorded each time, and told to people once."""

from __future__ import annotations

from hashlib import sha256

from remediator.core.events import Event, EventKind
from remediator.core.ids import RulebookHash
from remediator.core.notices import Envelope, Notice, NoticeKind, Tone
from remediator.core.ports.store import Store

#: Of the problems with rule files, how many a message lists.
_MOST_LINES = 10


class Refusals:
    """Tells of each error once, until the files are mended, and once of that.

    Replicas whose files have the same error tell of it in the same thread and under the same key, so that
    a channel shows it once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: list[str] = []
        self._times = 1

    @property
    def standing(self) -> bool:
        """Whether people were told of an error, and not yet that it is mended."""
        return bool(self._told)

    async def refused(
        self, problems: tuple[str, ...], active: RulebookHash | None, channels: tuple[str, ...]
    ) -> None:
        """Record that the files were refused while ``active`` is in force, and tell who was not told yet."""
        event = Event(EventKind.RULEBOOK_REFUSED, await self._store.now(), {"problems": list(problems)})
        thread = _thread(problems, active)
        if thread in self._told:
            await self._store.record([event])
            return
        notice = Notice(
            NoticeKind.ALARM,
            title="Remediator: the rule files can't be used",
            tone=Tone.BAD,
            summary=f"Rulebook {active[:12]} stays in force until they can." if active else "",
            lines=_some(problems),
            commands=("remediator check", "remediator status"),
            count=0,
        )
        key = f"refused-{self._times}"
        await self._store.post([Envelope(channel, thread, notice, key) for channel in channels], [event])
        self._told.append(thread)

    async def mended(self, files: RulebookHash, channels: tuple[str, ...]) -> None:
        """Tell whoever was told of an error that the files can be used again."""
        if not self.standing:
            return
        notice = Notice(
            NoticeKind.ALARM,
            title="Remediator: the rule files can be used again",
            tone=Tone.GOOD,
            summary=f"They are rulebook {files[:12]}; `remediator status` says whether it is in force.",
            count=0,
        )
        thread, key = self._told[-1], f"mended-{self._times}"
        await self._store.post([Envelope(channel, thread, notice, key) for channel in channels])
        self._told, self._times = [], self._times + 1


def _thread(problems: tuple[str, ...], active: RulebookHash | None) -> str:
    digest = sha256("\n".join((active or "", *problems)).encode(errors="surrogatepass"))
    return f"rule-files:{digest.hexdigest()[:16]}"


def _some(problems: tuple[str, ...]) -> tuple[str, ...]:
    more = len(problems) - _MOST_LINES
    return problems if more <= 0 else (*problems[:_MOST_LINES], f"and {more} more")
