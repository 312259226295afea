"""What the API takes, as it is on the wire; ``/api/openapi.json`` is made from these types."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from remediator.core.guards import Guard, PauseScope
from remediator.web.models import TargetText

Why = Annotated[str, Meta(min_length=1, max_length=500, description="What people read later.")]
Limit = Annotated[int, Meta(ge=1, le=1000)]
#: The greatest number that a ledger can give a row.
_MOST = 2**63 - 1


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that is asked; an unknown field is an error, because it is a mistyped one."""


class RunsQuery(Asked, frozen=True):
    """Which runs; newest first."""

    limit: Limit = 50
    rule: str | UnsetType = UNSET
    target: TargetText | UnsetType = UNSET
    since: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET
    before: Annotated[str, Meta(description="Go on after the run with this id.")] | UnsetType = UNSET


class DecisionsQuery(Asked, frozen=True):
    """Which decisions; newest first."""

    limit: Limit = 50
    before: Annotated[int, Meta(ge=1, le=_MOST, description="Go on after this decision.")] | UnsetType = UNSET
    rule: str | UnsetType = UNSET
    episode: Annotated[int, Meta(ge=1, le=_MOST)] | UnsetType = UNSET


class EpisodesQuery(Asked, frozen=True):
    """Which episodes; newest first."""

    limit: Limit = 200
    since: Annotated[datetime, Meta(tz=True, description="First seen then or later.")] | UnsetType = UNSET
    before: Annotated[int, Meta(ge=1, le=_MOST, description="The `before` of the last page.")] | UnsetType = (
        UNSET
    )


class EventsQuery(Asked, frozen=True):
    """Which events; oldest first."""

    after: Annotated[int, Meta(ge=0, le=_MOST, description="The last id that you have.")] = 0
    limit: Limit = 200


class PauseRequest(Asked, frozen=True):
    """Stop everything (`all`), a rule by its name, or a target; for a while, or until resumed."""

    why: Why
    scope: PauseScope = PauseScope.ALL
    value: str = ""
    name: Annotated[str, Meta(max_length=100, description="What it is called, for people.")] = ""
    length: Annotated[str, Meta(description="Such as `2h`; absent, until resumed.")] | None = field(
        name="for", default=None
    )


class RunRequest(Asked, frozen=True):
    """Run a rule by hand. It passes every guard but those in `override`, which takes a person with a name.

    The same `request` twice is one: send it again when you can't tell whether it arrived.
    """

    rule: str
    why: Why
    labels: Annotated[dict[str, str], Meta(description="What its alert would bear.")] = {}
    override: Annotated[list[Guard], Meta(description="Guards whose no is passed over.")] = []
    request: Annotated[str, Meta(min_length=1, max_length=100)] | UnsetType = UNSET


class ResumeRequest(Asked, frozen=True):
    """Lift the pauses of exactly this scope and value, or the one with this `id`."""

    why: Why
    scope: PauseScope = PauseScope.ALL
    value: str = ""
    id: Annotated[int, Meta(ge=1, le=_MOST)] | UnsetType = UNSET


class ClearRequest(Asked, frozen=True):
    """Lift a target's quarantine: somebody looked and knows what happened."""

    target: TargetText
    why: Why


class AckRequest(Asked, frozen=True):
    """Take a page on, by its run's id or its own number: nobody else is called."""

    page: Annotated[str, Meta(min_length=1, max_length=40)]
    why: Annotated[str, Meta(max_length=500, description="What people read later.")] = ""


class AnswerRequest(Asked, frozen=True):
    """Approve or deny what a run asks for. `digest`, or its beginning, says which plan was seen."""

    why: Why
    digest: (
        Annotated[
            str,
            Meta(pattern="^[0-9a-f]{8,64}$", description="Absent: whatever the run asks for now."),
        ]
        | None
    ) = None
