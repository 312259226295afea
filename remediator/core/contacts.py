"""Contacts: the people, or the roles of people, that a page calls in turn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

#: How long a contact has to answer before the next one is called.
DEFAULT_WAIT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody who can be called.

    ``slack`` is the id of a person or group, or a channel; ``pagerduty`` the name of a routing key; either
    may be empty. ``wait`` is how long they have to answer.
    """

    name: str
    summary: str = ""
    slack: str = ""
    pagerduty: str = ""
    email: str = ""
    phone: str = ""
    wait: timedelta = DEFAULT_WAIT

    @property
    def line(self) -> str:
        """Who it is and how they are reached, for people."""
        known = ", ".join(each for each in (self.summary, self.phone, self.email) if each)
        return f"{self.name} ({known})" if known else self.name
