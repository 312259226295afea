"""Requests to people as rows."""

from __future__ import annotations

from remediator.core.approvals import Approval, How, Settled
from remediator.core.ids import PlanDigest, RunId
from remediator.core.rules import Otherwise
from remediator.store.common.codecs import Row, as_json, maybe_micros, maybe_moment, micros, moment, texts
from remediator.store.common.codecs import proposal as proposal_from

COLUMNS = (
    "run, number, digest, proposal, asked, asked_at, until, otherwise, settled, settled_at, who, why, how"
)


def approval_from(row: Row) -> Approval:
    run, number, digest, proposal, asked, asked_at, until, otherwise, settled, settled_at, who, why, how = row
    return Approval(
        run=RunId(run),
        number=number,
        digest=PlanDigest(digest),
        proposal=proposal_from(proposal),
        asked=texts(asked),
        asked_at=moment(asked_at),
        until=moment(until),
        otherwise=Otherwise(otherwise),
        settled=None if settled is None else Settled(settled),
        settled_at=maybe_moment(settled_at),
        who=who,
        why=why,
        how=None if how is None else How(how),
    )


def approval_row(approval: Approval) -> Row:
    return (
        approval.run,
        approval.number,
        approval.digest,
        as_json(approval.proposal),
        as_json(approval.asked),
        micros(approval.asked_at),
        micros(approval.until),
        approval.otherwise.value,
        approval.settled,
        maybe_micros(approval.settled_at),
        approval.who,
        approval.why,
        approval.how,
    )
