"""A listener's beats are not taken for a hang while Redis is away, or slow for many shards."""

from __future__ import annotations

from typing import Any

import pytest

from listeners.beats import Beats
from listeners.loop import Snapshot
from mirror.errors import RedisUnavailable
from mirror.fleet import Assignment, Beat, Grant, Shard
from mirror.redis.fleet import BeatAnswer
from tests.unit.mirror.waiting import DAY, Waiting

SHARDS = 100


class Fleet:
    """A Redis that takes its time, and a loop that works; each waits for the clock of the test."""

    def __init__(self, waiting: Waiting, *, away: bool) -> None:
        self._waiting, self._away = waiting, away
        self.left = False

    @property
    def snapshot(self) -> Snapshot:
        """The loop's word, fresh."""
        return Snapshot(self._waiting.now, 1)

    def beat(self, *_: object) -> BeatAnswer:
        self._waiting.call()
        if self._away:
            raise RedisUnavailable("does not answer")
        grants = tuple(
            Grant(shard=str(n), replica="a", epoch=1, shard_epoch=1, client="c")
            for n in range(SHARDS)
        )
        return BeatAnswer(1, Assignment(2, grants))

    def shard(self, shard_id: str) -> Shard:
        self._waiting.call()
        return Shard(id=shard_id, epoch=1, topics=())

    def restore_shards(self, _shards: object) -> None:
        """Redis has them."""

    def assign(self, *_: object) -> None:
        """The loop takes it."""

    def news(self, *_: object) -> None:
        """None."""

    def leave(self, _listener: str) -> None:
        self.left = True


@pytest.mark.parametrize("away", [True, False])
def test_beats_do_not_hang(monkeypatch: pytest.MonkeyPatch, away: bool) -> None:
    """Neither where Redis is away for a day, nor where each of many shards takes minutes."""
    waiting = Waiting()
    fleet: Any = Fleet(waiting, away=away)
    beats = Beats(
        fleet,
        fleet,
        Beat(listener="me", host="h", pid=1, version="0", state="live"),
        heartbeat=600.0,
        lease=2_400.0,
        clock=lambda: waiting.now,
        turned=waiting.turns.of("beats"),
    )
    monkeypatch.setattr(beats, "_stop", waiting)
    monkeypatch.setattr(beats._now, "wait", waiting.wait)
    beats._run()
    assert fleet.left
    assert waiting.now > DAY
    assert waiting.hung == set()
    assert waiting.watched() == {"beats"}
