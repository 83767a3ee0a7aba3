"""Reads every n-th frame with the native reader and with Python, and counts differences.

For a canary (`MIRROR_NATIVE_SHADOW`): Python reads such a frame on a copy of the native reader's
memory of its conversation. The native reader's records are produced. If the records differ, only
the event types are logged: the frame may hold personal data.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from listeners.counters import Counters
from listeners.receive.native_reader import NativeReader
from mirror.base.log import logger
from mirror.conversation.normaliser import Normaliser
from mirror.conversation.normaliser.lending import conversation_of
from mirror.kafka.record import NativeRecord, Recorder

MOST_LOGGED: Final = 20


class _Body(msgspec.Struct):
    id: str | None = None


class _Frame(msgspec.Struct, rename="camel"):
    event_body: _Body | None = None


_decode: Final = msgspec.json.Decoder(_Frame).decode


class Shadow:
    """Reads with the native reader, and checks one message in `every` with Python."""

    def __init__(
        self,
        reader: NativeReader,
        normaliser: Normaliser,
        recorder: Recorder,
        counters: Counters,
        every: int,
    ) -> None:
        """`normaliser` shares its conversations with `reader`; `recorder` makes records to
        compare."""
        self._reader = reader
        self._normaliser = normaliser
        self._recorder = recorder
        self._counters = counters
        self._every = every
        self._ahead = every  # messages up to and including the next checked one
        self._log = logger("listener.native")

    def read(
        self, messages: list[Any], start: int, received_at: str, now: float
    ) -> tuple[list[NativeRecord], int]:
        """Like `NativeReader.read`."""
        found: list[NativeRecord] = []
        place, count = start, len(messages)
        while place < count:
            looked_at = place + self._ahead - 1
            if looked_at == place:
                self._ahead = self._every
                records, taken = self._compared(messages[place], received_at, now)
            else:
                part = messages[place : min(looked_at, count)]
                records, taken = self._reader.read(part, 0, received_at, now)
                self._ahead -= taken
                if taken < len(part):
                    return found + records, place + taken
            found += records
            place += taken
            if not taken:
                break
        return found, place

    def _compared(
        self, message: Any, received_at: str, now: float
    ) -> tuple[list[NativeRecord], int]:
        reader, python = self._reader, Normaliser()
        try:
            body = _decode(message).event_body if type(message) is bytes else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            body = None
        if body is not None and body.id:
            state = reader.take(body.id)
            if state is not None:
                python.memory.keep(conversation_of(body.id, state))
                if not reader.put(body.id, state):
                    self._normaliser.memory.keep(conversation_of(body.id, state))
        python.interruptions = self._normaliser.interruptions
        records, taken = reader.read([message], 0, received_at, now)
        if not taken:
            return records, taken
        self._counters.native_shadowed += 1
        try:
            events = python.frame(message, received_at, now).events
            made = [self._recorder.record(event) for event in events]
            wanted = [(record.value, record.key, record.headers) for record in made]
            is_same = [record[:3] for record in records] == wanted
            types: list[str] = [event.event_type for event in events]
        except Exception as error:  # noqa: BLE001 - a bug in the comparison must cost no frame
            is_same, types = False, [type(error).__name__]
        if not is_same:
            self._counters.native_differences += 1
            if self._counters.native_differences <= MOST_LOGGED:
                self._log.error("native_differs", types=types)
        return records, taken
