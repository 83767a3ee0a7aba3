"""Faults as data: whom they strike, how often, and how a frame leaves because of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from simulator.analytics import BadQuery, interval_of, parse
from simulator.clock import Clock, parse_rfc3339, rfc3339
from simulator.faults import GARBAGE_KINDS, STANDING, STRIKING, Fault, FaultBook, checked
from simulator.faults import parse as parse_fault
from simulator.frames import ws_frame
from simulator.garbage import payload
from simulator.replay import read_frames
from simulator.rules import Rules

TOPIC = "v2.users.u.conversations"


@pytest.fixture
def book() -> FaultBook:
    """Nothing is wrong yet."""
    return FaultBook(random.Random(1))


def test_the_command_line_and_json_say_the_same() -> None:
    """Text numbers become numbers; names are checked either way."""
    text = parse_fault("rest:status=503,path=/api/v2/users*,count=3,share=0.5")
    assert text == checked(
        {"fault": "rest", "status": 503, "path": "/api/v2/users*", "count": 3, "share": 0.5}
    )


@pytest.mark.parametrize(
    "text", ["", "nothing", "rest:status", "rest:status=x", "lose:colour=red", "noise:kind=x"]
)
def test_bad_faults_are_refused(text: str) -> None:
    """An unknown name, key, kind or a wrong value never becomes a quiet nothing."""
    with pytest.raises(ValueError, match=r"."):
        parse_fault(text)


def test_a_fault_is_used_up_and_over(book: FaultBook) -> None:
    """`count` times, or for `seconds`, then it is gone."""
    book.add(Fault(fault="lose", count=2), 0.0)
    sent = [bool(book.delivery(TOPIC, "c", "x", 0, 0.0).delays) for _ in range(4)]
    assert sent == [False, False, True, True]
    book.add(Fault(fault="lose", seconds=10), 0.0)
    assert not book.delivery(TOPIC, "c", "x", 0, 9.9).delays
    assert book.delivery(TOPIC, "c", "x", 0, 10.0).delays
    assert book.all() == []
    assert not book.on_delivery


def test_selectors_choose_the_replica_the_client_and_the_topic(book: FaultBook) -> None:
    """Only the n-th listener, only that client, only topics that match."""
    book.add(Fault(fault="lose", nth=1, client="x", topic="v2.users.*"), 0.0)
    for topic, client, nth, lost in (
        (TOPIC, "x", 1, True),
        (TOPIC, "x", 0, False),
        (TOPIC, "y", 1, False),
        ("v2.routing.queues.q.conversations", "x", 1, False),
    ):
        assert (not book.delivery(topic, "c", client, nth, 0.0).delays) is lost


def test_late_keeps_order_and_reorder_does_not(book: FaultBook) -> None:
    """The plan says so to whoever writes; duplicates are a second delay."""
    book.add(Fault(fault="late", ms=250), 0.0)
    late = book.delivery(TOPIC, "c", "x", 0, 0.0)
    assert late.delays == (0.25,)
    assert late.ordered
    book.add(Fault(fault="reorder", ms=100), 0.0)
    assert not book.delivery(TOPIC, "c", "x", 0, 0.0).ordered
    book.clear()
    book.add(Fault(fault="duplicate"), 0.0)
    assert book.delivery(TOPIC, "c", "x", 0, 0.0).delays == (0.0, 0.0)


def test_swallow_chooses_by_event_medium_and_conversation(book: FaultBook) -> None:
    """Nothing is swallowed for another event, medium or conversation."""
    book.add(Fault(fault="swallow", event="end", media="chat", conversation_id="c"), 0.0)
    assert not book.swallows("c", [("end", None)], 0.0)
    assert not book.swallows("d", [("end", "chat")], 0.0)
    assert book.swallows("c", [("answer", "chat"), ("end", "chat")], 0.0)


def test_share_strikes_about_so_often(book: FaultBook) -> None:
    """A tenth is about a tenth."""
    book.add(Fault(fault="lose", share=0.1), 0.0)
    lost = sum(not book.delivery(TOPIC, "c", "x", 0, 0.0).delays for _ in range(5000))
    assert 400 < lost < 600


def test_every_fault_has_its_words() -> None:
    """The admin API can say what each does, and none is both kinds."""
    assert not STRIKING.keys() & STANDING.keys()
    assert all({**STRIKING, **STANDING}.values())


@pytest.mark.parametrize("kind", GARBAGE_KINDS)
def test_garbage_is_what_it_is_called(kind: str) -> None:
    """Not JSON, no object, no topic, and so on; huge is huge."""
    data = payload(kind, random.Random(1), TOPIC)
    frame: Any
    try:
        frame = json.loads(data.decode())
    except (ValueError, RecursionError):
        frame = None
    shape: dict[str, Callable[[], bool]] = {
        "bad_utf8": lambda: frame is None,
        "truncated": lambda: frame is None,
        "not_json": lambda: frame is None,
        "empty": lambda: data == b"",
        "not_object": lambda: data != b"" and not isinstance(frame, dict),
        "no_topic": lambda: isinstance(frame, dict) and "topicName" not in frame,
        "no_id": lambda: isinstance(frame, dict) and "id" not in frame["eventBody"],
        "huge": lambda: len(data) > 5_000_000,
        "deep": lambda: data.count(b"[") >= 5000,
        "wrong_types": lambda: (
            isinstance(frame, dict) and frame["eventBody"]["participants"][1] is None
        ),
        "unknown_topic": lambda: isinstance(frame, dict) and "unheard" in frame["topicName"],
        "unknown_values": lambda: b"levitating" in data,
    }
    assert shape[kind]()


@pytest.mark.parametrize(("size", "header"), [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)])
def test_websocket_headers_have_the_length_that_the_payload_needs(size: int, header: int) -> None:
    """RFC 6455: 7, 16 or 64 bits of length, never masked by a server."""
    frame = ws_frame(b"x" * size)
    assert len(frame) == size + header
    assert frame[0] == 0x81
    assert frame[1] < 128


def test_the_clock_shifts_and_scales_without_a_jump_at_the_change() -> None:
    """A day in a minute from now on; what has passed stays as it was."""
    wall = [100.0]
    clock = Clock(offset_ms=5000, scale=1.0, wall=lambda: wall[0])
    assert clock.now_ms() == 105_000
    wall[0] = 110.0
    clock.change(scale=1440.0)
    assert clock.now_ms() == 115_000
    wall[0] = 170.0
    assert clock.now_ms() == 115_000 + 86_400_000
    clock.change(shift_ms=-1000)
    assert clock.now_ms() == 115_000 + 86_400_000 - 1000


def test_times_have_milliseconds_and_come_back() -> None:
    """The text is Genesys' form, and reading it gives the number."""
    for ms in (0, 1, 999, 1_790_000_000_123):
        assert parse_rfc3339(rfc3339(ms)) == ms
    assert rfc3339(1) == "1970-01-01T00:00:00.001Z"


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b'{"a": 1}', b"not json", b'{"event": {}}', b'"topicName"']
)
def test_files_without_frames_are_refused(text: bytes) -> None:
    """A replay of nothing is a mistake that should be said at the start."""
    with pytest.raises(ValueError, match=r"."):
        read_frames(text)


def test_frames_are_found_in_every_form_of_file() -> None:
    """One frame, a list, one a line, and values with an `event`."""
    frame = {"topicName": "v2.users.u.presence", "eventBody": {}}
    text_of_frame = json.dumps(frame)
    for text in (
        text_of_frame,
        f"[{text_of_frame},{text_of_frame}]",
        f"{text_of_frame}\n{text_of_frame}\n",
        json.dumps({"x": {"event": frame}}),
    ):
        found = read_frames(text.encode())
        assert set(map(str, found)) == {str(frame)}


@pytest.mark.parametrize(
    "interval",
    ["", "x/y", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z/2026-01-01T00:00:00Z"],
)
def test_analytics_refuses_bad_intervals(interval: str) -> None:
    """Two times, the second later, at most 31 days apart."""
    with pytest.raises(BadQuery):
        interval_of(interval)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"interval":"a/b","paging":{"pageSize":101}}'])
def test_analytics_refuses_bad_queries(body: bytes) -> None:
    """An interval is required, and pages have at most 100."""
    with pytest.raises(BadQuery):
        parse(body)


def test_only_rules_with_a_name_can_be_broken() -> None:
    """A typo in a rule's name is an error here, not a rule nobody looks for."""
    rules = Rules()
    rules.broken("early_retry", 1, "client")
    assert rules.counts == {"early_retry": 1}
    with pytest.raises(KeyError):
        rules.broken("earlyretry", 1)
