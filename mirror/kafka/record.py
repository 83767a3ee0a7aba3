"""The Kafka records of events, agents' states and dead letters.

docs/event.md describes them; records of agents' states have the same form.

`Recorder` is on the hot path: header pairs that many records share (type, source, origin) are built
once, with values as bytes, which `produce` takes as they are. Everything else is a function of its
arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from mirror.base.errors import MirrorError
from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.event import Event
from mirror.conversation.masking import Mask
from mirror.settings.model import Encoding

T = TypeVar("T")
Header = tuple[str, str | bytes | None]
# Value, key, headers and the key's murmur2, without its sign, of an event's record, as
# the native reader makes them (docs/native.md).
NativeRecord = tuple[bytes, str, list[Header], int]

CONTENT_TYPES: Final[dict[Encoding, str]] = {
    "json": "application/json",
    "msgpack": "application/msgpack",
}
ERRORS: Final = "mirror.errors."
# The subscription bounds the source topics (20,000 per client). The cache is bounded too, in case
# frames carry made-up names.
MAX_CACHED_SOURCES: Final = 50_000
MAX_ERROR_MESSAGE: Final = 500
# Head room for key, headers and the batch around a dead letter's value.
RECORD_OVERHEAD_BYTES: Final = 4_096
LEAST_DEAD_LETTER: Final = 1_024
TRUNCATED: Final = f"{ERRORS}truncated-bytes"
MASKED: Final = f"{ERRORS}masked"
# The cause of an `UndecodableRecord`, and the next step.
WRITERS: Final = (
    "another program writes to the topic (stop it), or a newer version of the mirror (upgrade this "
    "process)"
)

_SPEC: Final[Header] = ("ce_specversion", b"1.0")


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record for the producer; `headers` in the order they are written."""

    topic: str
    key: str | None
    value: bytes
    headers: list[Header]


class UndecodableRecord(MirrorError):
    """A record does not hold what its topic is for."""


def _encoder(encoding: Encoding) -> Callable[[Any], bytes]:
    """The function that encodes the value of a record."""
    encoder = msgspec.json.Encoder() if encoding == "json" else msgspec.msgpack.Encoder()
    return encoder.encode


class Recorder:
    """Makes records of events for one topic, region and encoding."""

    def __init__(
        self, topic: str, region: str, encoding: Encoding, schema: Header | None = None
    ) -> None:
        """`schema` is the header that names the schema of the values (`mirror.kafka.registry`)."""
        self.topic = topic
        self.region = region
        self.encoding = encoding
        self.schema = schema
        self.content_type: Header = ("content-type", CONTENT_TYPES[encoding].encode())
        self.encode = _encoder(encoding)
        self._types: dict[str, Header] = {}
        self._origins: dict[str, Header] = {}
        self._sources: dict[str, Header] = {}

    def headers(self, event: Event) -> list[Header]:
        """CloudEvents 1.0 headers in binary mode."""
        kind = self._types.get(event.event_type) or self._type(event.event_type)
        origin = self._origins.get(event.origin) or self._origin(event.origin)
        topic = event.source_topic
        source: Header | None
        if topic is None:
            source = (
                "ce_source",
                f"/genesys/{self.region}/conversations/{event.conversation_id}".encode(),
            )
        else:
            source = self._sources.get(topic) or self._source(topic)
        headers: list[Header] = [
            _SPEC,
            ("ce_id", event.event_id),
            kind,
            source,
            ("ce_time", event.occurred_at),
            origin,
            self.content_type,
        ]
        if self.schema is not None:
            headers.append(self.schema)
        return headers

    def record(self, event: Event) -> Record:
        """Key, value and headers of one event."""
        return Record(self.topic, event.conversation_id, self.encode(event), self.headers(event))

    def _type(self, event_type: str) -> Header:
        name = f"genesys.interaction.{event_type}".encode()
        return self._types.setdefault(event_type, ("ce_type", name))

    def _origin(self, origin: str) -> Header:
        return self._origins.setdefault(origin, ("ce_origin", origin.encode()))

    def _source(self, topic: str) -> Header:
        if len(self._sources) >= MAX_CACHED_SOURCES:
            self._sources.clear()
        source = f"/genesys/{self.region}/{topic}".encode()
        return self._sources.setdefault(topic, ("ce_source", source))


class AgentRecorder:
    """Makes records of agents' states for one topic, region and encoding."""

    def __init__(
        self, topic: str, region: str, encoding: Encoding, schema: Header | None = None
    ) -> None:
        """`schema` as for `Recorder`."""
        self.topic = topic
        self.region = region
        self._schema = schema
        self._content_type: Header = ("content-type", CONTENT_TYPES[encoding].encode())
        self._encode = _encoder(encoding)

    def record(self, event: AgentEvent) -> Record:
        """Key (the user id), value and CloudEvents headers of one state."""
        source = event.source_topic or f"users/{event.user_id}"
        headers: list[Header] = [
            _SPEC,
            ("ce_id", event.event_id),
            ("ce_type", f"genesys.agent.{event.event_type}"),
            ("ce_source", f"/genesys/{self.region}/{source}"),
            ("ce_time", event.occurred_at),
            ("ce_origin", event.origin),
            self._content_type,
        ]
        if self._schema is not None:
            headers.append(self._schema)
        return Record(self.topic, event.user_id, self._encode(event), headers)


def reader_of(kind: type[T]) -> Callable[[bytes | None], T]:
    """A function that decodes the value of a record. It raises `UndecodableRecord`.

    The first byte shows the encoding: a JSON object begins with a brace, a MessagePack map does
    not. So a topic may hold both, as it does after a change of `MIRROR_ENCODING`.
    """
    json, msgpack = msgspec.json.Decoder(kind), msgspec.msgpack.Decoder(kind)

    def read(value: bytes | None) -> T:
        data = value or b""
        try:
            return (json if data[:1] == b"{" else msgpack).decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UndecodableRecord(f"no {kind.__name__}: {error}") from error

    return read


read_event: Final = reader_of(Event)
read_agent_event: Final = reader_of(AgentEvent)


def dead_letter(
    topic: str,
    value: bytes,
    *,
    source_topic: str | None,
    stage: str,
    error: str,
    message: str,
    listener: str,
    limit: int,
    mask: Mask | None,
    size: int | None = None,
) -> Record:
    """A dead letter for `topic`: the original bytes, keyed by their source topic.

    `size` is the full size of the original in bytes if `value` is only its beginning. A letter that
    is larger than `limit` bytes with its headers is cut, and the header `truncated-bytes` has the
    full size. `mask` removes personal values from JSON, and the header `masked` says how; None for
    our own events, which hold only what `MIRROR_PII` allows. `message` must be free of personal
    data.
    """
    full = len(value) if size is None else size
    is_cut = full > len(value)
    most = max(0, limit - RECORD_OVERHEAD_BYTES)
    masked = None if mask is None else mask.json(value, most, is_cut=is_cut)
    if masked is not None:
        value = masked.value
        is_cut = is_cut or not masked.is_whole
    elif len(value) > most:
        value = value[:most]
        is_cut = True
    headers: list[Header] = [
        (f"{ERRORS}topic", source_topic or ""),
        (f"{ERRORS}stage", stage),
        (f"{ERRORS}exception.class.name", error),
        (f"{ERRORS}exception.message", message[:MAX_ERROR_MESSAGE]),
        (f"{ERRORS}listener", listener),
    ]
    if is_cut:
        headers.append((TRUNCATED, str(full)))
    if masked is not None and mask is not None:
        headers.append((MASKED, mask.kind))
    return Record(topic, source_topic, value, headers)


def shorter(record: Record) -> Record | None:
    """Half of a dead letter that a broker found too large; None if too little would be left."""
    size = len(record.value) // 2
    if size < LEAST_DEAD_LETTER:
        return None
    headers = list(record.headers)
    if all(name != TRUNCATED for name, _ in headers):
        headers.append((TRUNCATED, str(len(record.value))))
    return Record(record.topic, record.key, record.value[:size], headers)
