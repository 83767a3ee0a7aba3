"""What a mask leaves of a dead letter: enough to see why it died, and nothing about people."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mirror.conversation.event import Event
from mirror.conversation.masking import MOST_TOKENS, Mask
from mirror.conversation.normaliser import Normaliser, Personal
from tests.schemas import generate

LARGE = 1 << 24
KEY = "a key that nobody knows"
MARK = "zq7x"
RECORDINGS = Path(__file__).parents[2] / "recordings"
AT = "2026-11-23T10:00:00.000Z"
TOPIC = "v2.users.3ce84f47-4e65-4756-a815-67a2b32e58b8.conversations"


def masked(value: Any, mask: Mask | None = None) -> Any:
    """A document behind the mask."""
    found = (mask or Mask()).json(json.dumps(value).encode(), LARGE)
    assert found is not None
    assert found.is_whole
    return json.loads(found.value)


def text(field: str) -> str:
    """A personal value for any field."""
    return f"{MARK} Zoë {field} +15550{len(field):05d} <zoe@{MARK}.example>"


def frames() -> list[bytes]:
    """Recorded frames of conversations, as they came."""
    found: list[bytes] = []
    for path in sorted(RECORDINGS.glob("*.json")):
        document = json.loads(path.read_bytes())
        found += [
            json.dumps(item).encode()
            for item in (document if isinstance(document, list) else [document])
            if isinstance(item, dict) and "topicName" in item
        ]
    return found


def read(raw: bytes, personal: Personal | None) -> list[Event]:
    """The events of one frame."""
    return Normaliser(personal=personal).frame(raw, AT, 0.0).events


@pytest.mark.parametrize("mask", [Mask(), Mask(KEY)], ids=["drop", "hash"])
def test_no_text_of_a_person_is_left_in_any_field_of_genesys(mask: Mask) -> None:
    """Not in one of the fields that its classes have, nor under names of attributes."""
    body = generate.filled("ConversationEventTopicConversation", text)
    body["participants"][0]["attributes"] = {text("odd"): text("deep"), "card": 15550000001}
    raw = json.dumps({"topicName": TOPIC, "eventBody": body}).encode()
    found = mask.json(raw, LARGE)
    assert found is not None
    assert found.is_whole
    for needle in (MARK, "Zo", "1555", "example"):
        assert needle.encode() not in found.value
    shape = json.loads(found.value)["eventBody"]
    assert set(shape) == set(body), "all fields are still there"


@pytest.mark.parametrize(
    "person",
    [
        {"ani": 4930123456},
        {"ani": 4711},
        {"dnis": True},
        {"name": {"state": "Zoe"}},
        {"address": [["Zoe"]]},
        {"calls": "Smith"},
        {"callbackNumbers": ["+493012345", 493012345]},
        {"state": "+493012345"},
        {"state": "4930123456"},
        {"purpose": "zoe@example.com"},
        {"code": "Zoe Smith"},
        {"message": "hello"},
        {"something": "new"},
        {"+493012345": 1},
        {"attributes": {"born": "1980-01-01T00:00:00Z", "crm": str(2**70)}},
    ],
)
def test_values_of_odd_kinds_are_masked(person: dict[str, Any]) -> None:
    """Whatever stands where something personal may be, and whatever is no plain word."""
    shown = json.dumps(masked({"participants": [person]}))
    assert "***" in shown
    for needle in ("4930", "4711", "rue", "Zoe", "Smith", "hello", "new", "1980", str(2**70)):
        assert needle not in shown


def test_what_tells_nothing_of_a_person_stays() -> None:
    """Ids, times, words that are read, flags, small numbers, structure and white space."""
    raw = (
        b'{"topicName": "' + TOPIC.encode() + b'",\n "eventBody": {"id": "c-1", "participants": [\n'
        b'{"id":"0c57879e-fc96-440c-9e0b-e1973f88c0ef","purpose":"customer","connectedTime":'
        b'"2026-11-23T10:00:00.123Z","wrapupRequired":false,"wrapup":{"code":"w-1"},'
        b'"calls":[{"state":"connected","held":true,"disconnectType":null,"mos":4.2938712}],'
        b'"attributes":{"consultInitiator":"true"},"somethingId":'
        b'"1c1a063b-45bf-4719-8f10-e57c1c31e4f6"}]},"metadata":{"CorrelationId":""}}\n'
    )
    found = Mask().json(raw, LARGE)
    assert found is not None
    assert found.value == raw.rstrip()


def test_hashes_are_those_of_events() -> None:
    """The HMAC of the value, so that letters and events can be joined."""
    digest = hmac.new(KEY.encode(), "Zoë".encode(), hashlib.sha256).hexdigest()[:32]
    number = hmac.new(KEY.encode(), b"17", hashlib.sha256).hexdigest()[:32]
    document = {"name": "Zoë", "attributes": {"n": 17, "empty": "", "null": None}}
    assert masked(document, Mask(KEY)) == {
        "name": digest,
        "attributes": {"n": number, "empty": "", "null": None},
    }


@pytest.mark.parametrize("raw", frames())
def test_a_masked_frame_gives_the_events_that_it_gave(raw: bytes) -> None:
    """Without personal fields, and with hashes the very same."""
    for mask, before, after in (
        (Mask(), None, None),
        (Mask(KEY), Personal(KEY), Personal()),
    ):
        found = mask.json(raw, LARGE)
        assert found is not None
        assert read(found.value, after) == read(raw, before)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"text",
        b"{",
        b'{"a" 1}',
        b'{"a": 1,}',
        b'{"a": 1}}',
        b"[1 2]",
        b"[1, ]",
        b"]",
        b"[1}",
        b'{"a": NaN}',
        b'{"a": 01}',
        b'{"a": 1.}',
        b'{"a": "\\x"}',
        b'{"a": "\n"}',
        b'{1: "a"}',
        b'{"a": "\xff"}',
        b'{"a": "b"} c',
    ],
)
def test_what_is_no_json_is_left_alone(raw: bytes) -> None:
    """There is no telling what of it is personal."""
    assert Mask().json(raw, LARGE) is None


def test_json_of_any_form_is_taken_for_json() -> None:
    """What Python's decoder takes, the mask takes, and the other way round."""
    rng = random.Random(11)
    pieces = [b"{", b"}", b"[", b"]", b",", b":", b'"a"', b'"\\u00e9"', b"1", b"-0.5e3", b"null"]
    taken = 0
    for _ in range(60_000):
        raw = b" ".join(rng.choice(pieces) for _ in range(rng.randrange(1, 7)))
        try:
            json.loads(raw)
        except ValueError:
            assert Mask().json(raw, LARGE) is None, raw
        else:
            taken += 1
            assert Mask().json(raw, LARGE) is not None, raw
    assert taken > 1000


def test_the_beginning_of_a_frame_is_masked_wherever_it_was_cut() -> None:
    """No personal value, and no piece of one, is left at its end."""
    body = generate.filled("ConversationEventTopicConversation", text)
    raw = json.dumps({"topicName": TOPIC, "eventBody": body}, ensure_ascii=False).encode()
    assert len(raw) > 3000
    for end in range(1, 3000):
        found = Mask().json(raw[:end], LARGE, is_cut=True)
        assert found is not None, raw[:end][-40:]
        assert MARK.encode() not in found.value
        assert b"Zo" not in found.value
    for garbage in (b"\x00garbage", b"garbage", b"nothing", b"[1, --2"):
        assert Mask().json(garbage, LARGE, is_cut=True) is None, garbage


def test_depth_and_length_cost_no_stack_and_little_time() -> None:
    """Ten thousand levels are walked, and what is too much is cut off."""
    deep = b"[" * 10_000 + b"]" * 10_000
    found = Mask().json(deep, LARGE)
    assert found is not None
    assert found.value == deep
    long = b"[" + b"1," * MOST_TOKENS + b"1]"
    found = Mask().json(long, LARGE)
    assert found is not None
    assert not found.is_whole
    assert msgspec.json.decode(found.value.rstrip(b",") + b"]")
