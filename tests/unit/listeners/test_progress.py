"""A listener's beats are not taken for a hang while Redis is away, or slow for many shards."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from listeners.beats import Beats
from listeners.channels.topic_list import Missed
from listeners.publish.extent import Lost
from listeners.receive.loop_state import LoopState
from mirror.base.errors import RedisUnavailable
from mirror.fleet.words import Assignment, Beat, ChannelReport, Grant, Shard
from tests.unit.base.waiting import DAY, Waiting

SHARDS = 100


class Fleet:
    """A Redis that takes its time, and a loop that works; each waits for the clock of the test."""

    def __init__(self, waiting: Waiting, *, away: bool) -> None:
        self._waiting, self._away = waiting, away
        self.left = False

    @property
    def state(self) -> LoopState:
        """The loop's word, fresh."""
        return LoopState(self._waiting.now, 1)

    def beat(self, *_: object) -> Assignment:
        self._waiting.call()
        if self._away:
            raise RedisUnavailable("does not answer")
        grants = tuple(
            Grant(shard=str(n), replica="a", epoch=1, shard_epoch=1, client="c")
            for n in range(SHARDS)
        )
        return Assignment(2, grants)

    def shards(self, ids: list[str]) -> dict[str, Shard]:
        self._waiting.call()
        return {id_: Shard(id=id_, epoch=1, topics=()) for id_ in ids}

    def restore_shards(self, _shards: object) -> None:
        """Redis has them."""

    def assign(self, *_: object) -> None:
        """The loop takes it."""

    def news(self, *_: object) -> None:
        """None."""

    def leave(self, _listener: str) -> None:
        self.left = True


def beats_of(fleet: Any, heartbeat: float, clock: Callable[[], float], **more: Any) -> Beats:
    """The beats of a listener between a Redis and a loop, both of them `fleet`."""
    beat = Beat(listener="me", host="h", pid=1, version="0", state="live")
    return Beats(fleet, fleet, beat, heartbeat=heartbeat, lease=4 * heartbeat, clock=clock, **more)


@pytest.mark.parametrize("away", [True, False])
def test_beats_do_not_hang(monkeypatch: pytest.MonkeyPatch, away: bool) -> None:
    """Neither where Redis is away for a day, nor where each of many shards takes minutes."""
    waiting = Waiting()
    fleet: Any = Fleet(waiting, away=away)
    progress = waiting.thread_watch.of("beats")
    beats = beats_of(fleet, 600.0, lambda: waiting.now, report_progress=progress)
    monkeypatch.setattr(beats, "_stop", waiting)
    monkeypatch.setattr(beats._now, "wait", waiting.wait)
    assert beats.problem == ""
    beats.run()
    assert beats.problem.startswith("Redis has not answered for 8") is away
    assert fleet.left
    assert waiting.now > DAY
    assert waiting.hung == set()
    assert waiting.watched() == {"beats"}


class Ledger:
    """A Redis whose shards are not known at first, and a loop with losses to tell of."""

    def __init__(self, lost: Lost) -> None:
        self.state = LoopState(0.0, 1, losses=(lost,))
        self.shards = 0
        self.gaps: list[tuple[object, ...]] = []
        self.settled: list[object] = []

    def beat(self, *_: object) -> None:
        pass

    def file_missed(self, *missed: object) -> None:
        self.gaps.append(missed)

    def file_loss(self, *loss: object) -> int:
        self.gaps.append(loss)
        return self.shards

    def settle(self, lost: Lost) -> None:
        self.settled.append(lost)

    def filed(self, missed: Missed) -> None:
        self.settled.append(missed)


def test_what_a_spool_lost_is_filed_as_a_gap() -> None:
    """With each beat until there is a shard to file it for; only then is it settled."""
    lost = Lost("me.broken-1", 1_000, 2_000, 7)
    ledger: Any = Ledger(lost)
    beats = beats_of(ledger, 1.0, lambda: 0.0)
    beats._once()
    assert ledger.gaps == [("me.broken-1", 1_000, 2_000, "me")]
    assert ledger.settled == []
    ledger.shards = 2
    beats._once()
    assert ledger.settled == [lost]


class Opening:
    """A Redis that answers at once, and a loop of which a channel changes at some moments."""

    def __init__(self, waiting: Waiting, changes: list[float]) -> None:
        self._waiting, self._changes = waiting, changes
        self.beats: list[float] = []

    @property
    def state(self) -> LoopState:
        """The loop's word, fresh: another epoch after each change."""
        now = self._waiting.now
        epoch = sum(change <= now for change in self._changes)
        report = ChannelReport(shard="1", replica="a", epoch=epoch, client="c", state="opening")
        return LoopState(now, 1, channels=(report,))

    def beat(self, *_: object) -> None:
        self.beats.append(self._waiting.now)

    def news(self, *_: object) -> None:
        """None."""

    def leave(self, _listener: str) -> None:
        """It ends."""


def test_early_beats_do_not_put_off_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eighteen channels open one after the other, and then nothing changes: the listener beats on,
    or it would be taken for dead."""
    waiting = Waiting()
    changes = [1.0 + 0.4 * number for number in range(18)]
    fleet: Any = Opening(waiting, changes)
    beats = beats_of(fleet, 2.0, lambda: waiting.now)
    monkeypatch.setattr(beats, "_stop", waiting)
    monkeypatch.setattr(beats._now, "wait", waiting.wait)
    beats.run()
    early = [at for at in fleet.beats if at < 60.0]
    assert max(later - at for at, later in itertools.pairwise(early)) <= 2.5


def test_missed_topics_are_filed_as_a_gap_and_told_to_the_loop() -> None:
    """Once Redis has the gap, the channel's loss is settled."""
    missed = Missed("me/1/1", "7", "a", ("v2.users.u1.conversations",), 10.0, 70.0)
    ledger: Any = Ledger(Lost("me.broken-1", 1_000, 2_000, 7))
    ledger.state = LoopState(0.0, 1, missed=(missed,))
    beats = beats_of(ledger, 1.0, lambda: 0.0)
    beats._once()
    assert ledger.gaps == [(missed, 0.0, "me")]
    assert ledger.settled == [missed]
