"""Reads common frames with the native reader, all others with the normaliser (docs/native.md).

The native reader is a distribution of its own, `interaction-mirror-native`. It takes a frame only
where it is certain of every byte of the records. `Native` joins both: each conversation is with one
of them, and goes to Python with the first frame that Python reads. It goes back behind that frame,
unless it has what only Python knows of: roles, a link, odd text or times.
"""

from __future__ import annotations

import importlib
from typing import Any, Final, Protocol

from mirror.base.errors import SettingsError
from mirror.conversation.normaliser import Normaliser, Reading
from mirror.conversation.normaliser.lending import State, conversation_of, state_of
from mirror.conversation.normaliser.memory import Conversation
from mirror.kafka.record import Header, Recorder

MODULE: Final = "interaction_mirror_native"
API: Final = 1  # what this version of the mirror speaks
MAX_FAILURES: Final = 3  # of the native reader; with so many it is not asked any more

# Value, key and headers of a record of the events' topic.
NativeRecord = tuple[bytes, str, list[Header]]


class Reader(Protocol):
    """The native reader. All its methods belong to one thread."""

    failures: int
    refused: int

    def interrupted(self) -> None:
        """As `Normaliser.interrupted`."""

    def read(
        self, messages: list[Any], start: int, received_at: str, now: float
    ) -> tuple[list[NativeRecord], int]:
        """The records of the messages from `start`, and the place of the first not read."""

    def take(self, conversation_id: str) -> State | None:
        """Give a conversation away."""

    def put(self, conversation_id: str, state: State) -> bool:
        """Take a conversation, unless it has what only Python knows of."""

    def break_next(self) -> None:
        """Break off amid the next frame: for tests."""

    def __len__(self) -> int: ...

    def __contains__(self, conversation_id: str) -> bool: ...


def load(wish: str) -> Any:
    """The native module, null where it is not wished for or not here.

    `wish` is `MIRROR_NATIVE`. Raises `SettingsError` where it is required and cannot be had.
    """
    if wish == "off":
        return None
    try:
        module = importlib.import_module(MODULE)
    except ImportError as error:
        if wish == "require":
            raise SettingsError(
                f"MIRROR_NATIVE is require, and {MODULE} cannot be imported ({error}): "
                "install interaction-mirror[fast], or set MIRROR_NATIVE to auto"
            ) from error
        return None
    if module.API == API:
        return module
    if wish == "require":
        raise SettingsError(
            f"MIRROR_NATIVE is require, and interaction-mirror-native {module.VERSION} belongs to "
            "another version of the mirror: install interaction-mirror[fast] again"
        )
    return None


class Native:
    """A normaliser, and the native reader before it."""

    def __init__(self, module: Any, normaliser: Normaliser, recorder: Recorder) -> None:
        """`module` is what `load` gave; `recorder` says what all records have."""
        self.normaliser = normaliser
        self.version: str = module.VERSION
        memory = normaliser.memory
        self.reader: Reader = module.Reader(
            region=recorder.region,
            encoding=recorder.encoding,
            content_type=recorder.content_type,
            schema=recorder.schema,
            most=memory.max_conversations,
            grace=memory.grace,
            elsewhere=memory.__contains__,
        )
        self.read = self.reader.read
        self._broken_at = module.broken_at
        self._lent: list[str] = []  # by the frame that Python reads now
        memory.borrow = self._borrow

    @property
    def is_broken(self) -> bool:
        """Whether it failed too often to be asked any more."""
        return self.reader.failures >= MAX_FAILURES

    @property
    def broken_at(self) -> str:
        """Where it broke off last, as `file.rs:line`; empty where it never did."""
        return str(self._broken_at())

    def interrupted(self) -> None:
        """As `Normaliser.interrupted`, for both."""
        self.normaliser.interrupted()
        self.reader.interrupted()

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
