"""Puts the seed's chance, and other pace, in the place of the product's own."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random
from uuid import UUID


class SeededSecrets:
    """What the dispatcher takes for `secrets`."""

    def __init__(self, random: Random) -> None:
        self.randbits = random.getrandbits


class SeededUuid:
    """What the stand-in takes for `uuid`."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def uuid4(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)


@contextmanager
def replacing(replaced: Mapping[str, object]) -> Iterator[None]:
    """Replace attributes, each by its dotted path, and put them back."""
    before: list[tuple[object, str, object]] = []
    try:
        for path, value in replaced.items():
            owner, name = _owner(path)
            before.append((owner, name, vars(owner)[name]))
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)


def _owner(path: str) -> tuple[object, str]:
    """The module or class that holds what a dotted path names."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            owner: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:-1]:
            owner = getattr(owner, part)
        return owner, parts[-1]
    raise AttributeError(path)
