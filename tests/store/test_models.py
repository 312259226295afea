"""The outbox and the leases against models that are small enough to be seen to be right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from remediator.core.changes import OutboxItem, Refused, RunChange
from remediator.core.ids import Owner, RunId
from remediator.core.leases import Lease
from remediator.core.notices import Envelope, Lane
from remediator.core.runs import Run
from tests.store.backends import BACKENDS
from tests.store.machines import Machine, seconds
from tests.store.values import CART, NODE, an_envelope, begin

CLAIM = timedelta(seconds=10)
TTL = timedelta(seconds=10)


@dataclass(slots=True)
class Waiting:
    """What the model knows of one unsent envelope."""

    envelope: Envelope
    due: float = 0.0
    claimed: float = -1.0


class OutboxMachine(Machine):
    """Model: a list per (channel, thread), of which only the first may be out."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Waiting] = []
        self.out: list[tuple[OutboxItem, Waiting]] = []
        self.delivered: dict[tuple[str, str], str] = {}
        self.heads: dict[str, str] = {}
        self.number = 0

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    @rule(thread=st.sampled_from("tu"), key=st.sampled_from(["", "k", "l"]))
    def post(self, thread: str, key: str) -> None:
        self.number += 1
        envelope = an_envelope(str(self.number), thread=thread, key=key)
        self.do(self.store.post([envelope]))
        for waiting in self.waiting:
            if key and (waiting.envelope.thread, waiting.envelope.key) == (thread, key):
                count = waiting.envelope.notice.count + 1
                waiting.envelope = replace(envelope, notice=replace(envelope.notice, count=count))
                return
        self.waiting.append(Waiting(envelope))

    @rule()
    def fetch(self) -> None:
        items = self.do(self.store.due_envelopes(Lane.REPORTS, 10, CLAIM))
        first = {waiting.envelope.thread: waiting for waiting in reversed(self.waiting)}
        expected = [
            waiting
            for waiting in self.waiting
            if waiting is first[waiting.envelope.thread] and max(waiting.due, waiting.claimed) <= self.now
        ]
        assert [item.envelope for item in items] == [waiting.envelope for waiting in expected]
        for item, waiting in zip(items, expected, strict=True):
            assert item.head == self.heads.get(item.envelope.thread, "")
            assert item.sent == self.delivered.get((item.envelope.thread, item.envelope.key), "")
            waiting.claimed = self.now + CLAIM.total_seconds()
            self.out.append((item, waiting))

    def settled(self, data: st.DataObject) -> tuple[OutboxItem, Waiting]:
        pair = data.draw(st.sampled_from(self.out))
        self.out.remove(pair)
        if pair[1] in self.waiting:
            pair[1].claimed = -1.0
        return pair

    def end(self, item: OutboxItem, waiting: Waiting) -> None:
        if waiting in self.waiting and waiting.envelope == item.envelope:
            self.waiting.remove(waiting)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def sent(self, data: st.DataObject) -> None:
        item, waiting = self.settled(data)
        self.number += 1
        ref = str(self.number)
        self.do(self.store.sent(item, ref))
        self.heads.setdefault(item.envelope.thread, ref)
        if item.envelope.key:
            self.delivered[item.envelope.thread, item.envelope.key] = ref
        self.end(item, waiting)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def park(self, data: st.DataObject) -> None:
        item, waiting = self.settled(data)
        self.do(self.store.park(item, "no"))
        self.end(item, waiting)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), wait=seconds)
    def delay(self, data: st.DataObject, wait: float) -> None:
        item, waiting = self.settled(data)
        self.do(self.store.delay(item, timedelta(seconds=wait), "later"))
        waiting.due = self.now + wait

    @rule()
    def restart(self) -> None:
        """Claims are this process's own: whoever held one is gone."""
        self.reopen()
        self.out.clear()
        for waiting in self.waiting:
            waiting.claimed = -1.0

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.do(self.store.backlog()).outbox == len(self.waiting)


class LeaseMachine(Machine):
    """Model: per target one (run, owner, token, end), and the highest token ever given."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[RunId, Run] = {}
        self.live: dict[str, Lease] = {}
        self.given: list[Lease] = []

    @initialize()
    def begin(self) -> None:
        for id_, target, name in (("r-1", CART, "a"), ("r-2", CART, "b"), ("r-3", NODE, "a")):
            run = self.do(begin(self.store, id_, target=target, rule=name))
            self.runs[run.id] = run

    def holder(self, target: str) -> Lease | None:
        held = self.live.get(target)
        return held if held is not None and self.clock.wall() < held.expires_at else None

    @rule(run=st.sampled_from(["r-1", "r-2", "r-3"]), owner=st.sampled_from(["a", "b"]))
    def acquire(self, run: str, owner: str) -> None:
        target = str(self.runs[RunId(run)].target)
        held = self.holder(target)
        answer = self.do(self.store.acquire(RunId(run), Owner(owner), TTL))
        if held is not None and (held.run, held.owner) != (run, owner):
            assert not isinstance(answer, Lease)
            assert (answer.run, answer.owner, answer.until) == (held.run, held.owner, held.expires_at)
            return
        assert isinstance(answer, Lease)
        assert all(answer.token > earlier.token for earlier in self.given)
        assert answer.expires_at == self.clock.wall() + TTL
        self.live[target] = answer
        self.given.append(answer)

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.given))
        held = self.holder(str(lease.target))
        answer = self.do(self.store.renew(lease, TTL))
        if held is None or held.token != lease.token:
            assert answer is None
        else:
            assert answer == replace(held, expires_at=self.clock.wall() + TTL)
            self.live[str(lease.target)] = answer

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.given))
        self.do(self.store.release(lease))
        held = self.live.get(str(lease.target))
        if held is not None and held.token == lease.token:
            del self.live[str(lease.target)]

    @precondition(lambda self: self.given)
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        """Only the token of the live lease lets a run's change through."""
        lease = data.draw(st.sampled_from(self.given))
        run = self.runs[lease.run]
        changed = replace(run, detail=f"written with {lease.token}")
        answer = self.do(self.store.advance(lease.token, RunChange(changed, run.state)))
        held = self.holder(str(lease.target))
        if held is not None and held.token == lease.token:
            assert answer is None
            self.runs[run.id] = changed
        else:
            assert answer is Refused.LEASE_LOST
        assert self.do(self.store.run(run.id)) == self.runs[run.id]

    @invariant()
    def those_that_nobody_drives_are_runnable(self) -> None:
        live = [self.holder(target) for target in self.live]
        driven = {held.run for held in live if held is not None}
        assert self.do(self.store.runnable(10)) == [id_ for id_ in self.runs if id_ not in driven]

    @rule()
    def restart(self) -> None:
        self.reopen()


@pytest.mark.parametrize("backend_name", sorted(BACKENDS))
@pytest.mark.parametrize("machine", [OutboxMachine, LeaseMachine])
def test_the_store_does_what_its_model_does(machine: type[Machine], backend_name: str) -> None:
    bound = type(machine.__name__, (machine,), {"backend_name": backend_name})
    run_state_machine_as_test(
        bound, settings=settings(max_examples=25, stateful_step_count=30, deadline=None)
    )
