"""``approve`` and ``deny``: a person's answer to what a run asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from remediator.cli.client import ask, print_json, say

_DIGEST = click.option(
    "--digest", help="The plan that you saw, or its beginning; else what is asked for now."
)


@click.command()
@click.argument("run")
@click.option("--why", required=True, help="What you looked at: people read it later.")
@_DIGEST
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def approve(*, run: str, why: str, digest: str | None, as_json: bool) -> None:
    """Approve what a run asks for, in your own name (a token of OPERATORS_FILE).

    It is planned anew before anything is done, and only the very plan that you approved is.
    """
    _answer("approve", run, why, digest, as_json=as_json)


@click.command()
@click.argument("run")
@click.option("--why", required=True, help="What speaks against it.")
@_DIGEST
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def deny(*, run: str, why: str, digest: str | None, as_json: bool) -> None:
    """Deny what a run asks for, in your own name: it ends, and nothing is changed."""
    _answer("deny", run, why, digest, as_json=as_json)


def _answer(verb: str, run: str, why: str, digest: str | None, *, as_json: bool) -> None:
    body = {"why": why, **({"digest": digest} if digest else {})}
    made = ask("POST", f"/runs/{run}/{verb}", body)
    if as_json:
        print_json(made)
        return
    for line in request_lines(made):
        say(line)


def request_lines(approval: dict[str, Any]) -> Iterator[str]:
    """A request for approval, for people: what was asked and answered, then each step."""
    what = f"{approval['run']} {approval['rule']} on {approval['target']}"
    if approval["outcome"] is None:
        asked = ", ".join(approval["asked"]) or "nobody there"
        yield f"waits for approval: {what}, until {approval['until']}, else {approval['otherwise']}"
        yield f"may approve: {asked}; plan {approval['digest'][:12]}"
    else:
        who = f"{approval['who'] or 'nobody'} ({approval['how']})"
        why = f": {approval['why']}" if approval["why"] else ""
        yield f"{approval['outcome']}: {what}, {approval['settled']}, by {who}{why}"
    for step in approval["steps"]:
        yield f"{step['step']}: {step['summary']}"
    for step in approval["fallback"]:
        yield f"falls back to {step['summary']}"
