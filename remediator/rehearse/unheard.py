"""Alerts that no rule's matchers hold for: what is decided on them depends on nothing else that happens.

In most months they are most. The core's functions fold them into episodes and decide on them here, where no
clock has to be waited for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec

from remediator.core.alerts import Alert, AlertKey
from remediator.core.changes import RawWebhook
from remediator.core.decide import Decision, Obstacle, decide
from remediator.core.episodes import Episode, observe
from remediator.core.guards import GuardView
from remediator.core.ids import WebhookId
from remediator.core.manual import SOURCE
from remediator.core.reasons import Reason
from remediator.core.rule_index import RuleIndex
from remediator.core.rules import Rulebook
from remediator.engine.intake import apart_from
from remediator.engine.payload import take_apart
from remediator.rehearse.posts import Post


@dataclass(slots=True)
class Unheard:
    """Episodes that no rule hears of, each as it was when decided on: right after its first webhook."""

    rulebook: Rulebook
    episodes: list[Episode] = field(default_factory=list)
    _latest: dict[AlertKey, Episode] = field(default_factory=dict)
    _index: RuleIndex = field(init=False)

    def __post_init__(self) -> None:
        self._index = RuleIndex(self.rulebook.rules)

    def decided(self) -> list[tuple[Episode, Decision]]:
        """Each episode with the decision on it."""
        nothing = Obstacle(Reason.NO_RULE, "no rule's matchers hold")
        return [(each, decide(each, nothing, GuardView(each.first_seen))) for each in self.episodes]

    def heard(self, posts: Iterable[Post]) -> list[Post]:
        """What rules hear of these posts; the rest becomes episodes here."""
        return [left for post in posts if (left := self._heard(post)) is not None]

    def _heard(self, post: Post) -> Post | None:
        if post.source == SOURCE:
            return post
        told = take_apart(RawWebhook(WebhookId(0), post.source, post.at, post.body))
        if told.quarantine is not None:
            return post
        alerts = apart_from(self.rulebook.watchdog, told).alerts
        unheard = [alert for alert in alerts if not self._index.matching(alert.labels)]
        self._fold(unheard, post.at)
        if not unheard:
            return post
        if len(unheard) == len(alerts):
            return None
        body: dict[str, Any] = msgspec.json.decode(post.body)
        body["alerts"] = [alert for alert in body["alerts"] if self._index.matching(alert["labels"])]
        return replace(post, body=msgspec.json.encode(body))

    def _fold(self, alerts: Iterable[Alert], at: datetime) -> None:
        opened: dict[AlertKey, Episode] = {}
        for alert in alerts:
            seen = observe(alert, self._latest.get(alert.key), at)
            for episode in filter(None, (seen.changed, seen.opened)):
                self._latest[alert.key] = episode
                if seen.opened is not None or alert.key in opened:
                    opened[alert.key] = episode
        self.episodes += opened.values()
