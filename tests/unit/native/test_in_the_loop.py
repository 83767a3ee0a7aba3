"""The loop with the native reader: what it publishes, counts and tells is what it was without."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from random import Random
from typing import Any

import pytest

from listeners.channels.session import Session
from listeners.counters import Counters
from listeners.receive.frames import PONG
from listeners.receive.loop import Loop
from listeners.receive.native import MAX_FAILURES, Native
from listeners.receive.native_reader import load
from mirror.base.errors import SettingsError
from mirror.base.log import capture_logs
from mirror.conversation.event import Event
from mirror.conversation.normaliser import Normaliser
from mirror.kafka.record import NativeRecord
from tests.unit.listeners.test_loop import AckedProducer, Idle, Scene, held_call, notification
from tests.unit.native.twins import MODULE, recorder

PING = b"\x89\x00"
GARBAGE = b"\x81\x03{,}"


class Records(AckedProducer):
    """Takes records of both readers, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[NativeRecord] = []
        self._recorder = recorder()

    def events(self, events: list[Event]) -> None:
        made = [self._recorder.record(event) for event in events]
        self.all += [(record.value, record.key or "", record.headers, 0) for record in made]

    def records(self, records: list[NativeRecord]) -> None:
        self.all += records

    def mark_records(self, _read_at: float) -> None:
        """How long they take is another test's."""


class NativeScene(Scene):
    """The scene of the loop's own tests, with the native reader or without."""

    def __init__(self, *, native: bool, shadow: int = 0) -> None:
        self.producer = self.records = Records()
        self.session = Session("me", silence=3600.0, rng=Random(1))
        producer: Any = self.producer
        idle: Any = Idle()
        normaliser, counters = Normaliser(), Counters()
        self.native = None
        if native:
            self.native = Native(MODULE, normaliser, recorder(), counters, shadow=shadow)
        self.loop = Loop(self.session, normaliser, producer, counters, native=self.native)
        self.loop.executor = idle
        self.channel = self.seat("1")
        self.far = self.open(self.channel)

    def play(self, *messages: bytes) -> Counters:
        """Bring messages, and read what is told of all of them."""
        self.far.sendall(b"".join(messages))
        read = self.channel.frames + sum(message[:1] == b"\x81" for message in messages)
        self.until(lambda: self.channel.frames == read)
        return self.loop.counters

    def close(self) -> None:
        """Close both ends."""
        self.loop.close()
        self.far.close()


@pytest.fixture
def scene() -> Iterator[NativeScene]:
    """With the native reader."""
    with closing(NativeScene(native=True)) as made:
        yield made


def odd_call(conversation: str) -> bytes:
    """A call whose time is in another precision, which only Python reads."""
    call = {"id": "leg", "state": "disconnected", "disconnectedTime": "2026-11-23T10:00:09Z"}
    participants = [{"id": "p", "purpose": "agent", "userId": "u1", "calls": [call]}]
    return notification("conversations", {"id": conversation, "participants": participants})


def _told(records: list[NativeRecord]) -> list[dict[str, Any]]:
    """Events without what depends on the moment."""
    told = [json.loads(value) for value, *_ in records]
    for told_event in told:
        told_event |= {
            "received_at": "",
            "occurred_at": "" if told_event["estimated"] else told_event["occurred_at"],
        }
        told_event["event_id"] = told_event["event_id"] if told_event["origin"] == "live" else ""
    return told


def test_frames_of_both_kinds_are_published_in_their_order() -> None:
    """Native and Python take turns within one read; pings and garbage stand between."""
    status = {"status": "IDLE", "startTime": "2026-11-23T10:00:00.000Z"}
    messages = (
        held_call("a"),
        held_call("b"),
        PING,
        odd_call("a"),
        held_call("a"),
        GARBAGE,
        notification("routingStatus", {"id": "u1", "routingStatus": status}),
        odd_call("b"),
        held_call("c"),
    )
    told, counts = [], []
    for native in (False, True):
        with closing(NativeScene(native=native)) as scene:
            counters = scene.play(*messages)
            told.append(_told(scene.records.all))
            assert counters.native_frames == (4 if native else 0)
            assert len(scene.records.states) == len(scene.records.letters) == 1
            assert scene.channel.frames == counters.frames == 8
            assert scene.far.recv(100)[0] & 0x0F == PONG
            counts.append((counters.events, scene.channel.events))
    assert told[0] == told[1]
    assert counts[0] == counts[1] == (len(told[0]),) * 2


def test_a_lost_socket_makes_both_say_again_what_is_held(scene: NativeScene) -> None:
    """As of the normaliser alone."""
    scene.play(held_call("c"))
    told = len(scene.records.all)
    scene.loop.session.interruptions += 1
    scene.loop._do([], time.monotonic())
    scene.play(held_call("c"), held_call("c"))
    assert [told_event["origin"] for told_event in _told(scene.records.all[told:])] == ["snapshot"]


def test_failures_are_counted_and_logged_and_switch_it_off(scene: NativeScene) -> None:
    """No frame is lost by one, and none is read natively any more after some."""
    assert scene.native is not None
    scene.play(held_call("c"))
    with capture_logs() as lines:
        for number in range(MAX_FAILURES):
            scene.native.reader.break_next()
            scene.play(*[held_call(f"c-{number}")] * (number + 2))
    failed = [line for line in lines if line["event"] == "native_failed"]
    assert [line["off"] for line in failed] == [False, False, True]
    assert all(".rs:" in line["at"] for line in failed)
    counters = scene.loop.counters
    assert counters.native_failures == MAX_FAILURES
    before = counters.native_frames
    scene.play(held_call("d"), held_call("e"))
    assert counters.native_frames == before
    assert {key for _, key, *_ in scene.records.all} == {"c", "c-0", "c-1", "c-2", "d", "e"}


@pytest.mark.parametrize("shadow", [1, 2, 3])
def test_a_shadow_reads_one_frame_in_so_many_by_both(shadow: int) -> None:
    """Nothing that is published is another, and without a difference none is counted."""
    messages = [held_call("a"), odd_call("a"), held_call("b"), held_call("a")] * 3
    with closing(NativeScene(native=True)) as plain:
        plain.play(*messages)
    with closing(NativeScene(native=True, shadow=shadow)) as scene:
        counters = scene.play(*messages)
    assert _told(scene.records.all) == _told(plain.records.all)
    assert 0 < counters.native_shadowed <= counters.native_frames
    assert counters.native_differences == 0
    if shadow == 1:
        assert counters.native_shadowed == counters.native_frames


def test_a_shadow_sees_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted, and logged without content."""
    monkeypatch.setattr("mirror.conversation.normaliser.spells.are_earlier", lambda _view: True)
    with closing(NativeScene(native=True, shadow=1)) as scene, capture_logs() as lines:
        counters = scene.play(held_call("a"))
    assert counters.native_differences == 1
    (line,) = [line for line in lines if line["event"] == "native_differs"]
    assert "leg" not in str(line)


def test_one_of_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it gives and takes may have changed."""
    assert load("auto") is MODULE
    monkeypatch.setattr("listeners.receive.native_reader.API", 0)
    assert load("auto") is None
    with pytest.raises(SettingsError, match="another version"):
        load("require")
