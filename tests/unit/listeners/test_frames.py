"""The frame parser: RFC 6455 from the client's side, in the manner of the Autobahn cases."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listeners.receive.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEPT_OF_OVERSIZED_BYTES,
    MAX_TAIL_BYTES,
    PING,
    PONG,
    TEXT,
    Closed,
    Failure,
    FrameParser,
    Item,
    Oversized,
    Ping,
    Pong,
    encode,
    encode_close,
)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A server's frame, unmasked, with its length in the shortest form."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if len(payload) < 126:
        return bytes((first, len(payload))) + payload
    if len(payload) <= 0xFFFF:
        return bytes((first, 126)) + pack("!H", len(payload)) + payload
    return bytes((first, 127)) + pack("!Q", len(payload)) + payload


def unmask(data: bytes) -> tuple[int, bytes]:
    """Opcode and payload of a masked client frame that fills `data`."""
    size, start = data[1] & 0x7F, 2
    assert data[1] & 0x80, "client frames are masked"
    if size == 126:
        size, start = int.from_bytes(data[2:4], "big"), 4
    elif size == 127:
        size, start = int.from_bytes(data[2:10], "big"), 10
    mask, body = data[start : start + 4], data[start + 4 :]
    assert len(body) == size
    return data[0] & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(body))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65_535, 65_536, 200_000])
def test_whole_message_of_any_length_form(size: int) -> None:
    """A text message arrives as its bytes, whichever of the three length forms it needs."""
    payload = bytes(i % 251 for i in range(size))
    assert FrameParser().feed(frame(TEXT, payload)) == [payload]


def test_several_frames_in_one_read() -> None:
    """All frames of one read come out, in order, and the rest waits for its end."""
    parser = FrameParser()
    data = frame(TEXT, b"one") + frame(TEXT, b"two") + frame(TEXT, b"three")
    assert parser.feed(data[:-2]) == [b"one", b"two"]
    assert parser.feed(data[-2:]) == [b"three"]


def test_fragments_are_joined_and_control_frames_pass_between() -> None:
    """A ping between fragments comes out first; the fragments become one message."""
    data = (
        frame(TEXT, b"a", fin=False)
        + frame(PING, b"p")
        + frame(CONTINUATION, b"b", fin=False)
        + frame(PONG, b"q")
        + frame(CONTINUATION, b"")
        + frame(TEXT, b"next")
    )
    assert FrameParser().feed(data) == [Ping(b"p"), Pong(b"q"), b"ab", b"next"]


def test_binary_is_handed_out_like_text() -> None:
    """Whether a binary message is of use is for the reader of messages to say."""
    assert FrameParser().feed(frame(BINARY, b"\x00\xff")) == [b"\x00\xff"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"x", rsv=4), 1002),
        (frame(TEXT, b"x", rsv=1), 1002),
        (frame(3, b"x"), 1002),
        (frame(0xB, b"x"), 1002),
        (bytes((0x81, 0x81)) + b"mask" + b"x", 1002),
        (bytes((0x82, 0x81)) + b"mask" + b"x", 1002),
        (frame(PING, b"x", fin=False), 1002),
        (bytes((0x89, 126)) + pack("!H", 126) + bytes(126), 1002),
        (frame(CONTINUATION, b"x"), 1002),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
        (bytes((0x81, 126)) + pack("!H", 5) + b"12345", 1002),
        (bytes((0x81, 127)) + pack("!Q", 5) + b"12345", 1002),
        (bytes((0x81, 127)) + pack("!Q", 1 << 63), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, pack("!H", 1005)), 1002),
        (frame(CLOSE, pack("!H", 999)), 1002),
        (frame(CLOSE, pack("!H", 2999)), 1002),
        (frame(CLOSE, pack("!H", 1000) + b"\xff\xfe"), 1007),
    ],
)
def test_breaches_of_the_protocol_fail_the_connection(data: bytes, code: int) -> None:
    """Each breach ends the connection with its close code, once, and nothing follows it."""
    parser = FrameParser()
    items = parser.feed(frame(TEXT, b"before") + data + frame(TEXT, b"after"))
    assert items[0] == b"before"
    assert isinstance(items[1], Failure)
    assert items[1].code == code
    assert len(items) == 2
    assert parser.feed(frame(TEXT, b"late")) == []


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1014, 3000, 4999])
def test_close_codes_that_servers_may_send(code: int) -> None:
    """A close frame gives its code and reason, and ends the stream."""
    parser = FrameParser()
    payload = pack("!H", code) + "Zürich".encode()
    assert parser.feed(frame(CLOSE, payload) + frame(TEXT, b"x")) == [Closed(code, "Zürich")]
    assert parser.closed


def test_close_without_a_code() -> None:
    """An empty close frame reads as 1005."""
    assert FrameParser().feed(frame(CLOSE)) == [Closed(1005, "")]


@pytest.mark.parametrize("step", [1, 7, 4_096, 1 << 20])
def test_message_over_the_limit_is_skipped_and_the_stream_goes_on(step: int) -> None:
    """Only the oversized message is lost to its dead letter; its neighbours arrive."""
    big = b"0123456789" * 30
    data = frame(TEXT, b"before") + frame(TEXT, big) + frame(TEXT, b"after")
    parser = FrameParser(limit=100)
    items: list[Item] = []
    for start in range(0, len(data), step):
        items += parser.feed(data[start : start + step])
    assert items == [b"before", Oversized(big, 300), b"after"]


def test_fragments_that_add_up_over_the_limit() -> None:
    """The limit holds for the message, however small its fragments are."""
    data = (
        frame(TEXT, b"a" * 60, fin=False)
        + frame(CONTINUATION, b"b" * 60, fin=False)
        + frame(PING, b"")
        + frame(CONTINUATION, b"c" * 60)
        + frame(TEXT, b"after")
    )
    expected = [Ping(b""), Oversized(b"a" * 60 + b"b" * 60 + b"c" * 60, 180), b"after"]
    assert FrameParser(limit=100).feed(data) == expected


def test_only_the_beginning_of_an_oversized_message_is_kept() -> None:
    """What is kept of it is bounded, in one frame and over many."""
    size = KEPT_OF_OVERSIZED_BYTES * 3
    whole = FrameParser(limit=1000).feed(frame(TEXT, bytes(size)))
    parts = frame(TEXT, bytes(size), fin=False) + frame(CONTINUATION, bytes(size))
    (pieces,) = FrameParser(limit=1000).feed(parts)
    assert whole == [Oversized(bytes(KEPT_OF_OVERSIZED_BYTES), size)]
    assert pieces == Oversized(bytes(KEPT_OF_OVERSIZED_BYTES), 2 * size)


def test_a_promised_giant_reserves_nothing() -> None:
    """A header that promises 2^62 bytes costs no memory and leaves no tail."""
    parser = FrameParser()
    assert parser.feed(bytes((0x81, 127)) + pack("!Q", 1 << 62) + b"abc") == []
    assert parser.tail == b""


def test_shared_buffer_never_holds_more_than_a_tail() -> None:
    """Frames larger than the tail limit are collected aside, so one small buffer serves all."""
    payload = bytes(i % 256 for i in range(5 * MAX_TAIL_BYTES))
    buffer = memoryview(bytearray(MAX_TAIL_BYTES + 4_096))
    parser = FrameParser()
    data = frame(TEXT, payload) + frame(TEXT, b"x" * MAX_TAIL_BYTES) + frame(TEXT, b"end")
    items: list[Item] = []
    while data:
        start = parser.restore(buffer)
        count = min(len(buffer) - start, len(data))
        assert count > 0
        buffer[start : start + count] = data[:count]
        data = data[count:]
        items += parser.cut(buffer, start + count)
    assert items == [payload, b"x" * MAX_TAIL_BYTES, b"end"]


_PAYLOADS = st.binary(max_size=300)
_CONTROL = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))


@st.composite
def _streams(draw: st.DrawFn) -> tuple[bytes, list[Item]]:
    data, expected = b"", list[Item]()
    for _ in range(draw(st.integers(0, 6))):
        parts = draw(st.lists(_PAYLOADS, min_size=1, max_size=4))
        for index, part in enumerate(parts):
            for opcode, payload in draw(st.lists(_CONTROL, max_size=1)):
                data += frame(opcode, payload)
                expected.append(Ping(payload) if opcode == PING else Pong(payload))
            data += frame(TEXT if index == 0 else CONTINUATION, part, fin=index == len(parts) - 1)
        whole = b"".join(parts)
        expected.append(Oversized(whole, len(whole)) if len(whole) > 400 else whole)
    return data, expected


@settings(max_examples=300, deadline=None)
@given(_streams(), st.data())
def test_any_cutting_of_the_stream_gives_the_same_items(
    stream: tuple[bytes, list[Item]], data: st.DataObject
) -> None:
    """Where the network splits the bytes never changes what is read."""
    raw, expected = stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    parser = FrameParser(limit=400)
    items: list[Item] = []
    for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        items += parser.feed(raw[start:stop])
    assert items == expected


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 50))
def test_garbage_never_raises_and_cuts_alike(raw: bytes, step: int) -> None:
    """Random bytes end in the same items whole or in pieces, and never in an exception."""
    whole = FrameParser(limit=50).feed(raw)
    parser = FrameParser(limit=50)
    pieces: list[Item] = []
    for start in range(0, len(raw), step):
        pieces += parser.feed(raw[start : start + step])
    assert pieces == whole


@given(st.binary(max_size=70_000), st.binary(min_size=4, max_size=4))
@settings(max_examples=50, deadline=None)
def test_client_frames_are_masked_and_read_back(payload: bytes, mask: bytes) -> None:
    """What we send unmasks to what we meant."""
    assert unmask(encode(TEXT, payload, mask)) == (TEXT, payload)


def test_close_frame_holds_at_most_a_control_frame() -> None:
    """A long reason is cut at a character, never within one."""
    opcode, payload = unmask(encode_close(1001, "ü" * 100))
    assert opcode == CLOSE
    assert payload[:2] == pack("!H", 1001)
    assert len(payload) <= 125
    assert set(payload[2:].decode()) == {"ü"}
