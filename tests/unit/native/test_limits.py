"""Whatever comes, the native reader breaks nothing: memory, depth and failures are bounded."""

from __future__ import annotations

import time

import pytest

from listeners.counters import Counters
from listeners.receive.native import MAX_FAILURES, Native
from listeners.receive.native_reader import NativeReader
from mirror.conversation.normaliser import Normaliser
from tests.unit.conversation.build import at, conversation, frame, leg, participant
from tests.unit.native.twins import MODULE, Twins, recorder

LIVE = leg("connected", connectedTime=at(1_000))
OVER = {**LIVE, "state": "disconnected", "disconnectedTime": at(2_000)}
FRAME = frame(conversation(participant(LIVE)))
DEEP = 100_000
QUICK_SECONDS = 1.0  # seconds of this process


def reader(most: int = 1_000, grace: float = 900.0) -> NativeReader:
    """A native reader of its own."""
    normaliser = Normaliser(max_conversations=most, grace=grace)
    return Native(MODULE, normaliser, recorder(), Counters()).reader


def of(name: str, shown: dict[str, object]) -> bytes:
    """A frame of a conversation."""
    return frame({"id": name, "participants": [participant(shown)]})


def test_beyond_its_size_the_quietest_goes_those_without_live_legs_first() -> None:
    """As of Python's memory."""
    native = reader(most=3)
    raws = [of("live-1", LIVE), of("over", OVER), of("live-2", LIVE), of("live-3", LIVE)]
    native.read(raws, 0, at(0), 0.0)
    assert len(native) == 3
    assert "over" not in native
    native.read([of("live-1", OVER), of("live-4", LIVE)], 0, at(1), 1.0)
    assert "live-1" not in native
    native.read([of("live-2", LIVE), of("live-5", LIVE)], 0, at(2), 2.0)
    assert ("live-3" in native, "live-2" in native, len(native)) == (False, True, 3)


def test_an_ended_conversation_is_forgotten_after_its_grace() -> None:
    """One with a live leg is not."""
    native = reader(grace=10.0)
    native.read([of("live", LIVE), of("over", OVER)], 0, at(0), 0.0)
    native.read([of("other", LIVE)], 0, at(9_000), 9.0)
    assert "over" in native
    native.read([of("other", LIVE)], 0, at(10_000), 10.0)
    assert ("over" in native, "live" in native) == (False, True)


def test_many_come_and_go() -> None:
    """Places are used again, and nothing is mixed up."""
    native = reader(most=50, grace=5.0)
    for number in range(2_000):
        shown = OVER if number % 3 else LIVE
        native.read([of(f"c-{number % 97}", shown)], 0, at(number), number / 10)
        assert len(native) <= 50


@pytest.mark.parametrize(
    "raw",
    [
        b'{"topicName":"v2.users.u.conversations","eventBody":' + b'{"x":' * DEEP,
        b'{"topicName":"v2.users.u.conversations","x":' + b"[" * DEEP,
        FRAME.replace(b'"p-1"', b'"' + b"p" * 10_000 + b'"'),
        FRAME.replace(b'"id":"c-1"', b'"x":"' + b"x" * 300_000 + b'","id":"c-1"'),
        frame(conversation(*(participant(LIVE, participant_id=f"p-{n}") for n in range(300)))),
        b"",
        b"{",
        b"\xff",
    ],
)
def test_what_is_deep_long_or_large_is_left_to_python(raw: bytes) -> None:
    """Nothing of it is remembered."""
    native = reader()
    assert native.read([raw], 0, at(0), 0.0) == ([], 0)
    assert (len(native), native.failures, native.refused) == (0, 0, 1)


def test_a_long_conversation_goes_to_python_when_it_is_too_long() -> None:
    """Legs are searched one after another, so there are not many."""
    twins = Twins()
    began = time.process_time()
    for number in range(300):
        people = participant(LIVE, participant_id=f"p-{number}")
        twins.read([(frame(conversation(people)), at(number), float(number))])
    assert time.process_time() - began < QUICK_SECONDS
    assert twins.left > 0
    assert twins.taken > 200


def test_only_text_is_read() -> None:
    """Whatever else a socket gave is left, and ends the call."""
    native = reader()
    assert native.read([FRAME, None, FRAME], 0, at(0), 0.0)[1] == 1
    assert native.read([bytearray(FRAME)], 0, at(0), 0.0)[1] == 0
    assert native.read([FRAME], 1, at(0), 0.0) == ([], 1)


def test_a_failure_costs_no_frame() -> None:
    """The conversation is forgotten, Python reads the frame, and repeats ids at worst."""
    native = Native(MODULE, Normaliser(), recorder(), Counters())
    native.read([FRAME], 0, at(0), 0.0)
    native.reader.break_next()
    held = frame(conversation(participant({**LIVE, "held": True, "startHoldTime": at(1_500)})))
    other = of("c-2", LIVE)
    records, place = native.read([other, held], 0, at(1), 1.0)
    assert (len(records), place) == (0, 0)
    assert (native.reader.failures, len(native.reader)) == (1, 1)
    assert "rs:" in MODULE.broken_at()
    records, place = native.read([other, held], 0, at(1), 1.0)
    assert place == 2
    types = {dict(headers)["ce_type"] for _, _, headers, _ in records}
    assert b"genesys.interaction.hold" in types


def test_after_some_failures_python_reads_everything() -> None:
    """What the native reader remembers goes to it, conversation by conversation."""
    native = Native(MODULE, Normaliser(), recorder(), Counters())
    native.read([FRAME], 0, at(0), 0.0)
    for number in range(MAX_FAILURES):
        assert native.state == "on"
        native.reader.break_next()
        native.read([of(f"c-x{number}", LIVE)], 0, at(1), 1.0)
    assert native.state == "broken"
    over = frame(conversation(participant(OVER)))
    events = native.frame(over, at(2_000), 2.0).events
    assert [event.event_type for event in events] == ["disconnect", "end"]
    assert len(native.reader) == 0
    assert native.normaliser.memory.get("c-1") is not None
