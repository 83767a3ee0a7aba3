"""From the bytes of a frame to events: decode, classify, compare, and never raise.

One normaliser serves all channels of a process, so a conversation that arrives by several topics is
reported once. Not thread-safe: it belongs to the thread that reads sockets.
"""

from __future__ import annotations

from typing import Final, Literal, TypeVar

import msgspec

from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.event import Event, Origin
from mirror.conversation.normaliser.agents import AgentFrame, agent_events
from mirror.conversation.normaliser.analytics import AnalyticsBody, body_of
from mirror.conversation.normaliser.bodies import (
    Body,
    CutBody,
    CutFrame,
    Frame,
    Participant,
    PersonalBody,
    PersonalFrame,
    PersonalParticipant,
)
from mirror.conversation.normaliser.events import Source, events
from mirror.conversation.normaliser.lengths import cut
from mirror.conversation.normaliser.memory import Conversation, Memory
from mirror.conversation.normaliser.personal import Filling, Personal
from mirror.conversation.normaliser.rules import is_of_consultation, transitions
from mirror.conversation.normaliser.salvage import salvage
from mirror.conversation.normaliser.snapshot import Snapshot, recognise, whole
from mirror.conversation.normaliser.topics import Kind, classify

T = TypeVar("T", bound=msgspec.Struct)

ReadingKind = Literal["conversation", "agent", "heartbeat", "pong", "system", "unknown", "garbage"]
Stage = Literal["decode", "schema", "conversation"]

DEFAULT_MAX_CONVERSATIONS: Final = 100_000
DEFAULT_GRACE_SECONDS: Final = 900.0  # after-call work may last this long after the end
MAX_ID_LENGTH: Final = 128  # Genesys' ids are UUIDs of 36; anything far longer is no id
MAX_TOPIC_LENGTH: Final = 512  # Genesys takes topics of at most 200 characters
MAX_CORRELATION_LENGTH: Final = 128
# The loop that reads sockets has other channels to serve, so one frame may cost about a tenth of a
# second. A frame beyond these bounds is a dead letter.
MAX_LEGS: Final = 5_000  # to compare; a participant without any counts as one
MANY_LEGS_BYTES: Final = 64 * 1024  # a smaller frame has too little room for more legs
# Of a large frame: objects and arrays (a conversation of 10,000 messages has some 60,000), and
# commas (Genesys writes some 30 for a leg).
LARGE_FRAME_BYTES: Final = 256 * 1024
MAX_VALUES: Final = 100_000
MAX_COMMAS: Final = 150_000
MAX_SALVAGED: Final = 30_000  # commas of a frame that is partly wrong: it is read without types
BODY_TIMES: Final = 4  # as much in a body of REST, which holds nothing up


# Genesys' envelope: `{"topicName":…,"version":"2","eventBody":{…},"metadata":{"CorrelationId":…}}`.
_BODY: Final = b'"eventBody":'
_BODY_WITHIN: Final = MAX_TOPIC_LENGTH + 64
_ID: Final = b'{"id":"'
_ID_END: Final = len(_ID) + 36
_AFTER_BODY: Final = b',"metadata":'
_PLACEHOLDER: Final = "="  # no conversation's id
_PLACEHOLDER_BODY: Final = b'{"id":"=","participants":[]}'


class Problem(msgspec.Struct, frozen=True):
    """Why a frame is a dead letter: the failed stage and the error. No content of the frame.

    `hides_legs`: the frame may show more legs than could be read.
    """

    stage: Stage
    error: str
    message: str
    hides_legs: bool = False


_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NO_TOPIC: Final = Problem("schema", "MissingTopicName", "the frame has no topicName")
_NO_ID: Final = Problem("conversation", "MissingConversationId", "the conversation has no id")
_TOO_MUCH: Final = Problem("decode", "TooManyValues", "more values than a frame may have")
_MANY_LEGS: Final = Problem("conversation", "TooManyLegs", "more legs than a frame may have")
_NOBODY: Final = Problem("schema", "MissingParticipantId", "a participant without an id")
_NO_TIME: Final = Problem("schema", "InvalidTime", "a time that is none")
_LONG_TEXT: Final = Problem("schema", "TextTooLong", "a text that is far too long, or too many")


class Reading(msgspec.Struct):
    """The result of reading one frame. `problem` may stand beside the events of the readable parts.

    `agents` goes to the topic of agent states; it is empty except for frames of the kind `agent`.
    `strange` are media that this version does not know.
    """

    kind: ReadingKind
    topic: str | None = None
    events: list[Event] = []
    problem: Problem | None = None
    message: str | None = None  # the text of a heartbeat, pong or system frame
    agents: list[AgentEvent] = []
    strange: frozenset[str] = frozenset()


class Normaliser:
    """Turns frames, REST bodies and analytics into events, and remembers what it reported."""

    def __init__(
        self,
        *,
        personal: Personal | None = None,
        max_conversations: int = DEFAULT_MAX_CONVERSATIONS,
        grace: float = DEFAULT_GRACE_SECONDS,
    ) -> None:
        """`personal` is None with `MIRROR_PII=drop`: then personal fields are never decoded."""
        self.memory = Memory(max_conversations, grace)
        self._personal = personal
        self._frame_type: type[Frame] = Frame if personal is None else PersonalFrame
        self._body_type: type[Body] = Body if personal is None else PersonalBody
        self._frames = msgspec.json.Decoder(CutFrame)
        self._bodies = msgspec.json.Decoder(CutBody)
        participant_type = Participant if personal is None else PersonalParticipant
        self._participant = msgspec.json.Decoder(participant_type).decode
        self._agent_frames = msgspec.json.Decoder(AgentFrame)
        self._analytics = msgspec.json.Decoder(AnalyticsBody)
        self.interruptions = 0

    def interrupted(self) -> None:
        """Frames may have been missed: a socket was lost, or a channel replaced.

        At the next frame of each conversation the normaliser reports again whether its connected
        legs are held, because a hold may have begun or ended unseen.
        """
        self.interruptions += 1

    def frame(self, raw: bytes, received_at: str, now: float) -> Reading:
        """Read one notification frame.

        `received_at` is RFC 3339 with milliseconds, `now` monotonic seconds. Never raises on
        content: `problem` says what could not be read.
        """
        start = raw.find(_BODY, 0, _BODY_WITHIN) + len(_BODY)
        repeated = self._repeat(raw, start, now)
        if repeated is not None:
            return Reading("conversation", repeated)
        try:
            _check(raw)
            frame = self._frames.decode(raw)
        except _UNREADABLE as error:
            return self._salvaged(raw, received_at, now, error)
        except _TooMuch:
            return Reading("garbage", problem=_TOO_MUCH)
        topic = frame.topic_name
        if not topic or len(topic) > MAX_TOPIC_LENGTH:
            return Reading("garbage", problem=_NO_TOPIC)
        kind = classify(topic)
        if kind == "agent":
            return self._agent(raw, topic, received_at)
        if kind != "conversation":
            return _other(kind, topic, frame)
        body = frame.event_body
        if body is None or not body.id or len(body.id) > MAX_ID_LENGTH:
            return Reading("conversation", topic, problem=_NO_ID)
        conversation = self._recall(body.id, now)
        try:
            shown = self._recognise(conversation, body)
        except _UNREADABLE as error:
            return self._salvaged(raw, received_at, now, error)
        if len(raw) > MANY_LEGS_BYTES and _has_many_legs(shown):
            return Reading("conversation", topic, problem=_MANY_LEGS)
        reading = self._read(conversation, body, shown, _source(topic, frame, received_at))
        if body.end_time is None and not shown.is_cut:
            conversation.known = shown.known
            end = raw.rfind(_AFTER_BODY)
            if end > start and raw.find(_BODY, end) < 0:  # else another one counts
                self.memory.keep_body(conversation, raw[start:end])
        return reading

    def _recognise(self, conversation: Conversation, body: CutBody) -> Snapshot:
        """What a snapshot shows. Its bytes are compared only with those of the one before it."""
        reread = conversation.doubtful or conversation.late or body.end_time is not None
        last = () if reread else conversation.known
        shown = recognise(body.participants or (), last, self._participant)
        if last and is_of_consultation(shown.changed):
            return recognise(body.participants or (), (), self._participant)
        return shown

    def _repeat(self, raw: bytes, start: int, now: float) -> str | None:
        """The topic of a frame that repeats, byte for byte, the last body of its conversation.

        Genesys sends each snapshot to every topic that it concerns, and some twice, so half of all
        frames are such repeats. Their bodies need no decoding. Not even the end of the body is
        searched: the bytes around the known body must be a frame without a body. None if the frame
        is no such repeat.
        """
        conversation = self.memory.get(
            raw[start + len(_ID) : start + _ID_END].decode("ascii", "replace")
        )
        if (
            conversation is None
            or conversation.body is None
            or conversation.doubtful
            or conversation.interruptions != self.interruptions
            or not raw.startswith(conversation.body, start)
        ):
            return None
        envelope = raw[:start] + _PLACEHOLDER_BODY + raw[start + len(conversation.body) :]
        if not envelope.isascii():
            return None
        try:
            frame = self._frames.decode(envelope)
        except _UNREADABLE:
            return None
        topic, body = frame.topic_name, frame.event_body
        if not topic or len(topic) > MAX_TOPIC_LENGTH or body is None or body.id != _PLACEHOLDER:
            return None
        if classify(topic) != "conversation":
            return None
        if self.memory.recall(conversation.id, now) is not conversation:
            return None  # it has just been put to rest, or forgotten
        return topic

    def _salvaged(self, raw: bytes, received_at: str, now: float, error: Exception) -> Reading:
        """The reading of a frame that the decoder refused, from its readable parts."""
        if raw.count(b",") > MAX_SALVAGED:
            return Reading("garbage", problem=_unreadable(error))
        salvaged = _salvage(raw, self._frame_type, error)
        if isinstance(salvaged, Problem):
            return Reading("garbage", problem=salvaged)
        frame, problem = salvaged
        topic = frame.topic_name
        if not topic or len(topic) > MAX_TOPIC_LENGTH:
            return Reading("garbage", problem=problem)
        kind = classify(topic)
        if kind == "agent":
            return self._agent(raw, topic, received_at)
        if kind != "conversation":
            return _other(kind, topic, frame)
        return self._whole(frame.event_body, _source(topic, frame, received_at), now, problem)

    def conversation(
        self, raw: bytes, received_at: str, now: float, origin: Origin = "backfill"
    ) -> Reading:
        """Read one body of `GET /api/v2/conversations/{id}`, as `frame` reads a frame."""
        source = Source(received_at, origin)
        try:
            _check(raw, BODY_TIMES)
            body = self._bodies.decode(raw)
            shown = recognise(body.participants or (), (), self._participant)
        except _UNREADABLE as error:
            salvaged = _salvage(raw, self._body_type, error)
            if isinstance(salvaged, Problem):
                return Reading("garbage", problem=salvaged)
            return self._whole(salvaged[0], source, now, salvaged[1])
        except _TooMuch:
            return Reading("garbage", problem=_TOO_MUCH)
        if not body.id or len(body.id) > MAX_ID_LENGTH:
            return Reading("conversation", problem=_NO_ID)
        return self._read(self._recall(body.id, now), body, shown, source)

    def analytics(self, raw: bytes, received_at: str, now: float) -> Reading:
        """Read one conversation of an analytics query or multi-get, as `conversation` reads REST.

        For conversations that REST does not return (any more). An `end` is reported only if all
        legs are known. Analytics lags by minutes and cannot say how a leg is now, so there are no
        `snapshot` readings.
        """
        problem: Problem | None = None
        try:
            _check(raw, BODY_TIMES)
            shown = self._analytics.decode(raw)
        except _UNREADABLE as error:
            salvaged = _salvage(raw, AnalyticsBody, error)
            if isinstance(salvaged, Problem):
                return Reading("garbage", problem=salvaged)
            shown, problem = salvaged
        except _TooMuch:
            return Reading("garbage", problem=_TOO_MUCH)
        body, complete = body_of(shown)
        source = Source(received_at, "backfill")
        reading = self._whole(body, source, now, problem, complete=complete)
        reading.events = [event for event in reading.events if event.origin != "snapshot"]
        return reading

    def _whole(
        self,
        body: Body | None,
        source: Source,
        now: float,
        problem: Problem | None,
        *,
        complete: bool = True,
    ) -> Reading:
        """The reading of a body that was decoded as a whole."""
        if body is None or not body.id or len(body.id) > MAX_ID_LENGTH:
            return Reading("conversation", source.topic, problem=problem or _NO_ID)
        conversation = self._recall(body.id, now)
        shown = whole(body.participants, cut(body))
        if source.origin == "live" and _has_many_legs(shown):
            return Reading("conversation", source.topic, problem=_MANY_LEGS)
        partial = problem is not None
        if problem is not None and problem.hides_legs and body.end_time is None:
            complete = False
        reading = self._read(conversation, body, shown, source, partial, complete)
        reading.problem = problem or reading.problem
        return reading

    def _read(
        self,
        conversation: Conversation,
        body: Body | CutBody,
        shown: Snapshot,
        source: Source,
        partial: bool = False,
        complete: bool = True,
    ) -> Reading:
        """Compare one body with the memory of its conversation."""
        conversation.known = ()
        conversation.body = None
        linked = body.associated_conversation
        if linked is not None and cut(linked):
            shown.is_cut = True
        first_sight = not conversation.legs
        partial = partial or not complete or shown.is_cut
        told, flawed = transitions(conversation, body, shown, partial, complete)
        filling = None if self._personal is None else Filling(self._personal)
        made = events(conversation, told, source, filling, first_sight) if told else []
        reading = Reading("conversation", source.topic, made)
        if shown.strange:
            reading.strange = shown.strange
            names = ", ".join(sorted(shown.strange))
            reading.problem = Problem("conversation", "UnknownMedium", f"unknown media: {names}")
        elif flawed:
            reading.problem = _NO_TIME
        elif shown.is_cut or (filling is not None and filling.is_cut):
            reading.problem = _LONG_TEXT
        elif any(piece.shown and not piece.participant.id for piece in shown.changed):
            reading.problem = _NOBODY  # a leg of a participant without an id
        return reading

    def _recall(self, conversation_id: str, now: float) -> Conversation:
        conversation = self.memory.recall(conversation_id, now)
        if conversation.interruptions != self.interruptions:
            conversation.interruptions = self.interruptions
            conversation.doubtful = True
        return conversation

    def _agent(self, raw: bytes, topic: str, received_at: str) -> Reading:
        problem: Problem | None = None
        try:
            frame = self._agent_frames.decode(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            salvaged = _salvage(raw, AgentFrame, error)
            if isinstance(salvaged, Problem):
                return Reading("agent", topic, problem=salvaged)
            frame, problem = salvaged
        if frame.metadata is not None:
            cut(frame.metadata)  # the frame itself is sound
        if frame.event_body is not None and cut(frame.event_body):
            problem = problem or _LONG_TEXT
        return Reading(
            "agent", topic, problem=problem, agents=agent_events(topic, frame, received_at)
        )


class _TooMuch(Exception):
    """The frame has too many values, though its size is within bounds."""


def _check(raw: bytes, times: int = 1) -> None:
    """Refuse frames that cost too much to decode, and bytes that are no UTF-8.

    `times` as much as in a frame is allowed. Raises `_TooMuch` and `UnicodeDecodeError`.
    """
    if len(raw) > LARGE_FRAME_BYTES and (
        raw.count(b"{") + raw.count(b"[") > times * MAX_VALUES
        or raw.count(b",") > times * MAX_COMMAS
    ):
        raise _TooMuch
    if not raw.isascii():
        raw.decode()  # the decoder does not look inside strings that it skips


def _has_many_legs(shown: Snapshot) -> bool:
    return sum(max(1, len(piece.shown)) for piece in shown.changed) > MAX_LEGS


def _salvage(raw: bytes, kind: type[T], error: Exception) -> tuple[T, Problem] | Problem:
    if isinstance(error, RecursionError | UnicodeDecodeError):
        return _unreadable(error)
    try:
        value, faults = salvage(raw, kind)
    except (ValueError, RecursionError) as unreadable:
        # If both decoders fail, the first one names the byte.
        return _unreadable(unreadable if isinstance(unreadable, UnicodeDecodeError) else error)
    paths = ", ".join(faults.paths) or "a field that is not read"
    message = f"unexpected value at {paths}"
    return value, Problem("schema", type(error).__name__, message, faults.hides_legs)


def _unreadable(error: Exception) -> Problem:
    """Why bytes are no JSON object; never quotes them."""
    if isinstance(error, UnicodeDecodeError):
        return Problem("decode", "UnicodeDecodeError", f"invalid UTF-8 at byte {error.start}")
    if isinstance(error, RecursionError):
        return Problem("decode", "RecursionError", "nested too deeply")
    stage: Stage = "schema" if isinstance(error, msgspec.ValidationError) else "decode"
    return Problem(stage, type(error).__name__, str(error)[:200])


def _source(topic: str, frame: Frame | CutFrame, received_at: str) -> Source:
    """The source of the events of a notification frame."""
    metadata = frame.metadata
    correlation_id = metadata.correlation_id if metadata is not None else None
    if correlation_id is not None and len(correlation_id) > MAX_CORRELATION_LENGTH:
        correlation_id = None  # each event would have a copy
    return Source(received_at, "live", topic, correlation_id)


def _other(kind: Kind, topic: str, frame: Frame | CutFrame) -> Reading:
    # The body of other topics is not expected to fit.
    body = frame.event_body
    message = body.message if body is not None else None
    if kind == "channel":
        return Reading("pong" if message == "pong" else "heartbeat", topic, message=message)
    if kind == "system":
        return Reading("system", topic, message=message)
    return Reading("unknown", topic)
