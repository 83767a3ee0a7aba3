"""What processes wait for at their start: written now and then, read while it is recent."""

from __future__ import annotations

from typing import Any

from mirror.base.errors import RedisUnavailable
from mirror.fleet.waiting import EVERY_SECONDS, KEPT_MS, WaitNote, list_waits, reasons
from mirror.redis.keys import Keys

KEYS = Keys("t")


class Hash:
    """The commands of Redis that notes use, at a time of the test's own."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.fields: dict[str, str] = {}
        self.writes = 0
        self.away = False

    def time(self) -> tuple[int, int]:
        if self.away:
            raise RedisUnavailable("away")
        return self.now_ms // 1000, self.now_ms % 1000 * 1000

    def hset(self, _key: str, field: str, value: bytes) -> None:
        self.writes += 1
        self.fields[field] = value.decode()

    def hdel(self, _key: str, field: str) -> None:
        self.fields.pop(field, None)

    def expire(self, _key: str, _seconds: int) -> None:
        """It does not, here."""

    def hgetall(self, _key: str) -> dict[str, str]:
        return self.fields


def note(redis: Any, program: str, pid: int, now: list[float]) -> WaitNote:
    """The note of a process on host `h`."""
    return WaitNote(redis, KEYS, program=program, host="h", pid=pid, clock=lambda: now[0])


def read(redis: Any) -> list[str]:
    """The lines that status shows."""
    return reasons(list_waits(redis, KEYS))


def test_a_note_is_repeated_and_ends_with_the_wait() -> None:
    """Not at each attempt, but at once if the reason changes."""
    redis, now = Hash(), [0.0]
    listener = note(redis, "listener", 1, now)
    for _ in range(10):
        listener.waits("no topic")
    assert (redis.writes, read(redis)) == (1, ["1 listener waits at the start: no topic"])
    listener.waits("no token")
    assert (redis.writes, read(redis)) == (2, ["1 listener waits at the start: no token"])
    now[0] += EVERY_SECONDS
    listener.waits("no token")
    assert redis.writes == 3
    listener.ends()
    listener.waits("no token")  # a thread that has not noticed the end
    assert read(redis) == []


def test_a_note_of_a_process_that_was_killed_is_soon_no_note() -> None:
    """It is as old as its last repetition; one that Redis' clock puts in the future is old too."""
    redis = Hash()
    note(redis, "listener", 1, [0.0]).waits("no topic")
    redis.now_ms += KEPT_MS
    assert read(redis)
    redis.now_ms += 1
    assert read(redis) == []
    redis.now_ms = 0
    assert read(redis) == []


def test_processes_with_one_reason_share_a_line() -> None:
    """The line gives the reason once."""
    redis = Hash()
    for pid, program in enumerate(("listener", "listener", "coordinator", "projector")):
        note(redis, program, pid, [0.0]).waits("no token")
    note(redis, "janitor", 9, [0.0]).waits("no topic")
    assert read(redis) == [
        "1 coordinator, 2 listeners and 1 projector wait at the start: no token",
        "1 janitor waits at the start: no topic",
    ]


def test_without_redis_there_is_no_note() -> None:
    """What the process waits for is in its log; it is noted when Redis is back."""
    redis, now = Hash(), [0.0]
    redis.away = True
    listener = note(redis, "listener", 1, now)
    listener.waits("no topic")
    redis.away = False
    now[0] += EVERY_SECONDS
    listener.waits("no topic")
    assert read(redis) == ["1 listener waits at the start: no topic"]


def test_a_field_that_is_no_note_is_left_out() -> None:
    """Whoever wrote it."""
    redis = Hash()
    redis.fields["x"] = "{}"
    assert read(redis) == []
