"""Reads the dead-letter topic: unreadable frames and refused records, with reason and bytes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from heapq import nlargest
from typing import Any, Final

import msgspec
from confluent_kafka import TopicPartition

from mirror.base.errors import KafkaUnavailable, MirrorError
from mirror.conversation.event import Event
from mirror.kafka.consume import open_reader, still_kept, take
from mirror.kafka.record import ERRORS, UndecodableRecord, read_event
from mirror.settings import Settings

_QUIET_SECONDS: Final = 10.0  # without a message before the end: Kafka does not answer
_POLL_SECONDS: Final = 0.5
_BATCH: Final = 200
_MAX_ID: Final = 24  # characters; a longer number is no offset


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter. `id` is `<partition>-<offset>`; `details` are its headers, without prefix."""

    id: str
    at_ms: int
    topic: str
    details: dict[str, str]
    value: bytes

    @property
    def place(self) -> tuple[int, int]:
        """Its partition and offset."""
        partition, _, offset = self.id.partition("-")
        return int(partition), int(offset)

    @property
    def masked(self) -> str:
        """How its personal values were masked: `drop`, `hash`, or empty if not masked."""
        return self.details.get("masked", "")


class DeadLetters:
    """The dead letters that Kafka still keeps. Use as a context manager."""

    def __init__(self, settings: Settings) -> None:
        """Raises `KafkaUnavailable` if no broker answers or the topic does not exist."""
        self._settings = settings
        self._topic = settings.dead_letter_topic
        self._consumer, self._partitions = open_reader(settings, self._topic, "dead-letters")

    def __enter__(self) -> DeadLetters:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def newest(self, most: int) -> tuple[list[DeadLetter], int]:
        """The newest `most` dead letters, the newest last, and how many Kafka keeps.

        A partition has its letters in the order of their times, so only the last `most` of each are
        read. Letters that come meanwhile are left out, else this might never end. Raises
        `KafkaUnavailable`.
        """
        every = dict.fromkeys(self._partitions, 0)
        kept = still_kept(self._consumer, self._settings, self._topic, every)
        last = {number: max(first, end - most) for number, (first, end) in kept.items()}
        count = sum(end - first for first, end in kept.values())
        return newest(self._from(last), most), count

    def get(self, letter_id: str) -> DeadLetter:
        """The dead letter of that id. Raises `MirrorError` if there is none or Kafka is away."""
        partition, dash, offset = letter_id.partition("-")
        is_id = bool(dash) and partition.isdecimal() and offset.isdecimal()
        if is_id and len(letter_id) <= _MAX_ID and int(partition) in self._partitions:
            for letter in self._from({int(partition): int(offset)}):
                if letter.id == letter_id:
                    return letter
                break
        raise MirrorError(f"there is no dead letter {letter_id}: `mirror dlq list` shows them")

    def _from(self, offsets: dict[int, int]) -> Iterator[DeadLetter]:
        ends = still_kept(self._consumer, self._settings, self._topic, offsets)
        self._consumer.assign(
            [TopicPartition(self._topic, number, first) for number, (first, _) in ends.items()]
        )
        left = {number: end for number, (_, end) in ends.items()}
        quiet_since = time.monotonic()
        while left:
            if time.monotonic() - quiet_since > _QUIET_SECONDS:
                raise KafkaUnavailable(
                    f"Kafka sent nothing of {self._topic} for {_QUIET_SECONDS:.0f} s before its end"
                )
            for message in take(self._consumer, _BATCH, _POLL_SECONDS):
                number, offset = message.partition(), message.offset()
                if message.error() is not None or number is None or offset is None:
                    continue
                quiet_since = time.monotonic()
                if offset < left.get(number, 0):
                    yield read_letter(message)
            # A letter that was compacted away at the end is no message, so ask for the position.
            for place in self._consumer.position([TopicPartition(self._topic, n) for n in left]):
                if place.offset >= left[place.partition]:
                    del left[place.partition]


def newest(letters: Iterable[DeadLetter], most: int) -> list[DeadLetter]:
    """The newest `most` of `letters` by time, the newest last. Keeps no more of them in memory."""
    return nlargest(most, letters, key=lambda letter: (letter.at_ms, *letter.place))[::-1]


def what_is_kept(settings: Settings) -> str:
    """A sentence for operators on the personal data in dead letters."""
    topic = settings.dead_letter_topic
    if settings.pii == "keep":
        return f"MIRROR_PII=keep: {topic} holds frames unchanged, personal data included"
    masks = "masks" if settings.pii == "drop" else "hashes"
    return (
        f"MIRROR_PII={settings.pii} {masks} personal values of JSON frames in {topic}; other "
        "frames are kept unchanged, so restrict who can read that topic"
    )


def refused_event(letter: DeadLetter) -> Event | None:
    """The event of a letter of stage `produce`; None if it was cut, or holds no event."""
    try:
        return read_event(letter.value)
    except UndecodableRecord:
        return None


def read_letter(message: Any) -> DeadLetter:
    """The dead letter of a record of their topic."""
    headers = {
        name.removeprefix(ERRORS): (content or b"").decode("utf-8", "replace")
        for name, content in message.headers() or ()
        if name.startswith(ERRORS)
    }
    return DeadLetter(
        id=f"{message.partition()}-{message.offset()}",
        at_ms=message.timestamp()[1],
        topic=headers.pop("topic", ""),
        details=headers,
        value=message.value() or b"",
    )
