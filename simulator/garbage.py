"""Invalid frames, by kind. Pure. Each function returns the payload of a text frame."""

from __future__ import annotations

import random

import msgspec

from simulator.frames import encode_body, envelope
from simulator.ids import uuid_from

HUGE_BYTES = 5 * 1024 * 1024
DEEP_LEVELS = 5000


def payload(kind: str, rng: random.Random, topic: str) -> bytes:
    """The garbage of a kind, on a topic that the receiver may know."""
    correlation = uuid_from(rng)
    conversation = uuid_from(rng)
    body = encode_body({"id": conversation, "participants": []})
    good = envelope(topic, body, correlation)
    if kind == "bad_utf8":
        return good.replace(b'"participants"', b'"name":"\xff\xfe\xc3\x28","participants"')
    if kind == "truncated":
        return good[: len(good) // 2]
    if kind == "not_object":
        return rng.choice([b"[]", b"42", b'"text"', b"null", b"true"])
    if kind == "no_topic":
        return b'{"version":"2","eventBody":%b}' % body
    if kind == "no_id":
        return envelope(topic, b'{"participants":[]}', correlation)
    if kind == "huge":
        text = msgspec.json.encode({"id": conversation, "participants": [], "x": "x" * HUGE_BYTES})
        return envelope(topic, text, correlation)
    if kind == "deep":
        deep = b"[" * DEEP_LEVELS + b"]" * DEEP_LEVELS
        return envelope(topic, b'{"id":"%b","x":%b}' % (conversation.encode(), deep), correlation)
    if kind == "wrong_types":
        return envelope(topic, _wrong_types(conversation), correlation)
    if kind == "unknown_topic":
        return envelope(f"v2.unheard.of.{conversation}", body, correlation)
    if kind == "unknown_values":
        return envelope(topic, _unknown_values(conversation, rng), correlation)
    return b"" if kind == "empty" else b"<html>502 Bad Gateway</html>"


def _wrong_types(conversation: str) -> bytes:
    participant = {"id": 7, "purpose": [], "calls": {"id": "x"}, "connectedTime": "yesterday"}
    return encode_body({"id": conversation, "participants": [participant, None, "x"]})


def _unknown_values(conversation: str, rng: random.Random) -> bytes:
    """A valid frame with unknown enum values, which must pass through."""
    call = {
        "id": uuid_from(rng),
        "state": "levitating",
        "initialState": "hovering",
        "provider": "?",
    }
    participant = {"id": uuid_from(rng), "purpose": "oracle", "calls": [call], "attributes": {}}
    return encode_body({"id": conversation, "participants": [participant]})
