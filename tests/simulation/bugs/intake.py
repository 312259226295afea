"""Laws 1 to 3 forgotten: what came in is lost, decided twice, or acted on though it fires no more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from remediator.core import counts, decide
from remediator.core.changes import RawWebhook
from remediator.core.counts import Counted
from remediator.store.sqlite import SqliteStore, inbox
from remediator.store.sqlite.transaction import Transaction
from tests.simulation.bugs.bug import Bug, laws

# Law 1.


async def _answer_before_it_is_kept(store: SqliteStore, source: str, body: bytes) -> None:
    saving = asyncio.ensure_future(_save_webhook(store, source, body))
    saving.add_done_callback(lambda done: done.cancelled() or done.exception())


_save_webhook = SqliteStore.save_webhook


def _taken_when_handed_out(transaction: Transaction, max_bytes: int) -> list[RawWebhook]:
    found = _untaken_webhooks(transaction, max_bytes)
    marks = [(transaction.micros, webhook.id) for webhook in found]
    transaction.sql.executemany("UPDATE webhooks SET taken_at = ? WHERE id = ?", marks)
    return found


_untaken_webhooks = inbox.untaken_webhooks


# Law 2.


def _each_firing(window: Sequence[Counted], enough: int) -> tuple[int, datetime | None]:
    return len(window), window[enough - 1].at if len(window) >= enough else None


def _over_at_once(counted: Counted, *given: Any) -> counts.Standing:
    return replace(_standing(counted, *given), over_at=counted.at)


_standing = counts._standing


# Law 3.


def _decide_on_what_has_resolved(episode: Any, question: Any, view: Any) -> decide.Decision:
    return _decide(replace(episode, closed=None), question, view)


_decide = decide.decide


BUGS: Sequence[Bug] = (
    Bug(
        "answer before it is kept",
        "a post is answered with 200 while it is being written",
        laws("law_1_what_was_answered_is_kept"),
        {"remediator.store.sqlite.store.SqliteStore.save_webhook": _answer_before_it_is_kept},
    ),
    Bug(
        "taken when handed out",
        "a webhook counts as taken apart as soon as a replica has read it",
        laws("law_1_what_was_answered_is_taken_in"),
        {
            "remediator.store.sqlite.inbox.untaken_webhooks": _taken_when_handed_out,
            "remediator.store.sqlite.inbox._STILL_UNTAKEN": inbox._STILL_UNTAKEN.replace(
                "taken_at IS NULL AND", ""
            ),
        },
    ),
    Bug(
        "join forgotten",
        "an episode begins a run of its own although one is under way",
        laws("law_2_one_run_at_a_time", "law_2_a_burst_is_one_run"),
        {"remediator.core.decide._joined": lambda *_: None},
    ),
    Bug(
        "late join forgotten",
        "what a run covered, which has ended, begins another or counts as a relapse",
        laws("law_2_a_burst_is_one_run", "law_2_what_a_run_covers_joins_it"),
        {"remediator.core.decide._covers": lambda *_: False},
    ),
    Bug(
        "count forgotten",
        "a rule that asks for several alerts acts on one",
        laws("law_2_a_count_is_reached_within_its_window"),
        {"remediator.core.decide._too_few": lambda *_: None},
    ),
    Bug(
        "flapping counts",
        "a rule that asks for several alerts takes one that flaps for many",
        laws("law_2_a_count_is_reached_within_its_window"),
        {"remediator.core.counts._alerts": _each_firing},
    ),
    Bug(
        "no patience",
        "an alert that waits for others goes on to the next rule at once",
        laws("law_2_who_goes_on_was_not_enough"),
        {"remediator.core.counts._standing": _over_at_once},
    ),
    Bug(
        "resolved acts",
        "an episode that closed is decided on like an open one",
        laws("law_3_only_firing_alerts_act"),
        {"remediator.engine.dispatcher.decide": _decide_on_what_has_resolved},
    ),
    Bug(
        "cancel without asking",
        "a run is cancelled although an alert joined it meanwhile",
        laws("law_3_only_firing_alerts_act"),
        {"remediator.store.sqlite.moves.still_fires": lambda *_: False},
    ),
)
