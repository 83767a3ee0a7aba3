"""The native reader and the normaliser give the same records, to the byte."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.traffic import KINDS, Kind, build
from mirror.conversation.times import show_epoch
from mirror.settings.model import Encoding
from simulator.frames import encode_body, envelope
from simulator.scenarios import SCENARIOS
from tests import schemas
from tests.schemas import generate
from tests.unit.conversation import golden
from tests.unit.conversation.build import at
from tests.unit.conversation.histories import History, deliveries, histories
from tests.unit.conversation.test_cases import case, names
from tests.unit.conversation.world import QUEUE
from tests.unit.native.twins import Message, Twins
from tests.unit.simulator.theatre import perform

USER_TOPIC = "v2.users.9a3fd6ab-4e5d-4e4c-8d26-2b8bb0b9c1f5.conversations"
CONVERSATIONS = 40
LATE_FRAMES = 400.0  # places that a frame can be late by
SHARE = 0.2  # of frames that Python reads in any case
TAKEN = 0.8  # of the frames of a usual stream that the native reader must take
SEEDS = 3
BODIES = 4
EXAMPLES = settings().max_examples

Order = Literal["in order", "mixed up"]


@cache
def payloads(kind: Kind, seed: int) -> list[bytes]:
    """A stream as of a small organisation."""
    return build(kind, 2_000, CONVERSATIONS, seed).payloads


def stream(kind: Kind, order: Order, seed: int) -> Iterator[Message]:
    """Frames with their times: all in order, or late, lost and repeated."""
    rng = random.Random(f"{kind} {seed}")
    frames = list(payloads(kind, seed))
    if order == "mixed up":
        late = sorted(
            (number + rng.random() * LATE_FRAMES, frame) for number, frame in enumerate(frames)
        )
        frames = [frame for _, frame in late if rng.random() > 0.05]
    for number, raw in enumerate(frames):
        yield raw, show_epoch(1_790_000_000 + number / 100), number / 100


@pytest.mark.parametrize("share", [0.0, SHARE])
@pytest.mark.parametrize("order", ["in order", "mixed up"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_streams_give_the_same_records(kind: Kind, order: Order, share: float, seed: int) -> None:
    """Late, lost and repeated frames, interruptions, conversations lent back and forth."""
    encoding: Encoding = "msgpack" if seed % 2 else "json"
    twins = Twins(encoding, schema=bool(seed % 2), share=share, seed=seed)
    rng = random.Random(seed)
    ids = set()
    for message in stream(kind, order, seed):
        if rng.random() < 0.01:
            twins.interrupt()
        twins.read([message])
        ids.add(json.loads(message[0])["eventBody"]["id"])
    twins.compare_memory(ids)
    if not share:
        assert twins.taken > TAKEN * (twins.taken + twins.left)


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_scenarios_give_the_same_records(scenario: str) -> None:
    """Whatever the simulator can play, from several seeds, with and without lending."""
    for seed in range(SEEDS):
        for share in (0.0, SHARE):
            twins = Twins(share=share, seed=seed)
            played = perform(scenario, seed)
            for number, ((body, _), sent) in enumerate(
                zip(played.frames, played.sent_ms, strict=True)
            ):
                raw = envelope(USER_TOPIC, encode_body(body), f"correlation-{number}")
                twins.read([(raw, show_epoch((sent + 150) / 1000), sent / 1000)])
                if number % 5 == 4:
                    twins.interrupt()


@pytest.mark.parametrize("name", names())
def test_cases_give_the_same_records(name: str) -> None:
    """The frames among the cases; what is read by REST is Python's in any case."""
    twins = Twins()
    for _ in range(2):
        for number, item in enumerate(case(name)):
            raw = json.dumps(item.get("body", item)).encode()
            for body in (raw, msgspec.json.encode(json.loads(raw))):
                twins.read([(body, at(10_000 * number), float(number))])


@pytest.mark.parametrize(
    "name", sorted(path.name for path in golden.ROOT.glob("recordings/*.json"))
)
def test_recordings_give_the_same_records(name: str) -> None:
    """Every JSON object in a recording, as if it were a frame."""
    twins = Twins()
    document = json.loads((golden.ROOT / "recordings" / name).read_bytes())
    for number, document_ in enumerate(objects(document)):
        twins.read([(msgspec.json.encode(document_), at(number), 0.0)])
        body = {"topicName": USER_TOPIC, "eventBody": document_}
        twins.read([(msgspec.json.encode(body), at(number), 0.0)])


def objects(document: Any) -> Iterator[dict[str, Any]]:
    """All objects within a document, itself first."""
    if isinstance(document, dict):
        yield document
    inner: Sequence[Any] = ()
    if isinstance(document, dict | list):
        inner = list(document.values()) if isinstance(document, dict) else document
    for field in inner:
        yield from objects(field)


@given(st.data())
def test_histories_give_the_same_records(data: st.DataObject) -> None:
    """Of one conversation, delivered late, twice, or not at all, and read by either."""
    history: History = data.draw(histories())
    order = data.draw(deliveries(history, lossy=data.draw(st.booleans())))
    twins = Twins(share=data.draw(st.sampled_from((0.0, 0.3))), seed=len(order))
    for number, delivery in enumerate(order):
        if delivery.shape in {"rest", "analytics"}:
            twins.interrupt()
            continue
        world = history[delivery.number]
        raw = world.frame(QUEUE) if delivery.shape == "queue" else world.frame()
        twins.read([(raw, at(20_000_000 + number), number / 1000)])
    twins.compare_memory(["c-1"])


@given(st.integers(0, 2**32), st.booleans())
def test_valid_frames_give_the_same_records(seed: int, rest: bool) -> None:
    """Made from the public SDK's model: bodies that contradict one another in every way."""
    rng = random.Random(seed)
    topics = {
        topic: name for topic, name in schemas.topics().items() if topic.endswith("conversations")
    }
    twins = Twins(share=0.2, seed=seed)
    for number in range(BODIES):
        topic, name = rng.choice(sorted(topics.items()))
        body = generate.body(name, rng)
        body["id"] = "c-1"
        for place, participant in enumerate(body.get("participants", ())):
            participant["id"] = f"p-{place}"
        body = plain(body, rng)
        raw = envelope(topic.replace("{id}", "u-1"), encode_body(body), "c")
        twins.read([(raw, at(number), number * (40.0 if rest else 1.0))] * 2)


PYTHON_S = {"consultParticipantId", "associatedConversation", "segments", "startAlertingTime"}


def plain(value: Any, rng: random.Random) -> Any:
    """A body without what only Python reads, but for some of it."""
    if isinstance(value, dict):
        return {
            name: plain(inner, rng)
            for name, inner in value.items()
            if name not in PYTHON_S or rng.random() < 0.01
        }
    if isinstance(value, list):
        return [plain(inner, rng) for inner in value]
    if value in {"transfer.consult", "\U00010000\0"} and rng.random() > 0.05:
        return "transfer"
    return 1.5 if isinstance(value, float) else value


TIMES = tuple(at(number * 1_000) for number in range(4))
STATES = ("connected", "disconnected", "terminated", "alerting", "dialing", "parked", "none", "")
ARRAYS = ("calls", "callbacks", "messages", "emails", "screenMonitorings")
KINDS_OF_END = ("client", "transfer", "transfer.conference", "dndTransfer", "")


@given(st.integers(0, 2**32))
def test_dense_frames_give_the_same_records(seed: int) -> None:
    """Few ids, codes and times, so that all meet: equal times, legs that change places, codes
    that come back, frames that contradict one another."""
    rng = random.Random(seed)
    twins = Twins(share=rng.choice((0.0, 0.2)), seed=seed)
    people: list[dict[str, Any]] = []
    for number in range(10):
        if not people or rng.random() < 0.3:
            people = [dense_participant(place, rng) for place in range(rng.randrange(4))]
        elif people:
            place = rng.randrange(len(people))
            people[place] = dense_participant(place, rng)
        if rng.random() < 0.1:
            twins.interrupt()
        raw = envelope(USER_TOPIC, encode_body({"id": "c-1", "participants": people}), "c")
        twins.read([(raw, at(10_000 + number), float(number))])
    twins.compare_memory(["c-1"])


def dense_participant(place: int, rng: random.Random) -> dict[str, Any]:
    """A participant with communications, of fields that are there or not."""
    made: dict[str, Any] = {"id": f"p-{place if rng.random() < 0.9 else 0}"}
    made["purpose"] = rng.choice(("agent", "user", "customer", "voicemail"))
    made |= some_of(
        rng, 0.4, connectedTime=TIMES, endTime=TIMES, startAcwTime=TIMES, endAcwTime=TIMES
    )
    made |= some_of(rng, 0.6, queueId=("q-1", "q-2", "", None), userId=("u-1", None))
    made |= some_of(rng, 0.05, monitoredParticipantId=("p-0", ""), coachedParticipantId=("p-0",))
    made |= some_of(rng, 0.05, bargedParticipantId=("p-0", "p-1"))
    if rng.random() < 0.4:
        made["wrapup"] = some_of(rng, 0.8, code=("A", "B", "C", ""), endTime=TIMES)
    for array in rng.sample(ARRAYS, rng.choice((1, 1, 2))):
        made[array] = [dense_leg(rng) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    return made


def dense_leg(rng: random.Random) -> dict[str, Any]:
    """A communication."""
    made = some_of(rng, 0.95, id=("l-1", "l-2", "l-3", ""), state=STATES)
    made |= some_of(rng, 0.6, held=(True, False, None), startHoldTime=TIMES, connectedTime=TIMES)
    made |= some_of(rng, 0.4, disconnectedTime=TIMES, disconnectType=KINDS_OF_END, parkTime=TIMES)
    if rng.random() < 0.4:
        made["wrapup"] = some_of(rng, 0.8, code=("A", "B", "C", ""), endTime=TIMES)
    if rng.random() < 0.3:
        words = ("pending", "complete", "skipped", "notApplicable", None)
        made["afterCallWork"] = some_of(rng, 0.7, state=words, startTime=TIMES, endTime=TIMES)
    return made


def some_of(rng: random.Random, share: float, **fields: Sequence[Any]) -> dict[str, Any]:
    """Some of these fields, each with one of its values."""
    return {name: rng.choice(pool) for name, pool in fields.items() if rng.random() < share}


WORDS: tuple[bytes, ...] = (
    *(b"null", b"true", b"17", b"-0.5", b"1e3", b"01", b"123456789012345678", b"[]", b"{}"),
    *(b'""', b'"x"', b'"\\u00e9"', b'"\\n"', b'"\xff"', b'"\x7f"', b'"a/b"', '"é"'.encode()),
    *(b'"2026-02-29T10:00:00.000Z"', b'"2026-11-23T10:00:00Z"', b'"2026-11-30T10:00:00.000Z"'),
    *(b'"disconnected"', b'"connected"', b'"alerting"', b'"agent"', b'"transfer"'),
)


@given(st.data())
def test_mutated_frames_give_the_same_records(data: st.DataObject) -> None:
    """Values replaced, bytes overwritten, members repeated, in frames of one stream."""
    kind = data.draw(st.sampled_from(KINDS))
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    frames = payloads(kind, 1)
    first = rng.randrange(len(frames))
    twins = Twins(share=0.1, seed=first)
    for number in range(12):
        raw = frames[(first + number) % len(frames)]
        for _ in range(rng.randrange(4)):
            raw = mutated(raw, rng)
        twins.read([(raw, at(number), float(number))])
        if rng.random() < 0.3:
            twins.read([(raw, at(number), float(number))])


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """One change somewhere."""
    tokens = [place for place in range(len(raw)) if raw[place : place + 1] == b":"]
    place = rng.choice(tokens) if tokens else 0
    end = min(
        (raw.find(mark, place) for mark in (b",", b"}") if raw.find(mark, place) > 0), default=0
    )
    match rng.randrange(6):
        case 0 | 1 | 2:
            return raw[: place + 1] + rng.choice(WORDS) + raw[end:]
        case 3:  # a member twice
            begin = raw.rfind(b'"', 0, max(0, raw.rfind(b'"', 0, place)))
            member = raw[begin:end]
            return raw[:end] + b"," + member + raw[end:]
        case 4:
            where = rng.randrange(len(raw))
            return raw[:where] + rng.randbytes(rng.randrange(1, 3)) + raw[where + 1 :]
        case _:
            where = rng.randrange(len(raw))
            space = rng.choice((b" ", b"\n", b"", b'"', b"\\", b"{", b"]", b"\xc3"))
            return raw[:where] + space + raw[where:]
