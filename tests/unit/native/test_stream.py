"""Frames that are cut natively give the items that Python finds, wherever a read ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listeners.receive.frames import (
    CONTINUATION,
    MAX_TAIL_BYTES,
    PING,
    TEXT,
    FrameParser,
    Item,
    encode,
)
from tests.unit.native.twins import MODULE

LIMIT = 70_000
SIZES = (0, 1, 125, 126, 127, 0xFFFF, 0x1_0000, LIMIT, LIMIT + 1)


def head(first: int, size: int, width: int | None = None) -> bytes:
    """The head of a server's frame. Its length has `width` bytes: as few as can be if None."""
    if width is None:
        width = 1 if size < 126 else 2 if size <= 0xFFFF else 8
    length = size.to_bytes(1) if width == 1 else {2: b"\x7e", 8: b"\x7f"}[width]
    return bytes((first,)) + length + (size.to_bytes(width) if width > 1 else b"")


def whole(size: int) -> bytes:
    """A text in one frame."""
    return head(0x80 | TEXT, size) + b"x" * size


ODD = (
    head(0x80 | PING, 2) + b"hi",
    head(TEXT, 3) + b"abc" + head(CONTINUATION, 1) + b"d" + head(0x80 | CONTINUATION, 0),
    head(TEXT, 3) + b"abc" + whole(4),  # a message within a message
    head(0x80 | TEXT, 5, 2) + b"hello",  # not the shortest form
    head(0x80 | TEXT, 0x100, 8) + b"x" * 0x100,
    encode(TEXT, b"masked"),
    b"\x88\x00",
)
streams = st.lists(
    st.one_of(st.sampled_from(SIZES).map(whole), st.integers(0, 300).map(whole)), max_size=6
)


def items(data: bytes, cuts: list[int], *, native: bool) -> list[Item]:
    """The items of `data` in reads that end at `cuts`, in a buffer with older bytes."""
    parser = FrameParser(limit=LIMIT)
    parser.texts = MODULE.texts if native else None
    view = memoryview(bytearray(b"\x81" * (MAX_TAIL_BYTES + 14 + len(data))))
    found: list[Item] = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        begin = parser.restore(view)
        view[begin : begin + end - start] = data[start:end]
        found += parser.cut(view, begin + end - start)
    return found


@given(before=streams, odd=st.sampled_from((b"", *ODD)), after=streams, data=st.data())
def test_the_items_are_those_of_python(
    before: list[bytes], odd: bytes, after: list[bytes], data: st.DataObject
) -> None:
    """With texts of every size, and whatever else a server may send among them."""
    stream = b"".join((*before, odd, *after))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    assert items(stream, cuts, native=True) == items(stream, cuts, native=False)


@pytest.mark.parametrize("size", SIZES)
def test_whole_texts_are_cut_natively(size: int) -> None:
    """Python is left nothing of those that a length of two bytes tells, within the limit."""
    data = whole(size) * 3
    found: list[Item] = []
    position = MODULE.texts(memoryview(data), 0, len(data), LIMIT, found)
    is_taken = size <= min(0xFFFF, LIMIT)
    assert (position, found) == ((len(data), [b"x" * size] * 3) if is_taken else (0, []))


def test_nothing_is_read_behind_the_end() -> None:
    """A buffer holds bytes of older reads there."""
    data = whole(10) + whole(20)
    found: list[Item] = []
    assert MODULE.texts(memoryview(data), 0, len(data) - 1, LIMIT, found) == len(whole(10))
    assert MODULE.texts(memoryview(data), 0, len(data) + 1, LIMIT, found) == 0
    assert MODULE.texts(memoryview(data), len(data), len(data), LIMIT, found) == len(data)
    assert found == [b"x" * 10]
