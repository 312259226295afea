"""References to secrets: where one is kept, which may be written down, logged and stored, unlike itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Keeper(StrEnum):
    """What keeps a secret: a variable of the environment, or a file."""

    ENV = "env"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a secret is kept; as text ``env=NAME`` or ``file=PATH``, as no channel and no key is called."""

    keeper: Keeper
    name: str

    def __str__(self) -> str:
        return f"{self.keeper}={self.name}"

    @property
    def written(self) -> str:
        """As it stands in a rule file."""
        return f"{{{self.keeper}: {self.name}}}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The reference that a text is; ``None`` if it is another text."""
        keeper, equals, name = text.partition("=")
        return cls(Keeper(keeper), name) if equals and name and keeper in tuple(Keeper) else None
