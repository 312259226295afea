"""Pages to PagerDuty: a thread is an incident there, which its envelopes trigger, acknowledge and resolve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from remediator.clients.pagerduty import PagerDuty
from remediator.core.notices import Envelope
from remediator.core.ports.channels import Delivery, Rejected
from remediator.core.references import Reference
from remediator.notify.incidents import event_of
from remediator.settings.references import secret


class PagerDutyNotifier:
    """Delivers to ``pagerduty``, and to ``pagerduty:NAME`` for the routing key of that name.

    A name may be a reference to the key, which is then read anew for each event. ``keys`` are routing keys by
    name; that of the bare channel has none.
    """

    scheme: Final = "pagerduty"

    def __init__(self, client: PagerDuty, keys: Mapping[str, str]) -> None:
        self._client = client
        self._keys = keys

    async def deliver(self, envelope: Envelope, *, head: str, sent: str) -> Delivery:  # noqa: ARG002 - the port's
        """Send one event; its thread names the incident, so that a second one like it changes nothing."""
        name = envelope.channel.partition(":")[2]
        reference = Reference.parse(name)
        try:
            key = self._keys.get(name) if reference is None else secret(reference)
        except ValueError as error:
            return Rejected(f"there is no routing key: {error}")
        if key is None:
            return Rejected(_no_key(name))
        return await self._client.send(event_of(envelope), key)


def _no_key(name: str) -> str:
    if name:
        return (
            f"no routing key is called {name!r}: add a line {name}:KEY to the file of"
            " REMEDIATOR_PAGERDUTY_ROUTING_KEY_FILE"
        )
    return (
        "every routing key has a name: add one without to the file of REMEDIATOR_PAGERDUTY_ROUTING_KEY_FILE"
    )
