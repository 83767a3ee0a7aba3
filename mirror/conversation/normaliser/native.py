"""Reads common frames with the native reader, all others with the normaliser (docs/native.md).

The native reader is a distribution of its own, `interaction-mirror-native`. It takes a frame only
where it is certain of every byte of the records. `Native` joins both: each conversation is with one
of them, and goes to Python with the first frame that Python reads. It goes back behind that frame,
unless it has what only Python knows of: roles, a link, odd text or times.
"""

from __future__ import annotations

import importlib
from typing import Any, Final, Protocol

from mirror.conversation.legs import LegKey
from mirror.conversation.normaliser.memory import Conversation, Known, Leg, Service, Spell
from mirror.conversation.normaliser.normaliser import Normaliser, Reading
from mirror.errors import SettingsError
from mirror.kafka.record import Header, Recorder

MODULE: Final = "interaction_mirror_native"
API: Final = 1  # what this version of the mirror speaks
MAX_FAILURES: Final = 3  # of the native reader; with more it is not asked any more

# Value, key and headers of a record of the events' topic.
NativeRecord = tuple[bytes, str, list[Header]]
_State = tuple[Any, ...]


class Reader(Protocol):
    """The native reader. All its methods belong to one thread."""

    failures: int
    refused: int

    def interrupted(self) -> None:
        """As `Normaliser.interrupted`."""

    def read(
        self, messages: list[Any], start: int, received_at: str, now: float
    ) -> tuple[list[NativeRecord], int]:
        """The records of the messages from `start`, up to the one whose place it gives."""

    def take(self, conversation_id: str) -> _State | None:
        """Give a conversation away."""

    def put(self, conversation_id: str, state: _State) -> bool:
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
                "install interaction-mirror[fast], or set auto"
            ) from error
        return None
    if module.API != API:
        if wish == "require":
            raise SettingsError(
                f"MIRROR_NATIVE is require, and interaction-mirror-native {module.VERSION} is of "
                f"another version of the mirror: install interaction-mirror[fast] again"
            )
        return None
    return module


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
        self._lent: str | None = None
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
        self._lent = None
        reading = self.normaliser.frame(raw, received_at, now)
        if self._lent is not None and not self.is_broken:
            self._give_back(self._lent)
        return reading

    def _borrow(self, conversation_id: str) -> Conversation | None:
        state = self.reader.take(conversation_id)
        if state is None:
            return None
        self._lent = conversation_id
        return conversation_of(conversation_id, state)

    def _give_back(self, conversation_id: str) -> None:
        conversation = self.normaliser.memory.release(conversation_id)
        if conversation is None:
            return
        state = state_of(conversation)
        if state is None or not self.reader.put(conversation_id, state):
            self.normaliser.memory.keep(conversation)


def state_of(conversation: Conversation) -> _State | None:
    """What the native reader takes; null where it cannot hold all of it."""
    if conversation.linked is not None:
        return None
    legs = list(conversation.legs.values())
    if any(leg.service is not None and leg.service.role is not None for leg in legs):
        return None
    places = {leg.key: place for place, leg in enumerate(legs)}
    return (
        list(conversation.ends),
        conversation.last_frame,
        conversation.doubtful,
        conversation.late,
        conversation.interruptions,
        [_state_of_leg(leg) for leg in legs],
        [
            (known.digest, [places[leg.key] for leg in known.legs], known.ended)
            for known in conversation.known
        ],
    )


def _state_of_leg(leg: Leg) -> _State:
    hold, park, service = leg.hold, leg.park, leg.service
    return (
        leg.key.participant_id,
        leg.key.communication_id,
        leg.medium,
        leg.seen,
        leg.once,
        None if leg.often is None else list(leg.often),
        leg.ended,
        leg.ended_at,
        None if hold is None else (hold.since, hold.last),
        None if park is None else (park.since, park.last),
        None
        if service is None
        else (service.since, service.queue_id, list(service.codes), service.coded_at),
    )


def conversation_of(conversation_id: str, state: _State) -> Conversation:
    """The conversation of a state that the native reader gave."""
    ends, last_frame, doubtful, late, interruptions, legs, known = state
    made = [_leg_of(*one) for one in legs]
    return Conversation(
        id=conversation_id,
        legs={leg.key: leg for leg in made},
        known=[
            Known(digest, tuple(made[place] for place in places), ended)
            for digest, places, ended in known
        ],
        open=sum(not leg.ended for leg in made),
        ends=tuple(ends),
        last_frame=last_frame,
        doubtful=doubtful,
        late=late,
        interruptions=interruptions,
    )


def _leg_of(
    participant_id: str,
    communication_id: str,
    medium: str,
    seen: int | None,
    once: int,
    often: list[str] | None,
    ended: bool,
    ended_at: str | None,
    hold: tuple[str | None, str] | None,
    park: tuple[str | None, str] | None,
    service: tuple[str | None, str | None, list[str], str] | None,
) -> Leg:
    served = None
    if service is not None:
        since, queue_id, codes, coded_at = service
        served = Service(since, queue_id, codes=tuple(codes), coded_at=coded_at)
    return Leg(
        LegKey(participant_id, communication_id),
        medium,
        seen,
        once,
        None if often is None else set(often),
        ended,
        ended_at,
        None if hold is None else Spell(*hold),
        None if park is None else Spell(*park),
        served,
    )
