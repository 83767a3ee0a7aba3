"""Reads recorded frames from files, and sends them unchanged.

A file holds one frame, a list of frames, one frame a line, or an object whose values each hold a
frame under `event`. The users and queues in the frames become part of the org, so that discovery
finds them and a mirror subscribes to them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from simulator.frames import ws_frame
from simulator.hub import Hub
from simulator.org import Org

_OWNER = re.compile(r"v2\.(users|routing\.queues)\.([^.]+)\.", re.IGNORECASE)
POLL_SECONDS = 0.05


def read_frames(text: bytes) -> list[dict[str, Any]]:
    """The frames of a file, in order. Raises `ValueError` if there are none."""
    try:
        found = _frames_in(msgspec.json.decode(text))
    except msgspec.DecodeError:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            found = [frame for line in lines for frame in _frames_in(msgspec.json.decode(line))]
        except msgspec.DecodeError as error:
            raise ValueError(f"not JSON and not JSON lines: {error}") from error
    if not found:
        raise ValueError("no frame with a topicName found")
    return found


def load(path: str) -> list[dict[str, Any]]:
    """The frames of a file by its path."""
    return read_frames(Path(path).read_bytes())


def enrol(frames: list[dict[str, Any]], org: Org) -> None:
    """Add the users and queues of the frames to the org."""
    for frame in frames:
        owner = _OWNER.match(str(frame["topicName"]))
        if owner is not None and owner[1].lower() == "users":
            org.add_user(owner[2])
        elif owner is not None:
            org.add_queue(owner[2])


async def play(frames: list[dict[str, Any]], hub: Hub, interval: float) -> AsyncIterator[int]:
    """Send each frame, in order, as soon as a socket is subscribed to its topic. Counts them."""
    for number, frame in enumerate(frames, 1):
        topic = str(frame["topicName"])
        encoded = ws_frame(msgspec.json.encode(frame))
        left = False
        while not left:
            left = bool(hub.broadcast(list(hub.channels.listeners(topic)), encoded))
            await asyncio.sleep(interval if left else POLL_SECONDS)
        yield number


def _frames_in(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [frame for element in value for frame in _frames_in(element)]
    if not isinstance(value, dict):
        return []
    if "topicName" in value:
        return [value]
    if "event" in value:
        return _frames_in(value["event"])
    return [frame for element in value.values() for frame in _frames_in(element)]
