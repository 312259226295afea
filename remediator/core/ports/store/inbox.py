"""Webhooks in, episodes out of them, and what is decided on those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from remediator.core.changes import (
    Decided,
    DecisionRequest,
    EpisodeWork,
    Intake,
    Observed,
    RawWebhook,
)
from remediator.core.episodes import Episode, Sighting
from remediator.core.events import Event
from remediator.core.ids import EpisodeId
from remediator.core.inquiries import Inquiry
from remediator.core.notices import Envelope
from remediator.core.ports.store.basics import (
    Fold,
    Judge,
    Review,
)
from remediator.core.quiet import Look
from remediator.core.watchdog import Watchdog


class Inbox(Protocol):
    """Webhooks, and the episodes that they are made of."""

    async def save_webhook(self, source: str, body: bytes) -> None:
        """Keep a webhook's raw body durably. The 2xx is sent after this returns, never before (law 1)."""
        ...

    async def untaken_webhooks(self, max_bytes: int) -> list[RawWebhook]:
        """The oldest webhooks not taken apart yet, about ``max_bytes`` of bodies in all, at least one.

        Of several replicas one is given them, and goes on with them until it is silent for a moment.
        """
        ...

    async def take_webhooks(self, intakes: Sequence[Intake], fold: Fold) -> list[Observed]:
        """Fold the alerts of each webhook, in order, into the latest episode of their keys.

        Marks each webhook as taken (or quarantined), with an event for each episode that opened, refired,
        resolved or was stale, and none for mere repeats. A webhook already taken is passed over, so two
        replicas that read the same one count it once. An open (source, fingerprint) is unique.
        A slice (``more``) is folded alike and leaves its webhook untaken; folding one again only repeats.
        With a webhook from which alerts were left out, an inquiry about its group becomes due. One with a
        Watchdog in it is that of its source's latest arrival, as of its receipt.
        """
        ...

    async def watchdogs(self) -> tuple[Watchdog, ...]:
        """Each source's Watchdog that ever arrived."""
        ...

    async def change_watchdog(
        self,
        was: Watchdog,
        becomes: Watchdog,
        events: Sequence[Event] = (),
        envelopes: Sequence[Envelope] = (),
    ) -> bool:
        """Write what people and others were told of a Watchdog, and what tells them.

        ``False``, and nothing is written, if it is no longer as it was.
        """
        ...

    async def due_inquiries(self, limit: int, claim: timedelta) -> list[Inquiry]:
        """Inquiries whose time has come, those first that have waited longest."""
        ...

    async def settle_inquiry(
        self, inquiry: Inquiry, body: bytes | None, again: timedelta | None, events: Sequence[Event] = ()
    ) -> None:
        """Keep what was answered as a webhook of the inquiry's source, and end the inquiry.

        With ``again`` it is not ended, but asked once more after so long. One that was wished for anew since
        it was handed out does not end either: it is due at once.
        """
        ...

    async def quiet_episodes(self, ask_after: timedelta, after: EpisodeId, limit: int) -> list[Episode]:
        """Open episodes with ids greater than ``after`` that were last known so long ago or longer, by id."""
        ...

    async def review(self, looks: Sequence[Look], review: Review) -> Mapping[Sighting, int]:
        """Fold looks at quiet episodes into the latest ones of their keys, as alerts are.

        Gives how many were what, and leaves an event for each that refired, vanished or lapsed.
        """
        ...

    async def undecided(self, limit: int, claim: timedelta, *, for_facts: bool = False) -> list[EpisodeWork]:
        """Episodes to be decided: new ones, and deferred ones whose ``not_before`` has come, oldest first.

        Those that were put off by :meth:`wait_for_facts` are handed out by ``for_facts`` alone.
        """
        ...

    async def wait_for_facts(self, episodes: Sequence[EpisodeId]) -> None:
        """Put off episodes that were handed out, until there is room to gather the facts of each.

        They are due as before, and may be handed out again at once to whoever asks for such.
        """
        ...

    async def decide(self, requests: Sequence[DecisionRequest], judge: Judge) -> list[Decided]:
        """Judge each request in order and write what it entails; later requests see what earlier ones wrote.

        For a ``run`` decision the run is created and the episode joins it; for ``join`` the episode joins
        that run. Each decision is stored with its facts and guard answers. A request whose (episode, rule)
        already has a final decision is judged again but not written.

        ``judge`` gets each request with its episode as it is now, so that one which closed since it was
        handed out begins nothing. All requests about one episode come in one call. ``parallel`` counts
        every unfinished live run here, those included that wait for their slot, so that no more are begun
        than may act at once; so do ``slots``, where theirs are marked as not taken yet. What a decision
        demands counts for those after it, and what it trips is engaged.
        """
        ...
