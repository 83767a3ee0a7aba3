"""Schemas at a registry, and the header that names them.

The registry is a small one of the tests (`tests.services.registry`): a real one cannot be had from
package registries. The client is confluent-kafka's. How its deserialiser reads what listeners
produced is in test_personal_data.py, where a whole mirror runs.
"""

from __future__ import annotations

import struct
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any

import msgspec
import pytest

from harness.kafka_topics import read_topic
from harness.process import free_ports
from janitor.producer import AckedProducer
from mirror.base.errors import RegistryUnavailable, SettingsError
from mirror.checks.finding import CHECKS
from mirror.checks.registry import check_registry
from mirror.conversation.event import Event
from mirror.conversation.schema import event_schema, view_schema
from mirror.kafka import registry
from mirror.kafka.record import AgentRecorder, Recorder
from mirror.settings import Settings, load
from tests.integration.small_mirror import headers_of
from tests.services.registry import SchemaRegistry

if [int(part) for part in version("confluent-kafka").split(".")[:2]] < [2, 16]:
    pytest.skip("the client needs confluent-kafka 2.16", allow_module_level=True)

EVENT = Event(
    event_id="0" * 32,
    event_type="start",
    conversation_id="c-1",
    state="active",
    occurred_at="2026-11-23T10:00:00.000Z",
    received_at="2026-11-23T10:00:00.000Z",
)


def settings(url: str, **more: str) -> Settings:
    """Settings of a mirror with a registry."""
    return load({"SCHEMA_REGISTRY_URL": url, "MIRROR_TOPIC": "interactions", **more})


@pytest.fixture
def running() -> Iterator[Callable[..., SchemaRegistry]]:
    """Makes registries that run until the test ends."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(SchemaRegistry(**options))


def test_schemas_are_registered_once_for_each_topic(
    running: Callable[..., SchemaRegistry],
) -> None:
    """Under `<topic>-value`, as JSON Schema; a second process adds nothing."""
    server = running()
    here = settings(server.url, MIRROR_SUBSCRIBE="users,agents")
    first, again = registry.register(here, 5.0), registry.register(here, 5.0)
    assert first == again
    assert set(first) == {"interactions", "genesys-agents"}
    assert server.subjects == {"interactions-value": [1], "genesys-agents-value": [2]}
    assert [schema["schemaType"] for schema in server.schemas] == ["JSON", "JSON"]
    assert msgspec.json.decode(server.schemas[0]["schema"]) == event_schema()
    name, value = first["interactions"]
    assert name == "__value_schema_id"
    assert value == b"\x01" + uuid.UUID(server.schemas[0]["guid"]).bytes


def test_schemas_of_the_projector_are_registered(running: Callable[..., SchemaRegistry]) -> None:
    """The event's for the once topic, whose records keep their header, and the view's."""
    server = running()
    made = registry.register_views(settings(server.url), 5.0)
    assert set(made) == {"genesys-interactions.once", "genesys-conversations"}
    schemas = [msgspec.json.decode(schema["schema"]) for schema in server.schemas]
    assert schemas == [event_schema(), view_schema()]
    assert registry.register_views(load({"HOME": "/root"}), 5.0) == {}


def test_a_registry_without_guids_gives_numbers(running: Callable[..., SchemaRegistry]) -> None:
    """As those before Confluent Platform 8.0 do: the header's other form."""
    (header,) = registry.register(settings(running(guids=False).url), 5.0).values()
    assert header == ("__value_schema_id", struct.pack(">bI", 0, 1))


def test_nothing_is_asked_without_a_registry() -> None:
    """Off by default; records are as ever."""
    assert registry.register(load({}), 5.0) == {}
    names = [name for name, _ in Recorder("t", "r", "json").headers(EVENT)]
    assert names[-1] == "content-type"


def test_credentials_are_sent_and_asked_for(running: Callable[..., SchemaRegistry]) -> None:
    """Basic authentication; a refusal is told at once, without them."""
    server = running(user="me:open-sesame")
    pair = {"SCHEMA_REGISTRY_KEY": "me", "SCHEMA_REGISTRY_SECRET": "open-sesame"}
    assert registry.register(settings(server.url, **pair), 5.0)
    began = time.monotonic()
    with pytest.raises(RegistryUnavailable, match="SCHEMA_REGISTRY_KEY") as refused:
        registry.register(settings(server.url, **{**pair, "SCHEMA_REGISTRY_SECRET": "no"}), 60.0)
    assert time.monotonic() - began < 10.0
    assert "open-sesame" not in str(refused.value)


@pytest.mark.parametrize(("status", "word"), [(409, "compatib"), (422, "422"), (404, "404")])
def test_a_refused_schema_is_told_in_one_line(
    running: Callable[..., SchemaRegistry], status: int, word: str
) -> None:
    """What the registry does not take now, it will not take later: no waiting."""
    with pytest.raises(RegistryUnavailable, match=word) as refused:
        registry.register(settings(running(refuse=status).url), 60.0)
    assert "\n" not in str(refused.value)


def test_a_registry_that_is_away_is_awaited() -> None:
    """For as long as start-up may take, then it is told; one that comes back is used."""
    (port,) = free_ports(1)
    with pytest.raises(RegistryUnavailable, match="does not answer"):
        registry.register(settings(f"http://127.0.0.1:{port}"), 1.5)
    with SchemaRegistry(refuse=503) as server, pytest.raises(RegistryUnavailable, match="503"):
        registry.register(settings(server.url), 1.5)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"SCHEMA_REGISTRY_URL": "http://me:open-sesame@host"}, "SCHEMA_REGISTRY_URL"),
        ({"SCHEMA_REGISTRY_KEY": "me"}, "SCHEMA_REGISTRY_SECRET"),
        ({"SCHEMA_REGISTRY_CA": "/no/such/file"}, "SCHEMA_REGISTRY_CA"),
        ({"MIRROR_ENCODING": "msgpack"}, "MIRROR_ENCODING"),
    ],
)
def test_settings_that_cannot_work_are_refused(more: dict[str, str], word: str) -> None:
    """Before anything starts, and without an echo of a secret."""
    with pytest.raises(SettingsError, match=word) as refused:
        load({"SCHEMA_REGISTRY_URL": "http://host", **more})
    assert "open-sesame" not in str(refused.value)


def test_janitor_and_agents_carry_the_header_too(kafka: str, make_topic: Any) -> None:
    """Whoever produces to a topic says which schema its values have."""
    topic = make_topic()
    header = ("__value_schema_id", b"\x01" + bytes(16))
    here = load({"KAFKA_BOOTSTRAP_SERVERS": kafka, "MIRROR_TOPIC": topic})
    producer = AckedProducer(here, {topic: header})
    producer.send([EVENT])
    producer.close()
    (record,) = read_topic(kafka, topic, count=1)
    assert headers_of(record)[header[0]] == header[1]
    assert AgentRecorder("t", "r", "json", header)._schema == header


def test_doctor_looks_at_the_registry(running: Callable[..., SchemaRegistry]) -> None:
    """One finding where a registry is set, none without; looking registers nothing."""
    server = running(user="me:open-sesame")
    assert list(check_registry(load({}))) == []
    pair = {"SCHEMA_REGISTRY_KEY": "me", "SCHEMA_REGISTRY_SECRET": "open-sesame"}
    (well,) = check_registry(settings(server.url, **pair))
    (ill,) = check_registry(settings(server.url))
    assert (well.ok, ill.ok) == (True, False)
    assert {well.check, ill.check} <= set(CHECKS)
    assert ill.cure
    assert server.subjects == {}
