"""No personal value is anywhere but where `MIRROR_PII` puts it, in a mirror that runs.

Coordinator, listeners and janitor read conversations full of generated names, numbers, addresses
and attributes, in every field that Genesys' classes have, in REST answers, and in frames that are
broken in many ways. Then every byte that they left is searched: Kafka (all topics, keys, values,
headers), Redis, logs at level `debug`, metrics and health. Only dead letters that are no JSON are
exempt: they are kept as they came.

The same mirror serves for what else shows only in whole processes: produced records against the
schema and by way of a schema registry, dead letters by command, the rule of one tenth, agents'
states. Does not show what the operating system keeps: core dumps, swap, packets.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import jsonschema
import msgspec
import pytest
from confluent_kafka.serialization import MessageField, SerializationContext

from harness.deployment import Deployment
from harness.process import wait_until
from mirror.conversation.schema import agent_event_schema, event_schema
from mirror.fleet.names import read_names
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.settings import load
from tests.integration.small_mirror import HOSTS, headers_of, small_mirror, traces
from tests.schemas import generate
from tests.services.registry import SchemaRegistry

MARK: Final = "zq7x"  # in every value that this test makes up
KEY: Final = "a key that nobody knows"
SCENARIOS = ("inbound_call", "email", "callback", "message", "chat")
NESTED = "ConversationEventTopicConversation"
MODES: dict[str, dict[str, str]] = {
    "drop": {"MIRROR_PII": "drop", "MIRROR_ENCODING": "json"},
    "hash": {"MIRROR_PII": "hash", "MIRROR_PII_KEY": KEY, "MIRROR_ENCODING": "msgpack"},
}
DECODERS: dict[bytes, Callable[[bytes], Any]] = {
    b"application/json": msgspec.json.decode,
    b"application/msgpack": msgspec.msgpack.decode,
}
HAS_CLIENT = [int(part) for part in version("confluent-kafka").split(".")[:2]] >= [2, 16]
only_drop = pytest.mark.parametrize("lived", ["drop"], indirect=True)


def value(field: str) -> str:
    """A personal value for a field; the few free texts that events carry are none."""
    if field in {"purpose", "code"}:
        return "customer" if field == "purpose" else "w-1"
    if field == "attributes":
        return f"name.{field}"  # names of attributes are not personal
    return f"{MARK} Zoë {field} +15550{len(field):05d} <zoe@{MARK}.example>"


def personal_body(number: int, state: str) -> dict[str, Any]:
    """A conversation with a personal value in every field that may hold text."""
    body = generate.filled(NESTED, value)
    body["id"] = f"mirror-up-{number}"
    person = body["participants"][0]
    person["id"] = f"mirror-up-person-{number}"
    person["attributes"] = {"crm.account": value("account"), "card": value("card")}
    for legs in person.values():
        for leg in legs if isinstance(legs, list) else ():
            if isinstance(leg, dict) and "state" in leg:
                leg["state"] = state
    return body


def frame(topic: str, body: Any) -> bytes:
    """A notification, in UTF-8 as Genesys sends it."""
    envelope = {"topicName": topic, "version": "2", "eventBody": body}
    return json.dumps({**envelope, "metadata": {"CorrelationId": "corr"}}).encode()


def broken(topic: str) -> list[bytes]:
    """Frames that are wrong in every way that the contract names, all with personal values."""
    body = personal_body(1, "connected")
    whole = frame(topic, body)
    presence = topic.replace(".conversations", ".presence")
    wrong: list[Any] = []
    text = value("odd")
    for change in (
        {"name": {text: text}},
        {"attributes": [text]},
        {"attributes": {text: {text: text}}},
        {"connectedTime": text},
        {"connectedTime": 17, "address": [text]},
        {"calls": text},
        {"wrapup": [text]},
        {"queueId": {text: text}},
    ):
        person = {**body["participants"][0], **change}
        wrong.append({**body, "participants": [person, text]})
    wrong += [{**body, "id": None}, {**body, "id": {text: text}}, {**body, "participants": text}]
    return [
        *(frame(topic, body) for body in wrong),
        whole[: len(whole) // 2],
        whole.replace(b"<zoe@", b"\xff\xfe<zoe@"),
        whole.replace(b'"wrapupTimeoutMs": 2147483648', b'"wrapupTimeoutMs": NaN'),
        whole + text.encode(),
        json.dumps([text]).encode(),
        json.dumps(text).encode(),
        json.dumps({"eventBody": body}).encode(),
        json.dumps({"topicName": {text: text}, "eventBody": body}).encode(),
        text.encode(),
        frame(presence, {"message": text, "presence": text}),
        frame(presence, {"routingStatus": {"status": [text]}}),
    ]


def is_json(raw: bytes) -> bool:
    """Whether a strict reader takes it."""
    try:
        msgspec.json.decode(raw)
        raw.decode()
    except (msgspec.DecodeError, ValueError):
        return False
    return True


class Lived:
    """A mirror after all that happened in it."""

    def __init__(self, mode: str, rooms: Deployment, registry: SchemaRegistry) -> None:
        self.mode, self.mirror, self.registry = mode, rooms, registry
        self.user = rooms.org.get("/api/v2/users?pageSize=1")["entities"][0]["id"]
        self.topic = f"v2.users.{self.user}.conversations"
        self.sent: list[bytes] = []
        self.values: set[str] = set()
        self._play()
        self._send()

    def _play(self) -> None:
        """Conversations of the simulator, to their ends, and what it knows of their people."""
        org = self.mirror.org
        begun: list[str] = []
        for scenario in SCENARIOS:
            order = {"action": "spawn", "scenario": scenario, "count": 2}
            begun += org.post("/_sim/control", order)["conversation_ids"]
        org.drain(40.0)
        for conversation in begun:
            self._note(org.get(f"/api/v2/conversations/{conversation}"))

        def over() -> bool:
            ends = {e.conversation_id for e in self.mirror.events() if e.event_type == "end"}
            return ends >= set(begun)

        wait_until(over, 20.0, "the ends of all conversations in Kafka")

    def _note(self, conversation: dict[str, Any]) -> None:
        for person in conversation["participants"]:
            if person["purpose"] == "customer":
                found = [person.get("name"), person.get("address"), *person["attributes"].values()]
                legs = [leg for legs in person.values() if isinstance(legs, list) for leg in legs]
                for leg in legs:
                    found += [leg.get("subject"), leg.get("callbackUserName")]
                    found += leg.get("callbackNumbers", ())
                self.values |= {text for text in found if text}

    def _send(self) -> None:
        """Frames of this test: full of personal values, then broken."""
        for number in range(3):
            for state in ("connected", "disconnected"):
                self._frame(frame(self.topic, personal_body(number, state)))
        assert self.mirror.records(self.mirror.env["MIRROR_DEAD_LETTER_TOPIC"]) == []
        self.bury()

    def bury(self) -> None:
        """Send every broken frame, and wait until each replica has buried it."""
        frames = broken(self.topic)
        self.sent += frames
        for raw in frames:
            self._frame(raw)
        wait_until(
            lambda: (
                len(self.mirror.records(self.mirror.env["MIRROR_DEAD_LETTER_TOPIC"]))
                >= self.letters()
            ),
            20.0,
            "dead letters of all broken frames",
        )

    def letters(self) -> int:
        """How many dead letters there must be: each replica buries what it received."""
        return len(HOSTS) * len(self.sent)

    def _frame(self, raw: bytes) -> None:
        for channel in self.mirror.org.get("/_sim/channels")["channels"]:
            order = {"channel": channel["id"], "raw_base64": base64.b64encode(raw).decode()}
            assert self.mirror.org.post("/_sim/frames", order)["sockets"] == 1


@pytest.fixture(scope="module", params=sorted(MODES))
def lived(
    request: pytest.FixtureRequest, kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lived]:
    """One mirror for each mode, for all tests of this module."""
    mode = str(request.param)
    folder: Path = tmp_path_factory.mktemp(mode)
    settings = {**MODES[mode], "MIRROR_SUBSCRIBE": "queues,users,agents"}
    with ExitStack() as stack:
        registry = stack.enter_context(SchemaRegistry())
        if settings["MIRROR_ENCODING"] == "json" and HAS_CLIENT:
            settings["SCHEMA_REGISTRY_URL"] = registry.url
        rooms = stack.enter_context(small_mirror(folder, kafka, settings, "--speed", "30"))
        yield Lived(mode, rooms, registry)


def test_no_personal_value_is_left_anywhere(lived: Lived) -> None:
    """Not one of them, in no spelling of JSON or MessagePack, in any place or log."""
    values = {MARK, *lived.values}
    assert len(values) > 15, "the simulator made up people"
    needles = {form for text in values for form in (text.encode(), json.dumps(text)[1:-1].encode())}
    letters = lived.mirror.records(lived.mirror.env["MIRROR_DEAD_LETTER_TOPIC"])
    masked = [letter for letter in letters if "mirror.errors.masked" in headers_of(letter)]
    assert {headers_of(letter)["mirror.errors.masked"].decode() for letter in masked} == {
        lived.mode
    }
    assert len(masked) == len(HOSTS) * sum(map(is_json, lived.sent)), (
        "all that is JSON, and no other"
    )
    for letter in masked:
        assert MARK.encode() not in letter.value()
    kept = {letter.value() for letter in letters if letter not in masked}
    assert kept == {raw for raw in lived.sent if not is_json(raw)}, "as they came"
    assert any(MARK.encode() in value for value in kept), "there was something to hide"
    places = 0
    for place, content in traces(lived.mirror):
        places += 1
        assert not [needle for needle in needles if needle in content], (place, content[:400])
    assert places > 300
    listed, said = lived.mirror.command("dlq", "list", "--json")
    for shown in (listed, said.encode(), lived.mirror.command("conversations", "--json")[0]):
        assert not [needle for needle in needles if needle in shown]


def test_what_is_told_of_people_is_what_the_mode_allows(lived: Lived) -> None:
    """Nothing under `drop`; keyed HMAC-SHA-256 of the values, cut to 32 digits, under `hash`."""
    events = [e for e in lived.mirror.events() if e.conversation_id.startswith("mirror-up")]
    legs = [event for event in events if event.participant_id is not None]
    assert legs
    fields = ("address", "participant_name")
    if lived.mode == "drop":
        assert {getattr(event, name) for event in events for name in fields} == {None}
        assert {event.attributes for event in events if event.attributes} == set()
        return
    names = {hmac.new(KEY.encode(), value("name").encode(), hashlib.sha256).hexdigest()[:32]}
    assert {event.participant_name for event in legs} == names
    assert all(set(event.attributes or ()) == {"crm.account", "card"} for event in legs)


def test_agents_are_named_as_the_mode_allows(lived: Lived) -> None:
    """Names of queues are kept; those of people are left out under `drop`, hashed under `hash`."""
    settings = load(lived.mirror.env)
    keys = Keys(settings.namespace)
    users = lived.mirror.org.get("/api/v2/users?pageSize=100")["entities"]
    queues = lived.mirror.org.get("/api/v2/routing/queues?pageSize=100")["entities"]
    with connect(settings) as client:
        assert read_names(client, keys, "queues") == {
            queue["id"]: queue["name"] for queue in queues
        }
        kept = read_names(client, keys, "users")
    hashed = {
        user["id"]: hmac.new(KEY.encode(), user["name"].encode(), hashlib.sha256).hexdigest()[:32]
        for user in users
    }
    assert kept == ({} if lived.mode == "drop" else hashed)
    for place, content in traces(lived.mirror):
        if place.startswith("Redis"):
            assert users[0]["name"].encode() not in content, place


def test_produced_records_fit_their_schemas(lived: Lived) -> None:
    """What lies in Kafka, in either encoding, is valid to a validator that is not ours."""
    for setting, schema in (
        ("MIRROR_TOPIC", event_schema()),
        ("MIRROR_AGENTS_TOPIC", agent_event_schema()),
    ):
        validator = jsonschema.Draft202012Validator(
            schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        )
        records = lived.mirror.records(lived.mirror.env[setting])
        assert records
        for record in records:
            headers = headers_of(record)
            document = DECODERS[headers["content-type"]](record.value())
            validator.validate(document)
            assert headers["ce_id"].decode() == document["event_id"]
            assert headers["ce_time"].decode() == document["occurred_at"]
            key = "user_id" if "user_id" in document else "conversation_id"
            assert record.key().decode() == document[key]


@only_drop
@pytest.mark.skipif(not HAS_CLIENT, reason="the client needs confluent-kafka 2.16")
def test_confluents_deserialiser_reads_what_was_produced(lived: Lived) -> None:
    """From records to dictionaries, by the GUID in each record's header, on both topics."""
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.json_schema import JSONDeserializer

    client = SchemaRegistryClient({"url": lived.registry.url})
    deserialize = JSONDeserializer(None, schema_registry_client=client)
    for setting in ("MIRROR_TOPIC", "MIRROR_AGENTS_TOPIC"):
        topic = lived.mirror.env[setting]
        assert lived.registry.subjects[f"{topic}-value"]
        for record in lived.mirror.records(lived.mirror.env[setting]):
            context = SerializationContext(topic, MessageField.VALUE, record.headers())
            assert deserialize(record.value(), context) == msgspec.json.decode(record.value())


def test_agents_states_reach_their_own_topic(lived: Lived) -> None:
    """With `agents` subscribed: both kinds, of users of the org, keyed by them, once an id each."""
    users = {user["id"] for user in lived.mirror.org.get("/api/v2/users?pageSize=100")["entities"]}
    states = []
    for record in lived.mirror.records(lived.mirror.env["MIRROR_AGENTS_TOPIC"]):
        headers = headers_of(record)
        states.append(DECODERS[headers["content-type"]](record.value()))
        assert headers["ce_type"].decode() == f"genesys.agent.{states[-1]['event_type']}"
    assert {state["user_id"] for state in states} <= users
    assert {state["event_type"] for state in states} == {"presence", "routing_status"}
    by_id: dict[str, set[tuple[str | None, ...]]] = {}
    for state in states:
        said = (state["user_id"], state["presence"], state["routing_status"])
        by_id.setdefault(state["event_id"], set()).add(said)
    assert {len(said) for said in by_id.values()} == {1}
    assert len(by_id) < len(states), "two replicas give each state twice"


@only_drop
def test_dead_letters_are_listed_shown_and_retried(lived: Lived) -> None:
    """`dlq list` names all, `show` gives their bytes, `retry` the events under their old ids."""
    listed = json.loads(lived.mirror.command("dlq", "list", "--json")[0])["dead_letters"]
    assert len(listed) == lived.letters()
    assert {letter["errors"]["stage"] for letter in listed} == {"decode", "schema", "conversation"}
    shown = set()
    partial = garbage = ""
    for record in lived.mirror.records(lived.mirror.env["MIRROR_DEAD_LETTER_TOPIC"]):
        letter = f"{record.partition()}-{record.offset()}"
        shown.add(record.value())
        headers = headers_of(record)
        assert headers["mirror.errors.listener"]
        if b'"attributes": ["' in record.value():
            partial = letter
            assert headers["mirror.errors.masked"] == b"drop"
        elif headers["mirror.errors.stage"] == b"decode":
            garbage = letter
    assert {raw for raw in lived.sent if not is_json(raw)} < shown
    raw, said = lived.mirror.command("dlq", "show", partial)
    assert raw.rstrip(b"\n") in shown
    assert "stage: schema" in said
    before = lived.mirror.events()
    told, _ = lived.mirror.command("dlq", "retry", partial)
    assert b" events, personal fields stay masked" in told
    after = lived.mirror.events()
    assert len(after) > len(before)
    repeated = {e.event_id for e in after if e.origin != "snapshot"}
    assert repeated == {e.event_id for e in before if e.origin != "snapshot"}
    told, said = lived.mirror.command("dlq", "retry", garbage, expect=1)
    assert b"masked" not in told
    assert said.startswith("mirror: 1 of 1 letter brought no event: ")
    lived.mirror.command("dlq", "show", "0-999999", expect=1)


@only_drop
def test_a_listener_says_when_a_tenth_of_its_frames_are_dead(lived: Lived) -> None:
    """In health, metrics and log, while its sockets go on."""
    for _ in range(4):
        lived.bury()

    def say_so() -> bool:
        said = [lived.mirror.health(host) for host in HOSTS]
        return all("dead letters" in str(status["reasons"]) for status in said)

    wait_until(say_so, 10.0, "both listeners to say so")
    for host in HOSTS:
        assert lived.mirror.health(host)["health"] == "degraded"
        assert b'mirror_health{state="degraded"} 1.0' in lived.mirror.http(host, "/metrics")
        assert '"many_dead_letters"' in lived.mirror.processes[host].stderr
    seen = len(lived.mirror.events())
    order = {"action": "spawn", "scenario": "chat", "count": 1}
    lived.mirror.org.post("/_sim/control", order)
    wait_until(lambda: len(lived.mirror.events()) > seen, 20.0, "events as ever")
