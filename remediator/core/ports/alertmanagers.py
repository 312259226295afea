"""The port towards the Alertmanagers that are asked, beside what they tell by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from remediator.core.answers import Heard
from remediator.core.matchers import Matcher


class Alertmanagers(Protocol):
    """Every Alertmanager that the settings name. Raises nothing but cancellation."""

    async def ask(self, matchers: Sequence[Matcher] = (), receiver: str = "") -> list[Heard]:
        """Ask all of them at once which alerts they have, silenced and inhibited ones included.

        ``matchers`` narrow it to the alerts for which all hold, ``receiver`` (a regular expression, anchored)
        to those that are routed there. One answer for each Alertmanager, in the order of the settings; none
        if none is configured.
        """
        ...
