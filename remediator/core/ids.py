"""Identifiers, kept apart by type so that one can't be passed for another."""

from __future__ import annotations

from typing import NewType

WebhookId = NewType("WebhookId", int)
EpisodeId = NewType("EpisodeId", int)
DecisionId = NewType("DecisionId", int)
PageId = NewType("PageId", int)
#: ``r-`` and ten Crockford base32 characters, made by the engine; short enough to be typed at night.
RunId = NewType("RunId", str)
#: ``RUN/STEP/N``: readable on the target, unique because a run numbers its own attempts.
AttemptId = NewType("AttemptId", str)
#: A fencing token: grows with every lease taken from one ledger, never repeats.
Token = NewType("Token", int)
#: A replica, for as long as its process lives.
Owner = NewType("Owner", str)
#: SHA-256 (hex) over a rulebook's files.
RulebookHash = NewType("RulebookHash", str)
#: SHA-256 (hex) over all that a run would do: what an approval binds.
PlanDigest = NewType("PlanDigest", str)


def attempt_id(run: RunId, step: str, number: int) -> AttemptId:
    """The id under which try ``number`` (from 1) of a step is found on its target."""
    return AttemptId(f"{run}/{step}/{number}")
