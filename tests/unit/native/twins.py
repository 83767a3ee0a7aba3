"""Reads the same messages with the normaliser alone, and with the native reader before it.

Both must give the same records, to the byte, the same readings of what Python reads, and know the
same of each conversation afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from listeners.counters import Counters
from listeners.receive.native import Native
from listeners.receive.native_reader import load
from mirror.conversation.normaliser import Normaliser, Reading
from mirror.conversation.normaliser.lending import state_of
from mirror.kafka.partition import partition
from mirror.kafka.record import Header, Recorder
from mirror.settings.model import Encoding

MODULE = load("auto")
needs_native = pytest.mark.skipif(
    MODULE is None, reason="the native reader is not built: make native"
)
ALL = 1 << 31  # partitions: a key's hash, without its sign, is its partition
SCHEMA: Header = ("dataschema", b"schema:1")

Record = tuple[bytes, str | None, list[Header], int]
Message = tuple[bytes, str, float]  # raw, received_at, now


def recorder(encoding: Encoding = "json", *, schema: bool = False) -> Recorder:
    """What makes records of events."""
    return Recorder("events", "mypurecloud.com", encoding, SCHEMA if schema else None)


def records(made: Recorder, reading: Reading) -> list[Record]:
    """The records of a reading."""
    found = [made.record(event) for event in reading.events]
    return [
        (record.value, record.key, record.headers, partition(record.key or "", ALL))
        for record in found
    ]


class Twins:
    """A listener that has the native reader, and one that has not."""

    def __init__(
        self,
        encoding: Encoding = "json",
        *,
        schema: bool = False,
        share: float = 0.0,
        seed: int = 0,
    ) -> None:
        """`share` of the messages are read by Python in both."""
        self.recorder = recorder(encoding, schema=schema)
        self.alone = Normaliser()
        self.native = Native(MODULE, Normaliser(), self.recorder, Counters())
        self.taken = 0
        self.left = 0
        self._share = share
        self._rng = random.Random(seed)

    def read(self, messages: Iterable[Message]) -> None:
        """Read messages one by one, and compare what comes of each."""
        for raw, received_at, now in messages:
            before = self.alone.frame(raw, received_at, now)
            expected = records(self.recorder, before)
            found, place = ([], 0)
            if self._rng.random() >= self._share:
                found, place = self.native.read([raw], 0, received_at, now)
            assert self.native.reader.failures == 0, MODULE.broken_at()
            self.taken += place
            if place == 0:
                self.left += 1
                after = self.native.frame(raw, received_at, now)
                assert _but_events(after) == _but_events(before), raw
                found = records(self.recorder, after)
            else:
                assert _but_events(before) == Reading("conversation", before.topic), raw
            assert found == expected, difference(found, expected, raw)

    def interrupt(self) -> None:
        """Frames may have been missed."""
        self.alone.interrupted()
        self.native.interrupted()

    def compare_memory(self, ids: Iterable[str]) -> None:
        """Both know the same of these conversations. Of no use for reading afterwards."""
        for id_ in ids:
            here = self.alone.memory.get(id_)
            there = self.native.normaliser.memory.recall(id_, 0.0)
            assert here is not None
            here.last_frame = there.last_frame = 0.0
            expected, found = state_of(here), state_of(there)
            assert _sorted(found) == _sorted(expected)


def _sorted(state: Any) -> Any:
    """A state whose sets have an order."""
    if state is None:
        return None
    *rest, legs, known = state
    for place, leg in enumerate(legs):
        legs[place] = (*leg[:5], None if leg[5] is None else sorted(leg[5]), *leg[6:])
    known = [(digest, list(places), ended) for digest, places, ended in known]
    return (*rest, legs, known)


def _but_events(reading: Reading) -> Reading:
    return msgspec.structs.replace(reading, events=[])


def difference(found: list[Record], expected: list[Record], raw: bytes) -> str:
    """What differs, for the report of a failing test."""
    lines = [f"frame {raw[:3000]!r}", f"{len(found)} records, {len(expected)} expected"]
    for ours, wanted in zip(found, expected, strict=False):
        if ours != wanted:
            lines += [f"- {wanted}", f"+ {ours}"]
    return "\n".join(lines)
