"""Reads common frames with the native reader, all others with the normaliser (docs/native.md).

The native reader takes a frame only if it is certain of every byte of the records. `Native` joins
both. One of the two holds each conversation. A conversation moves to Python with a frame that
Python must read, and back after that frame, unless it has something that only Python handles: a
link to another conversation, odd text or times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from listeners.channels.channel import Channel
from listeners.counters import Counters
from listeners.receive.frames import Item, Texts
from listeners.receive.native_reader import NativeReader
from listeners.receive.shadow import Shadow
from mirror.base.log import logger
from mirror.conversation.normaliser import Normaliser, Reading
from mirror.conversation.normaliser.lending import conversation_of, state_of
from mirror.conversation.normaliser.memory import Conversation
from mirror.fleet.words import NativeState
from mirror.kafka.record import NativeRecord, Recorder

MAX_FAILURES: Final = 3  # of the native reader; then it is not used any more


class Native:
    """A normaliser, and the native reader before it."""

    def __init__(
        self,
        module: Any,
        normaliser: Normaliser,
        recorder: Recorder,
        counters: Counters,
        *,
        shadow: int = 0,
    ) -> None:
        """`module` comes from `native_reader.load`; `recorder` has the parts that records share.

        With `shadow` both readers read every `shadow`-th frame, and differences are counted.
        """
        self.normaliser = normaliser
        self.version: str = module.VERSION
        self.texts: Texts = module.texts
        memory = normaliser.memory
        self.reader: NativeReader = module.Reader(
            region=recorder.region,
            encoding=recorder.encoding,
            content_type=recorder.content_type,
            schema=recorder.schema,
            most=memory.max_conversations,
            grace=memory.grace,
            elsewhere=memory.__contains__,
        )
        self.read = self.reader.read
        if shadow:
            self.read = Shadow(self.reader, normaliser, recorder, counters, shadow).read
        self._counters = counters
        self._log = logger("listener.native")
        self._broken_at = module.broken_at
        self._lent: list[str] = []  # by the frame that Python reads now
        memory.borrow = self._borrow

    @property
    def is_broken(self) -> bool:
        """Whether the native reader failed too often to be used any more."""
        return self.reader.failures >= MAX_FAILURES

    @property
    def state(self) -> NativeState:
        """The state of the native reader, in the words of the fleet."""
        return "broken" if self.is_broken else "on"

    def interrupted(self) -> None:
        """Like `Normaliser.interrupted`, for both readers."""
        self.normaliser.interrupted()
        self.reader.interrupted()

    def pass_by(
        self,
        items: list[Item],
        received_at: str,
        now: float,
        publish: Callable[[list[NativeRecord]], None],
        channel: Channel,
    ) -> Iterator[Item]:
        """Read `items`; yield those that are left for Python, each in its turn."""
        counters, reader = self._counters, self.reader
        place = 0
        while place < len(items):
            if not self.is_broken:
                records, reached = self.read(items, place, received_at, now)
                if records:
                    publish(records)
                taken, place = reached - place, reached
                channel.frames += taken
                channel.events += len(records)
                counters.frames += taken
                counters.native_frames += taken
                counters.events += len(records)
                if reader.failures != counters.native_failures:
                    self._note_failure()
                if place == len(items):
                    return
            yield items[place]
            place += 1

    def _note_failure(self) -> None:
        self._counters.native_failures = self.reader.failures
        self._log.error("native_failed", at=str(self._broken_at()), off=self.is_broken)

    def frame(self, raw: bytes, received_at: str, now: float) -> Reading:
        """Read a frame with the normaliser, which borrows the frame's conversation."""
        self._lent.clear()
        reading = self.normaliser.frame(raw, received_at, now)
        if self._lent and not self.is_broken:
            self._give_back(self._lent[0])
        return reading

    def _borrow(self, conversation_id: str) -> Conversation | None:
        state = self.reader.take(conversation_id)
        if state is None:
            return None
        self._lent.append(conversation_id)
        return conversation_of(conversation_id, state)

    def _give_back(self, conversation_id: str) -> None:
        memory = self.normaliser.memory
        conversation = memory.release(conversation_id)
        if conversation is None:
            return
        state = state_of(conversation)
        if state is None or not self.reader.put(conversation_id, state):
            memory.keep(conversation)
