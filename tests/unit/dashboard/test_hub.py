"""One message for many browsers, and what happens to those that do not keep up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from dashboard import hub as hub_module
from dashboard.hub import QUEUE_LENGTH, Hub, Listener, message

FLOOR = frozenset({"floor"})


def in_loop(work: Callable[[Hub], Any]) -> None:
    """Run `work` with a hub that has a loop."""

    async def body() -> None:
        hub = Hub()
        hub.start(asyncio.get_running_loop())
        result = work(hub)
        if asyncio.iscoroutine(result):
            await result

    asyncio.run(body())


def queued(listener: Listener) -> list[bytes | None]:
    """What waits for a browser."""
    found = []
    while not listener.queue.empty():
        found.append(listener.queue.get_nowait())
    return found


def join(hub: Hub, kinds: frozenset[str] = FLOOR, cut: Callable[[], Any] = list) -> Listener:
    """A new stream that must be let in."""
    listener = hub.join(kinds, cut)
    assert listener is not None
    return listener


def test_a_newcomer_gets_all_then_what_changes() -> None:
    """Changes before the full message would mean nothing to it, so it does not get them."""

    async def work(hub: Hub) -> None:
        old = join(hub)
        hub.publish("floor", b"full 1", b"change 1")
        await asyncio.sleep(0)
        new = join(hub)
        assert hub.is_awaited("floor")
        hub.publish("floor", None, b"change 2")
        hub.publish("floor", b"full 3", b"change 3")
        hub.publish("floor", None, b"change 4")
        await asyncio.sleep(0)
        assert queued(old) == [b"full 1", b"change 2", b"change 3", b"change 4"]
        assert queued(new) == [b"full 3", b"change 4"]
        assert not hub.is_awaited("floor")

    in_loop(work)


def test_a_whole_document_is_kept_for_those_who_come_later() -> None:
    """The state of the mirror is told at once, not at the next look."""

    async def work(hub: Hub) -> None:
        hub.publish("mirror", b"state")
        await asyncio.sleep(0)
        assert queued(join(hub, frozenset({"mirror"}))) == [b"state"]
        assert queued(join(hub)) == []

    in_loop(work)


def test_who_does_not_keep_up_is_cut_and_the_others_are_not() -> None:
    """A slow browser's queue fills; it is cut once, and costs nothing from then on."""

    async def work(hub: Hub) -> None:
        cuts: list[str] = []
        slow = join(hub, cut=lambda: cuts.append("slow"))
        fast = join(hub, cut=lambda: cuts.append("fast"))
        heard = 0
        for _ in range(2 * QUEUE_LENGTH):
            hub.publish("floor", b"full", b"change")
            await asyncio.sleep(0)
            heard += len(queued(fast))
        assert cuts == ["slow"]
        assert hub.streams == 1
        assert hub.cut == 1
        assert heard == 2 * QUEUE_LENGTH
        assert slow.queue.qsize() == QUEUE_LENGTH

    in_loop(work)


def test_too_many_streams_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit nobody is let in, until somebody leaves."""
    monkeypatch.setattr(hub_module, "MOST_STREAMS", 2)

    def work(hub: Hub) -> None:
        first = join(hub)
        join(hub)
        assert hub.join(FLOOR, list) is None
        hub.leave(first)
        assert hub.join(FLOOR, list) is not None

    in_loop(work)


def test_stopping_ends_streams_and_lets_nobody_in() -> None:
    """Each gets the end of its stream after what was already queued."""

    async def work(hub: Hub) -> None:
        listener = join(hub)
        hub.publish("floor", b"full", b"change")
        hub.stop()
        await asyncio.sleep(0)
        assert queued(listener) == [b"full", None]
        assert hub.join(FLOOR, list) is None

    in_loop(work)


def test_publishing_before_and_after_the_loop_is_harmless() -> None:
    """Threads begin before the server and end after it."""
    hub = Hub()
    hub.publish("floor", b"full", b"change")
    in_loop(lambda inner: inner.publish("floor", b"full"))
    loop = asyncio.new_event_loop()
    loop.close()
    hub.start(loop)
    hub.publish("floor", b"full", b"change")
    assert hub.sent == 0


def test_a_message_is_one_event_of_one_line() -> None:
    """Line breaks in data would end it."""
    assert message("floor", {"a": "x\ny"}) == b'event: floor\ndata: {"a":"x\\ny"}\n\n'
