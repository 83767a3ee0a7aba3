"""Frames as bytes: the notification envelope, and its WebSocket form. Pure.

A frame for many sockets is encoded once: JSON by msgspec, with a body shared between topics, after
the unmasked WebSocket header. Shells write the bytes unchanged.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

TEXT_OPCODE = 0x1
HEARTBEAT_TOPIC = "channel.metadata"


def ws_frame(payload: bytes, opcode: int = TEXT_OPCODE) -> bytes:
    """One unfragmented, unmasked WebSocket frame (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return struct.pack(">BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack(">BBQ", 0x80 | opcode, 127, size) + payload


def encode_body(body: Any) -> bytes:
    """An event body as JSON bytes, for any number of envelopes."""
    return msgspec.json.encode(body)


def envelope(topic: str, body: bytes, correlation_id: str) -> bytes:
    """A notification around an encoded body (docs/protocol.md, "Sockets")."""
    return b'{"topicName":%b,"version":"2","eventBody":%b,"metadata":{"CorrelationId":%b}}' % (
        msgspec.json.encode(topic),
        body,
        msgspec.json.encode(correlation_id),
    )


def heartbeat() -> bytes:
    """The heartbeat. It has neither version nor metadata (docs/protocol.md, "Sockets")."""
    return _metadata("WebSocket Heartbeat")


def pong() -> bytes:
    """The answer to a client's `{"message":"ping"}`."""
    return _metadata("pong")


def _metadata(message: str) -> bytes:
    return msgspec.json.encode({"topicName": HEARTBEAT_TOPIC, "eventBody": {"message": message}})


def socket_closing(channel_id: str, correlation_id: str) -> bytes:
    """The warning before maintenance; the text of `message` is a guess (docs/protocol.md,
    "Sockets")."""
    body = {
        "channelId": channel_id,
        "message": "This WebSocket will be closed for maintenance. Please reconnect.",
    }
    return envelope("v2.system.socket_closing", encode_body(body), correlation_id)
