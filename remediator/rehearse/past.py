"""The past as a daemon tells it (``GET /api/v1/episodes``): each episode as the webhooks that told of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from remediator.core.alerts import AlertKey
from remediator.core.checks import CheckAnswer, Fact, Said
from remediator.core.episodes import Closed
from remediator.core.rules import Expect
from remediator.rehearse.posts import Post
from remediator.rehearse.recollection import Remembered

_UNKNOWN = "0001-01-01T00:00:00Z"


def posts_of(episodes: Iterable[Mapping[str, Any]]) -> list[Post]:
    """What came in when: each episode's first alert, and its end.

    Repeats change nothing that is decided, and are left out. An episode that another took the place of ends
    with that one, as it did then.
    """
    return [post for each in episodes for post in _posts(each)]


def facts_of(episodes: Iterable[Mapping[str, Any]]) -> list[Remembered]:
    """Every fact that was stored, of the rules that were passed over too.

    One whose target was not kept is left out: nobody knows what it is about.
    """
    return [
        Remembered(
            AlertKey(each["source"], each["fingerprint"]), _moment(each["first_seen"]), target, _fact(told)
        )
        for each in episodes
        for target, told in _told(each)
        if target
    ]


def _posts(episode: Mapping[str, Any]) -> Iterator[Post]:
    source = episode["source"]
    yield Post(_moment(episode["first_seen"]), source, _body(episode, "firing", _UNKNOWN))
    if episode["closed_at"] is not None and episode["closed"] != Closed.SUPERSEDED:
        # Of one that vanished or lapsed nobody knows the end.
        body = _body(episode, "resolved", episode["ended_at"] or _UNKNOWN)
        yield Post(_moment(episode["closed_at"]), source, body)


def _body(episode: Mapping[str, Any], status: str, ends_at: str) -> bytes:
    alert = {
        "status": status,
        "labels": episode["labels"],
        "annotations": episode["annotations"],
        "startsAt": episode["starts_at"],
        "endsAt": ends_at,
        "fingerprint": episode["fingerprint"],
    }
    return msgspec.json.encode({"version": "4", "groupLabels": episode["group"], "alerts": [alert]})


def _told(episode: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each fact with what it is about."""
    for decision in episode["decisions"]:
        for passed in decision["passed"]:
            yield from ((passed["target"], fact) for fact in passed["facts"])
        yield from ((decision["target"], fact) for fact in decision["facts"])


def _fact(told: Mapping[str, Any]) -> Fact:
    answer = CheckAnswer(Said(told["said"]), told["detail"], told["evidence"])
    return Fact(told["check"], told["with"], Expect(told["expect"]), answer, _moment(told["at"]))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
