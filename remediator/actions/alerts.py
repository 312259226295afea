"""``alert.resolved``: Alertmanager's own answer; its webhook tells only at the next group interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from remediator.core.alerts import AlertKey
from remediator.core.answers import Answer, Silent
from remediator.core.checks import CheckAnswer, CheckContext, Concerned, Said
from remediator.core.episodes import Closed, Episode
from remediator.core.ids import EpisodeId
from remediator.core.matchers import Matcher, Operator
from remediator.core.ports.actions import CheckSpec
from remediator.core.ports.alertmanagers import Alertmanagers

#: As many fingerprints are evidence enough: thousands of alerts may have led to one run.
_MOST_SHOWN = 100


class AlertResolved:
    """Yes once no Alertmanager has any of the episodes firing.

    An Alertmanager proves an alert's absence only if it has been up since before the alert began: one that
    was restarted since may not have heard of it again. Where none can prove it, the ledger's own evidence
    counts, which is that each episode was closed by a webhook that said `resolved`, or vanished with proof.
    """

    def __init__(self, spec: CheckSpec, alertmanagers: Alertmanagers) -> None:
        self._spec = spec
        self._alertmanagers = alertmanagers

    @property
    def spec(self) -> CheckSpec:
        return self._spec

    async def look(self, context: CheckContext) -> CheckAnswer:
        wanted = await _survey(context.episodes)
        if wanted is None:
            return CheckAnswer(Said.ERROR, "no alert led here, so that there is none to have resolved")
        heard = await self._alertmanagers.ask(wanted.matchers)
        active = [each for each in heard if isinstance(each, Answer)]
        seen = await _compare(context.episodes, wanted, active)
        for each, still in zip(active, seen.firing, strict=True):
            if still.count:
                detail = f"{_counted(still.count, 'alert')} still active in Alertmanager {each.url}"
                evidence = {"alertmanager": each.url, "fingerprints": sorted(still.some)}
                return CheckAnswer(Said.NO, detail, evidence)
        if silent := [each for each in heard if isinstance(each, Silent)]:
            return CheckAnswer(Said.ERROR, f"Alertmanager {silent[0].url} can't be asked: {silent[0].why}")
        if not active:
            return seen.by_ledger("no Alertmanager is configured to be asked")
        if young := [each for each in active if each.up_since > wanted.since]:
            return seen.by_ledger(f"Alertmanager {young[0].url} was restarted after the alert began")
        detail = f"no longer active in {_counted(len(active), 'Alertmanager')}"
        return CheckAnswer(Said.YES, detail, {"alertmanagers": [each.url for each in active]})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked about: the episodes up to ``last``, the first of which began at ``since``.

    ``name`` is that of all their alerts, empty where they have several.
    """

    last: EpisodeId
    since: datetime
    name: str

    @property
    def matchers(self) -> Sequence[Matcher]:
        """What narrows the question."""
        return [Matcher("alertname", Operator.EQUAL, self.name)] if self.name else []


@dataclass(slots=True)
class _Firing:
    """How many of the episodes' alerts an Alertmanager has firing, and some of them."""

    count: int = 0
    some: list[str] = field(default_factory=list)

    def add(self, fingerprint: str) -> None:
        self.count += 1
        if len(self.some) < _MOST_SHOWN:
            self.some.append(fingerprint)


@dataclass(slots=True)
class _Seen:
    """What each Alertmanager has firing, and how many episodes are not over, as the ledger has it.

    An episode that a later one took the place of is as resolved as that later one. ``awaiting`` are the
    alerts whose last episode so far was taken the place of.
    """

    firing: Sequence[_Firing]
    unresolved: int = 0
    awaiting: set[AlertKey] = field(default_factory=set)

    def add(self, episode: Episode) -> None:
        self.awaiting.discard(episode.key)
        if episode.closed is Closed.SUPERSEDED:
            self.awaiting.add(episode.key)
        elif episode.closed not in (Closed.RESOLVED, Closed.VANISHED):
            self.unresolved += 1

    def by_ledger(self, why: str) -> CheckAnswer:
        unresolved = self.unresolved + len(self.awaiting)
        if not unresolved:
            return CheckAnswer(Said.YES, f"over, as the ledger has it ({why})")
        told = f"no webhook has said resolved for {_counted(unresolved, 'alert')}"
        return CheckAnswer(Said.ERROR, f"{why}, and {told}")


async def _survey(episodes: Concerned) -> _Wanted | None:
    wanted = None
    async for page in episodes():
        for each in page:
            if wanted is None:
                wanted = _Wanted(each.id, each.starts_at, each.alertname)
            name = wanted.name if each.alertname == wanted.name else ""
            wanted = _Wanted(max(wanted.last, each.id), min(wanted.since, each.starts_at), name)
    return wanted


async def _compare(episodes: Concerned, wanted: _Wanted, active: Sequence[Answer]) -> _Seen:
    """Go along them again, as they were asked about: who joined meanwhile is the next look's."""
    seen = _Seen([_Firing() for _ in active])
    async for page in episodes():
        for episode in page:
            if episode.id > wanted.last:
                return seen
            seen.add(episode)
            for each, firing in zip(active, seen.firing, strict=True):
                if episode.fingerprint in each.fingerprints:
                    firing.add(episode.fingerprint)
    return seen


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
