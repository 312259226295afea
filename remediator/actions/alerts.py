"""``alert.resolved``: Alertmanager's own answer; its webhook tells only at the next group interval."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.core.alerts import AlertKey
from remediator.core.answers import Answer, Silent
from remediator.core.checks import CheckAnswer, CheckContext, Said
from remediator.core.episodes import Closed, Episode
from remediator.core.matchers import Matcher, Operator
from remediator.core.ports.actions import CheckSpec
from remediator.core.ports.alertmanagers import Alertmanagers


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
        if not context.episodes:
            return CheckAnswer(Said.ERROR, "no alert led here, so that there is none to have resolved")
        heard = await self._alertmanagers.ask(_narrowed(context.episodes))
        active = [each for each in heard if isinstance(each, Answer)]
        if (firing := _firing(active, context.episodes)) is not None:
            return firing
        if silent := [each for each in heard if isinstance(each, Silent)]:
            return CheckAnswer(Said.ERROR, f"Alertmanager {silent[0].url} can't be asked: {silent[0].why}")
        if not active:
            return _by_ledger(context.episodes, "no Alertmanager is configured to be asked")
        since = min(each.starts_at for each in context.episodes)
        if young := [each for each in active if each.up_since > since]:
            return _by_ledger(
                context.episodes, f"Alertmanager {young[0].url} was restarted after the alert began"
            )
        detail = f"no longer active in {_counted(len(active), 'Alertmanager')}"
        return CheckAnswer(Said.YES, detail, {"alertmanagers": [each.url for each in active]})


def _narrowed(episodes: Sequence[Episode]) -> list[Matcher]:
    """What narrows the question: the alerts' name, if they share one."""
    names = {each.alertname for each in episodes}
    name = names.pop() if len(names) == 1 else ""
    return [Matcher("alertname", Operator.EQUAL, name)] if name else []


def _firing(active: Sequence[Answer], episodes: Sequence[Episode]) -> CheckAnswer | None:
    for each in active:
        still = [episode for episode in episodes if episode.fingerprint in each.fingerprints]
        if still:
            detail = f"{_counted(len(still), 'alert')} still active in Alertmanager {each.url}"
            fingerprints = sorted(episode.fingerprint for episode in still)
            return CheckAnswer(Said.NO, detail, {"alertmanager": each.url, "fingerprints": fingerprints})
    return None


def _by_ledger(episodes: Sequence[Episode], why: str) -> CheckAnswer:
    """An episode that a later one took the place of is as resolved as that later one."""
    newest: dict[AlertKey, int] = {}
    for each in episodes:
        newest[each.key] = max(newest.get(each.key, each.id), each.id)
    speaking = [
        each for each in episodes if each.closed is not Closed.SUPERSEDED or each.id == newest[each.key]
    ]
    unresolved = [each for each in speaking if each.closed not in (Closed.RESOLVED, Closed.VANISHED)]
    if not unresolved:
        return CheckAnswer(Said.YES, f"over, as the ledger has it ({why})")
    told = f"no webhook has said resolved for {_counted(len(unresolved), 'alert')}"
    return CheckAnswer(Said.ERROR, f"{why}, and {told}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
