"""Records that Kafka refuses for good: they hold up neither their partition nor their batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import jsonschema
import msgspec
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from mirror.base.log import capture_logs
from mirror.base.units import counted
from mirror.conversation.event import Event
from mirror.conversation.schema import view_schema
from mirror.kafka.faults import KINDS
from mirror.kafka.kept import KEPT_HEADER, read_kept
from mirror.kafka.limits import DEFAULT_RECORD_LIMIT_BYTES
from mirror.settings import Settings, load
from projector.loop import Loop
from projector.memory import BOUNDS, Conversation
from projector.program import STRAY_SECONDS, Projector
from projector.projection import Partition
from projector.writer import Aborted, Out, Writer
from tests.unit.projector.test_projection import case

SETTINGS = load({"HOME": "/root"})
FLOW = "S10_acw_ends_without_code"
HUGE = 600_000
BY_RECORD = sorted(code for code, kind in KINDS.items() if kind == "record")


class Broker:
    """What transactions leave in Kafka. `limit` is of a batch of one partition, as a topic has it.

    `poison` is a value that no broker takes, `code` how it is refused.
    """

    def __init__(
        self, limit: int = 10**9, poison: bytes = b"", code: int = KafkaError.MSG_SIZE_TOO_LARGE
    ) -> None:
        self.limit, self.poison, self.code = limit, poison, code
        self.log: list[Out] = []
        self.offsets: list[TopicPartition] = []
        self.begun = 0

    def producer(self, *_: Any, **__: Any) -> Producer:
        """Another producer."""
        return Producer(self)


class Producer:
    """A transactional producer that refuses as librdkafka does: by key and value alone."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._waiting: list[tuple[Out, Any]] = []
        self._written: list[Out] = []
        self._error: KafkaError | None = None

    def init_transactions(self, *_: Any) -> None:
        """Nothing is open."""

    def begin_transaction(self) -> None:
        """Begin."""
        self._broker.begun += 1
        self._written = []

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: Any,
        partition: int,
        *,
        on_delivery: Any,
        timestamp: int,
        headers: Any,
    ) -> None:
        """Queue a record."""
        if self._error is not None:
            raise KafkaException(KafkaError(KafkaError._STATE))
        if len(value or b"") + len(key) > DEFAULT_RECORD_LIMIT_BYTES:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        self._waiting.append((Out(topic, partition, key, value, headers, timestamp), on_delivery))

    def __len__(self) -> int:
        return len(self._waiting)

    def poll(self, _seconds: float) -> None:
        """Have the batches answered, each as a whole."""
        batches: dict[tuple[str, int], list[tuple[Out, Any]]] = {}
        for queued in self._waiting:
            batches.setdefault((queued[0].topic, queued[0].partition), []).append(queued)
        self._waiting = []
        for batch in batches.values():
            is_poisoned = self._broker.poison in [message.value for message, _ in batch]
            if sum(message.size for message, _ in batch) > self._broker.limit or is_poisoned:
                error = KafkaError(self._broker.code)
                for queued in batch:
                    queued[1](error, None)
                self._error = KafkaError(self._broker.code, "", False, False, True)
            else:
                self._written += [message for message, _ in batch]

    def send_offsets_to_transaction(self, offsets: Any, *_: Any) -> None:
        """Take the offsets."""
        self._raise()
        self._offsets = offsets

    def commit_transaction(self, *_: Any) -> None:
        """All or nothing."""
        self.poll(0.0)
        self._raise()
        self._broker.log += self._written
        self._broker.offsets = self._offsets

    def abort_transaction(self, *_: Any) -> None:
        """Forget all."""
        self._written = []

    def _raise(self) -> None:
        if self._error is not None:
            raise KafkaException(self._error)


class Record:
    """A record of the interaction topic."""

    def __init__(self, offset: int, event: Event) -> None:
        self._offset, self._event = offset, event

    def partition(self) -> int:
        """Always the first."""
        return 0

    def offset(self) -> int:
        """Its offset."""
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        """Some time."""
        return 0, 1

    def key(self) -> bytes:
        """The conversation."""
        return self._event.conversation_id.encode()

    def value(self) -> bytes:
        """The event."""
        return msgspec.json.encode(self._event)

    def headers(self) -> None:
        """None."""


class Consumer:
    """A group's member that assigns nothing."""

    def assign(self, _: Any) -> None:
        """Nothing."""


def projected(broker: Broker, events: Sequence[Event]) -> tuple[Loop, Aborted | None]:
    """One batch of a partition."""

    def make_writer(settings: Settings, identity: str) -> Writer:
        return Writer(settings, identity, make=broker.producer)

    loop = Loop(SETTINGS, "t", partitions=1, make_writer=make_writer)
    loop.share._known[0] = Partition(0, 1000)
    batch: Any = [Record(offset, event) for offset, event in enumerate(events)]
    return loop, loop._write(Consumer(), {0: batch})


def written(broker: Broker, topic: str) -> list[Out]:
    """The committed records of a topic."""
    return [record for record in broker.log if record.topic == topic]


def huge(event: Event) -> Event:
    """The event with texts that no sound one has."""
    wrong = {
        field: "z" * HUGE
        for field in ("queue_id", "wrapup_code", "purpose", "disconnect_type")
        if getattr(event, field) is not None
    }
    return msgspec.structs.replace(event, **wrong)


def poisoned() -> list[Event]:
    """A flow with huge texts, and a sound one in the same partition."""
    sound = [
        msgspec.structs.replace(event, conversation_id="sound", event_id=event.event_id[::-1])
        for event in case(FLOW)
    ]
    return [huge(event) for event in case(FLOW)] + sound


@pytest.mark.parametrize("limit", [10**9, 1_048_588, 100_000, 20_000])
def test_a_view_that_is_too_large_is_shortened(limit: int) -> None:
    """By the client's limit or the topic's; the rest of the batch and the offsets go on."""
    broker = Broker(limit)
    events = poisoned()
    with capture_logs() as lines:
        loop, failed = projected(broker, events)
    assert failed is None
    assert broker.offsets[0].offset == len(events)
    views = {view.key: view for view in written(broker, SETTINGS.conversations_topic)}
    assert set(views) == {event.conversation_id for event in events}
    for view in views.values():
        jsonschema.validate(msgspec.json.decode(view.value or b""), view_schema())
        assert view.size <= limit
        kept = dict(view.headers or ())[KEPT_HEADER]
        assert loop.share.partition(0).kept[view.key] == kept
        assert len(read_kept(kept).legs) == len(msgspec.json.decode(view.value or b"")["legs"])
    sound = [e.event_id for e in events if e.conversation_id == "sound"]
    once = [
        msgspec.json.decode(r.value or b"")["event_id"]
        for r in written(broker, SETTINGS.once_topic)
    ]
    assert [event_id for event_id in once if event_id in sound] == sound
    assert loop.shortened == 1
    assert [line["event"] for line in lines].count("view_shortened") <= 1
    program = Projector(SETTINGS)
    program._loop = loop
    assert any("too large for Kafka" in reason for reason in program.health().reasons)


def test_another_projector_goes_on_from_a_shortened_view() -> None:
    """What it restores counts the same events; a repeat changes nothing."""
    broker, events = Broker(), poisoned()
    loop, _ = projected(broker, events)
    fresh = Partition(0, 1000)
    for message in written(broker, SETTINGS.conversations_topic):
        kept = dict(message.headers or ())[KEPT_HEADER]
        fresh.restore(message.key, kept, is_tombstone=message.value is None)
    assert fresh.kept == loop.share.partition(0).kept
    conversation = Conversation.of(fresh.kept[events[0].conversation_id])
    for event in case(FLOW):
        assert not conversation.take(event, bytes.fromhex(event.event_id))[0]


def test_an_event_that_is_too_large_for_the_once_topic_is_left_out() -> None:
    """It was taken by a topic with a larger limit. Counted, logged once, and health says so."""
    events = [msgspec.structs.replace(e, linked_conversation_id="z" * 2 * HUGE) for e in case(FLOW)]
    broker = Broker()
    with capture_logs() as lines:
        loop, failed = projected(broker, [*events, *poisoned()[len(events) :]])
    assert failed is None
    assert loop.refused == len(events)
    assert broker.begun == 1
    assert len(written(broker, SETTINGS.once_topic)) == len(events)
    assert [line["event"] for line in lines].count("record_left_out") == 1
    program = Projector(SETTINGS)
    program._loop = loop
    assert program.health().health != "ok"
    assert any("refuses them for good" in reason for reason in program.health().reasons)


def test_records_that_cannot_be_read_are_told_for_an_hour() -> None:
    """One record of another program must not degrade the projector until its next start. The
    metrics keep the count, and the next such record is told again."""
    now = [1000.0]
    loop, _ = projected(Broker(), case(FLOW))
    program = Projector(SETTINGS, clock=lambda: now[0])
    program._loop = loop
    loop.share.joined = True
    assert program.health().health == "ok"
    for count in (1, 2):
        loop.unreadable = count
        (reason,) = program.health().reasons
        assert reason.startswith(f"{counted(count, 'record')} could not be read")
        now[0] += STRAY_SECONDS - 1
        assert program.health().reasons == (reason,)
        now[0] += 1
        assert program.health().health == "ok"


def test_a_refused_partition_that_went_to_another_projector_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each question places all partitions anew, which drops what was fetched of them."""
    loop = Loop(SETTINGS, "p", partitions=2)
    asked: list[set[int]] = []
    monkeypatch.setattr(loop.share, "renew", lambda _, numbers: asked.append(set(numbers)))
    loop.share.assigned = {0: 0.0, 1: 0.0}
    loop._refused = {0: "no right", 1: "no right"}
    loop._ask_again(None)
    assert asked == [{0, 1}]
    del loop.share.assigned[0], loop.share.assigned[1]
    loop._ask_at = 0.0
    loop._ask_again(None)
    assert asked == [{0, 1}]


def test_a_conversation_whose_key_is_too_large_is_left_out() -> None:
    """No view of it can be written."""
    broker = Broker()
    events = [msgspec.structs.replace(e, conversation_id="k" * 2 * HUGE) for e in case(FLOW)]
    loop, failed = projected(broker, [*events, *case("H15_rest_chat_customer_only_2021")])
    assert failed is None
    assert loop.refused == len(events) + 1
    assert len(written(broker, SETTINGS.conversations_topic)) == 1


@pytest.mark.parametrize("code", BY_RECORD)
def test_one_record_that_brokers_refuse_is_found_in_its_batch(code: int) -> None:
    """Whatever the reason; the second time it costs no transaction."""
    left_out: list[int] = []
    broker = Broker(poison=b"poison", code=code)
    records = [
        Out(
            "once",
            0,
            b"k",
            b"poison" if number in {70, 400} else b"%d" % number,
            [("n", b"%d" % number)],
            smaller=partial(left_out.append, number),
        )
        for number in range(500)
    ]
    writer = Writer(SETTINGS, "t", make=broker.producer)
    writer.write(records, [], None)
    assert left_out == [70, 400]
    assert [r.value for r in broker.log] == [r.value for r in records if r.value != b"poison"]
    begun = broker.begun
    writer.write(records, [], None)
    assert broker.begun == begun + 1


def test_a_topic_with_a_small_limit_is_learned() -> None:
    """Batches are divided until they fit, and the next ones fit at once."""
    broker = Broker(limit=50_000)
    records = [Out("once", 0, b"k", b"x" * 1000, None) for _ in range(500)]
    writer = Writer(SETTINGS, "t", make=broker.producer)
    writer.write(records, [], None)
    begun = broker.begun
    writer.write(records, [], None)
    assert (len(broker.log), broker.begun) == (1000, begun + 1)


def test_what_is_no_fault_of_a_record_aborts() -> None:
    """As ever: the partition waits."""
    broker = Broker(poison=b"1", code=KafkaError.NOT_ENOUGH_REPLICAS)
    writer = Writer(SETTINGS, "t", make=broker.producer)
    with pytest.raises(Aborted):
        writer.write([Out("once", 0, b"k", b"1", None)], [], None)
    assert broker.begun == 1


def test_each_step_keeps_less() -> None:
    """The last one has no leg; none cuts a time or a role."""
    for before, after in pairwise(BOUNDS):
        assert after.text <= before.text
        assert after.legs < before.legs
        assert after.ids < before.ids
    assert BOUNDS[-1].legs == 0
    assert BOUNDS[-1].text >= len("2026-11-23T10:00:00.123Z")
