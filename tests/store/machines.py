"""What stateful tests of the stores share: a ledger of their own, on a clock that they move."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from remediator.core.ports.store import Store
from tests.store.backends import BACKENDS
from tests.store.clock import FakeClock

T = TypeVar("T")
seconds = st.sampled_from([0.0, 1.0, 4.0, 10.0])


class Machine(RuleBasedStateMachine):
    """A ledger of its own on an event loop of its own, which may be closed and opened at any time."""

    backend_name: str

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.backend = BACKENDS[self.backend_name](self.folder, self.clock)
        self.store: Store = self.backend.make()
        self.do(self.store.open())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @rule(passed=seconds)
    def time_passes(self, passed: float) -> None:
        self.clock.advance(passed)

    def reopen(self) -> None:
        self.do(self.store.close())
        self.store = self.backend.make()
        self.do(self.store.open())

    def teardown(self) -> None:
        self.do(self.store.close())
        self.backend.close()
        self.do(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)
