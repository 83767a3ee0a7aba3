"""Turns the frames of a socket into events, agents' states, dead letters and requests to a channel.

No frame stops the others: an unreadable frame becomes a dead letter, and so does a frame that hits
a bug.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import PurePath
from traceback import extract_tb
from typing import Final

from listeners.channels.channel import Channel, fields
from listeners.counters import Counters
from listeners.publish.publisher import Publisher
from listeners.receive.frames import Item, Oversized
from listeners.receive.native import Native
from listeners.receive.system_messages import requested
from mirror.base.log import logger
from mirror.conversation.normaliser import Normaliser, Reading

MAX_LOGGED_TOPICS: Final = 1_000
MAX_LOGGED_MEDIA: Final = 20

#: The request of a system message to a channel (`listeners.receive.system_messages.requested`).
Asked = Callable[[Channel, str, float], None]
Control = Callable[[Item], None]


class Intake:
    """Reads the frames of all channels, in the loop's thread."""

    def __init__(
        self,
        normaliser: Normaliser,
        publisher: Publisher,
        counters: Counters,
        asked: Asked,
        native: Native | None = None,
    ) -> None:
        """`native`, if given, reads before `normaliser` and must wrap the same one."""
        self.normalise = normaliser.frame if native is None else native.frame
        self._native = native
        self._publisher = publisher
        self._counters = counters
        self._asked = asked
        self._unknown: set[str] = set()
        self._strange: set[str] = set()
        self._log = logger("listener")

    def take(self, channel: Channel, items: list[Item], now: float, control: Control) -> None:
        """Read the items of a socket; `control` takes control frames and failures."""
        received_at = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        publish = self._publisher.events
        normalise = self.normalise
        events = frames = 0
        latest = None
        left: Iterable[Item] = items
        if self._native is not None:
            records = self._publisher.records
            left = self._native.pass_by(items, received_at, now, records, channel)
        for item in left:
            if type(item) is not bytes:
                if type(item) is Oversized:
                    frames += 1
                    self._too_large(channel, item)
                else:
                    control(item)
                continue
            frames += 1
            try:
                reading = normalise(item, received_at, now)
            except Exception as error:  # noqa: BLE001 - see below
                # A frame that hits a bug of ours must not cost the frames behind it.
                # The error's text may quote the frame, so only its kind and place are logged.
                kind = type(error).__name__
                self._log.error("normaliser_failed", error=kind, at=_place(error))
                self._dead_letter(channel, item, None, "conversation", kind, "")
                continue
            if reading.events:
                latest = reading.events[-1]
                events += len(reading.events)
                publish(reading.events)
            if reading.problem is not None or reading.kind != "conversation":
                self._judge(channel, item, reading, now)
        if latest is not None:
            self._publisher.mark(now, latest)
        elif self._native is not None:
            self._publisher.mark_records(now)
        channel.frames += frames
        channel.events += events
        self._counters.frames += frames
        self._counters.events += events

    def _judge(self, channel: Channel, raw: bytes, reading: Reading, now: float) -> None:
        """Handle a frame that has more than a conversation, or no conversation."""
        counters = self._counters
        problem = reading.problem
        if problem is not None:
            self._dead_letter(
                channel, raw, reading.topic, problem.stage, problem.error, problem.message
            )
        if reading.strange:
            counters.unknown_media += 1
            for medium in sorted(reading.strange - self._strange):
                if len(self._strange) < MAX_LOGGED_MEDIA:
                    self._strange.add(medium)
                    self._log.warning("unknown_medium", medium=medium)
        if reading.agents:
            self._publisher.agents(reading.agents)
        if reading.kind in {"heartbeat", "pong"}:
            channel.quiet_frames += 1
            counters.heartbeats += 1
        elif reading.kind == "system":
            channel.quiet_frames += 1
            counters.system_frames += 1
            self._system(channel, reading.topic or "", now)
        elif reading.kind == "unknown":
            counters.unknown_frames += 1
            topic = reading.topic or ""
            if topic not in self._unknown and len(self._unknown) < MAX_LOGGED_TOPICS:
                self._unknown.add(topic)
                self._log.warning("unknown_topic", topic=topic[:200])

    def _system(self, channel: Channel, topic: str, now: float) -> None:
        self._log.info("system_message", **fields(channel), topic=topic[:100])
        if asked := requested(topic):
            self._asked(channel, asked, now)

    def _too_large(self, channel: Channel, frame: Oversized) -> None:
        message = f"a message of {frame.size} bytes"
        self._dead_letter(channel, frame.head, None, "frame", "FrameTooLarge", message, frame.size)

    def _dead_letter(
        self,
        channel: Channel,
        raw: bytes,
        topic: str | None,
        stage: str,
        error: str,
        message: str,
        size: int | None = None,
    ) -> None:
        channel.dead_letters += 1
        self._publisher.dead_letter(
            raw, source_topic=topic, stage=stage, error=error, message=message, size=size
        )


def _place(error: Exception) -> str:
    """The place where an error was raised, as `file.py:line`."""
    frames = extract_tb(error.__traceback__)
    return f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
