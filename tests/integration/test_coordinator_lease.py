"""The leader's lock on a real Redis, by every order of claims, lapses, partitions and crashes.

The model says who holds the lock and under which fence; Redis and `Leadership` must agree with it
after each step. Time does not pass here: a lease lapses because the test has Redis expire it, which
is how Redis' own clock would end it. No process' clock takes part, which a rule shows by stepping
it. Does not show: a Redis that loses writes in a fail-over (a second leader is then possible for a
lease, and its fence decides).
"""

from __future__ import annotations

import time
from typing import Any, Literal
from unittest import mock

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from coordinator.election import Deposed, Leadership, Write
from mirror.base.errors import RedisUnavailable
from mirror.redis.keys import Keys

LEASE = 60.0
SEATS = range(3)
seat_numbers = st.sampled_from(SEATS)


class Wire(redis.Redis):
    """A connection that can be cut: on the way there, or on the way back."""

    cut: Literal["", "request", "answer"] = ""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Lose the request before it is sent, or the answer after it was carried out."""
        if self.cut == "request":
            raise redis.ConnectionError("cut")
        answer = super().execute_command(*args, **options)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        if self.cut == "answer" and args[0] != "SCRIPT LOAD":  # else the command is never tried
            raise redis.ConnectionError("cut")
        return answer


class Process:
    """A coordinator process as far as leading goes."""

    def __init__(self, url: str, keys: Keys, token: str) -> None:
        self.wire = Wire(connection_pool=redis.ConnectionPool.from_url(url, decode_responses=True))
        self.leadership = Leadership(self.wire, keys, token, LEASE)


class LockMachine(RuleBasedStateMachine):
    """Three processes, one lock."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self.keys = Keys("test")
        self.redis = redis.Redis.from_url(url, decode_responses=True)
        self.redis.flushall()
        self._tokens = 0
        self.processes = [self._process() for _ in SEATS]
        self.holder: str | None = None
        self.fence = 0
        self.owners: dict[int, str] = {}  # fence → who was elected under it
        self.accepted: list[int] = []  # fences of accepted writes, in order
        self.in_flight: list[tuple[str, int, str]] = []
        self.written: dict[str, str] = {}
        self._clock: Any = None

    def _process(self) -> Process:
        self._tokens += 1
        return Process(self._url, self.keys, f"process-{self._tokens}")

    # -- what processes do -----------------------------------------------------------------------

    @rule(number=seat_numbers)
    def claim(self, number: int) -> None:
        """Ask to lead or to go on leading."""
        leadership, cut = self.processes[number].leadership, self.processes[number].wire.cut
        believed = leadership.fence
        won = cut != "request" and self.holder in {None, leadership.token}
        anew = won and self.holder is None
        if cut:
            with pytest.raises(RedisUnavailable):
                leadership.claim()
        else:
            _, elected = leadership.claim()
            assert bool(leadership.fence) == won
            assert elected == (won and leadership.fence != believed)
            assert not anew or elected, "a new election is never taken for a renewal"
        if won:
            self.holder = leadership.token
            fence = int(str(self.redis.get(self.keys.fence)))
            if anew:
                assert fence > self.fence, "fences grow, over a flush too"
                self.owners[fence] = leadership.token
            else:
                assert fence == self.fence, "a renewal is no election"
            self.fence = fence
            left = self.redis.pttl(self.keys.leader)
            assert isinstance(left, int)
            assert LEASE * 1000 - 5000 < left <= LEASE * 1000, "renewed for a whole lease"

    @rule(number=seat_numbers)
    def write(self, number: int) -> None:
        """A leader's write: it is accepted from the holder under the latest fence alone."""
        leadership, cut = self.processes[number].leadership, self.processes[number].wire.cut
        valid = self.holder == leadership.token and leadership.fence == self.fence
        field, fence = f"f{len(self.accepted)}", leadership.fence
        writes = [
            Write("HSET", self.keys.commands, (field, leadership.token)),
            Write("SET", self.keys.seats, (leadership.token,)),
        ]
        if cut:
            with pytest.raises(RedisUnavailable):
                leadership.write(writes)
        elif valid:
            leadership.write(writes)
        else:
            with pytest.raises(Deposed):
                leadership.write(writes)
            assert leadership.fence == 0, "who is refused knows that it leads no more"
        if valid and cut != "request":
            self._accept(field, leadership.token, fence)

    @rule(number=seat_numbers)
    def pause_in_a_write(self, number: int) -> None:
        """A process stops just as its write goes out; it arrives at some later time."""
        leadership = self.processes[number].leadership
        if leadership.fence:
            self.in_flight.append((leadership.token, leadership.fence, f"late{self._tokens}"))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        """The paused process goes on, and its write arrives: refused if anyone led since."""
        token, fence, field = data.draw(st.sampled_from(self.in_flight))
        self.in_flight.remove((token, fence, field))
        late = Leadership(self.redis, self.keys, token, LEASE)
        late.fence = fence
        write = [Write("HSET", self.keys.commands, (field, token))]
        if (token, fence) == (self.holder, self.fence):
            late.write(write)
            self._accept(field, token, fence)
        else:
            with pytest.raises(Deposed):
                late.write(write)

    @rule(number=seat_numbers)
    def resign(self, number: int) -> None:
        """Give the lead up; who does not lead takes it from nobody."""
        leadership, cut = self.processes[number].leadership, self.processes[number].wire.cut
        if cut:
            with pytest.raises(RedisUnavailable):
                leadership.resign()
        else:
            leadership.resign()
        assert leadership.fence == 0
        if self.holder == leadership.token and cut != "request":
            self.holder = None

    # -- what happens to them --------------------------------------------------------------------

    @rule(number=seat_numbers)
    def crash(self, number: int) -> None:
        """`kill -9`, and started again: nothing is remembered, and the lock stays as it is."""
        self.processes[number].wire.close()
        self.processes[number] = self._process()

    @rule(number=seat_numbers, cut=st.sampled_from(["request", "answer"]))
    def part(self, number: int, cut: Literal["request", "answer"]) -> None:
        """The network loses what the process asks, or what it is answered."""
        self.processes[number].wire.cut = cut

    @rule(number=seat_numbers)
    def heal(self, number: int) -> None:
        """The network is well again."""
        self.processes[number].wire.cut = ""

    @rule()
    def lapse(self) -> None:
        """Redis' own clock passes the end of the lease."""
        self.redis.pexpireat(self.keys.leader, 1)
        self.holder = None

    @rule()
    def forget(self) -> None:
        """Redis comes back empty, without the lock, the fence and its scripts."""
        self.redis.flushall()
        self.redis.script_flush()
        self.holder = None
        self.written.clear()

    @rule(seconds=st.integers(-(10**6), 10**6))
    def step_clocks(self, seconds: int) -> None:
        """The wall clock of every process jumps: nothing depends on it."""
        self._restore_clock()
        self._clock = mock.patch("time.time", return_value=time.time() + seconds)
        self._clock.start()

    # -- what must be so -------------------------------------------------------------------------

    @invariant()
    def one_holder(self) -> None:
        """Redis names the holder that the model has."""
        assert self.redis.get(self.keys.leader) == self.holder

    @invariant()
    def nothing_else_was_written(self) -> None:
        """What is stored was written by whoever held the lock then."""
        assert self.redis.hgetall(self.keys.commands) == self.written

    @invariant()
    def fences_of_writes_never_fall(self) -> None:
        """Accepted writes come in the order of elections."""
        assert self.accepted == sorted(self.accepted)

    @invariant()
    def at_most_one_can_write(self) -> None:
        """Of all that believe to lead, one at most has the token and the fence of the lock."""
        able = [
            process.leadership
            for process in self.processes
            if process.leadership.fence
            and (process.leadership.token, process.leadership.fence) == (self.holder, self.fence)
        ]
        assert len(able) <= 1

    def _accept(self, field: str, token: str, fence: int) -> None:
        assert self.owners[fence] == token
        self.accepted.append(fence)
        self.written[field] = token

    def _restore_clock(self) -> None:
        if self._clock is not None:
            self._clock.stop()
            self._clock = None

    def teardown(self) -> None:
        """Clocks go right again, connections close."""
        self._restore_clock()
        for process in self.processes:
            process.wire.close()
        self.redis.close()


def test_the_lock_has_one_holder_whatever_happens(redis_url: str) -> None:
    """At most one writer at a time; fences grow over lapses, crashes, partitions and flushes."""

    class Machine(LockMachine):
        """The lock on the run's Redis."""

        def __init__(self) -> None:
            super().__init__(redis_url)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=80,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
