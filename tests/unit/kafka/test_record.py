"""Records as docs/event.md defines them."""

from __future__ import annotations

import msgspec
import pytest

from mirror.conversation.event import Event
from mirror.conversation.masking import Mask
from mirror.kafka.record import (
    RECORD_OVERHEAD_BYTES,
    Recorder,
    UndecodableRecord,
    dead_letter,
    read_event,
    shorter,
)
from mirror.settings.model import Encoding

EVENT = Event(
    event_id="0123456789abcdef0123456789abcdef",
    event_type="answer",
    conversation_id="c1",
    state="connected",
    occurred_at="2026-11-23T10:00:00.123Z",
    received_at="2026-11-23T10:00:00.456Z",
    source_topic="v2.users.u1.conversations",
)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_headers_of_an_event(encoding: Encoding) -> None:
    """CloudEvents 1.0 in binary mode, keyed by the conversation."""
    record = Recorder("topic", "mypurecloud.ie", encoding).record(EVENT)
    assert record.key == "c1"
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": EVENT.event_id,
        "ce_type": b"genesys.interaction.answer",
        "ce_source": b"/genesys/mypurecloud.ie/v2.users.u1.conversations",
        "ce_time": "2026-11-23T10:00:00.123Z",
        "ce_origin": b"live",
        "content-type": f"application/{encoding}".encode(),
    }
    assert read_event(record.value) == EVENT


def test_source_of_an_event_without_a_topic() -> None:
    """Janitor and back-fill name the conversation as their source."""
    event = msgspec.structs.replace(EVENT, source_topic=None, origin="janitor")
    headers = dict(Recorder("topic", "mypurecloud.com", "json").headers(event))
    assert headers["ce_source"] == b"/genesys/mypurecloud.com/conversations/c1"
    assert headers["ce_origin"] == b"janitor"


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b"[1]"])
def test_what_is_no_event_says_so(value: bytes | None) -> None:
    """A foreign record on the topic is an error that a reader can pass over."""
    with pytest.raises(UndecodableRecord):
        read_event(value)


def letter(
    value: bytes, limit: int = 1_000_000, size: int | None = None, mask: Mask | None = None
) -> dict[str, object]:
    """Headers of a dead letter, with its key and value."""
    record = dead_letter(
        "dlq",
        value,
        source_topic="v2.users.u1.conversations",
        stage="decode",
        error="DecodeError",
        message="m" * 1000,
        listener="h-1-a",
        limit=limit,
        mask=mask,
        size=size,
    )
    return {"key": record.key, "value": record.value, **dict(record.headers)}


def test_dead_letter_has_the_original_bytes() -> None:
    """The value is untouched, the key is the source topic, the headers say why."""
    fields = letter(b"\x00not json")
    assert fields["key"] == "v2.users.u1.conversations"
    assert fields["value"] == b"\x00not json"
    assert fields["mirror.errors.topic"] == "v2.users.u1.conversations"
    assert fields["mirror.errors.stage"] == "decode"
    assert fields["mirror.errors.exception.class.name"] == "DecodeError"
    assert fields["mirror.errors.exception.message"] == "m" * 500
    assert fields["mirror.errors.listener"] == "h-1-a"
    assert "mirror.errors.truncated-bytes" not in fields


def test_dead_letter_that_is_too_large_is_cut() -> None:
    """What a broker would refuse is cut, and its full size told."""
    fields = letter(bytes(20_000), limit=10_000)
    assert fields["value"] == bytes(10_000 - RECORD_OVERHEAD_BYTES)
    assert fields["mirror.errors.truncated-bytes"] == "20000"


def test_dead_letter_of_a_frame_that_was_cut_already() -> None:
    """The full size is that of the frame, not of what was kept."""
    assert letter(b"head", size=99_000_000)["mirror.errors.truncated-bytes"] == "99000000"


def test_a_dead_letter_that_a_broker_refuses_is_halved_until_little_is_left() -> None:
    """The first full size stays, and it ends."""
    record = dead_letter(
        "dlq",
        bytes(5000),
        source_topic=None,
        stage="s",
        error="e",
        message="",
        listener="l",
        limit=1_000_000,
        mask=None,
    )
    half = shorter(record)
    assert half is not None
    quarter = shorter(half)
    assert quarter is not None
    assert len(quarter.value) == 1250
    assert dict(quarter.headers)["mirror.errors.truncated-bytes"] == "5000"
    assert shorter(quarter) is None


def test_a_masked_dead_letter_says_so() -> None:
    """A header tells how, and none is there where nothing was masked."""
    fields = letter(b'{"name": "Zoe"}', mask=Mask())
    assert fields["value"] == b'{"name": "***"}'
    assert fields["mirror.errors.masked"] == "drop"
    assert letter(b'{"name": "Zoe"}', mask=Mask("key"))["mirror.errors.masked"] == "hash"
    assert "mirror.errors.masked" not in letter(b'{"name": "Zoe"}')
    assert "mirror.errors.masked" not in letter(b"no JSON", mask=Mask())
    assert letter(b"no JSON", mask=Mask())["value"] == b"no JSON"


def test_a_large_dead_letter_is_masked_before_it_is_cut() -> None:
    """Its full size is that of what came, and nothing personal is in what is left."""
    value = b'{"participants": [' + b", ".join([b'{"name": "Zoe"}'] * 1000) + b"]}"
    fields = letter(value, limit=RECORD_OVERHEAD_BYTES + 500, mask=Mask())
    shown = fields["value"]
    assert isinstance(shown, bytes)
    assert 450 < len(shown) <= 500
    assert b"Zoe" not in shown
    assert fields["mirror.errors.truncated-bytes"] == str(len(value))
    whole = letter(value, limit=RECORD_OVERHEAD_BYTES + len(value), mask=Mask())
    assert "mirror.errors.truncated-bytes" not in whole
