"""Confluent Schema Registry in header mode: one more header names the schema of a record's value.

Off unless `SCHEMA_REGISTRY_URL` is set. A process registers the JSON Schema of its records once, at
its start, under `<topic>-value`, and gives each record the header that Confluent's deserialisers
expect. Values stay plain JSON, so consumers without a registry can still read them. The header is
the same for all records of a topic, so the hot path makes no request and computes nothing.
Registering the same schema again changes nothing, so every process may do it.

The header holds the schema's GUID, or its number if the registry has no GUIDs (Confluent Platform
before 8.0, compatible registries of others). Confluent's deserialisers accept both.

The client is confluent-kafka's own; the extra `registry` installs its other packages. Its time-out
is for one read, so each call has its own deadline (`mirror.base.bounded`). It chooses proxies by
its own rules, not by those of `mirror.genesys.proxy` (docs/tls.md, "A proxy").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from mirror.base.bounded import BoundedCalls, Stuck
from mirror.base.errors import RegistryUnavailable, SettingsError
from mirror.base.extras import how_to_install
from mirror.base.log import logger
from mirror.conversation.schema import agent_event_schema, event_schema, view_schema
from mirror.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

    from mirror.kafka.record import Header

ANSWER_SECONDS: Final = 5
# For a whole call, also if the answer comes byte by byte.
CALL_SECONDS: Final = 10.0
LEAST_CALL_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 1.0
T = TypeVar("T")

HEADER: Final = "__value_schema_id"
_KIND: Final = "JSON"


def register(
    settings: Settings, timeout: float, waits: Callable[[str], object] = str
) -> dict[str, Header]:
    """Register the schemas of this mirror's records. Returns topic → the header of its records.

    Empty without a registry. Tries for `timeout` seconds (0: for ever); `waits` is called with the
    reason of each failure. Raises `RegistryUnavailable` if the registry does not answer or refuses
    us, and at once for an incompatible schema.
    """
    if settings.registry is None:
        return {}
    schemas = {settings.topic: event_schema()}
    if settings.agents:
        schemas[settings.agents_topic] = agent_event_schema()
    return _register_all(settings, schemas, timeout, waits)


def register_views(
    settings: Settings, timeout: float, waits: Callable[[str], object] = str
) -> dict[str, Header]:
    """Like `register`, for the two topics of the projector.

    Records of the once topic keep the header of the source topic. The once topic's own subject is
    for people who look for it.
    """
    if settings.registry is None:
        return {}
    schemas = {settings.once_topic: event_schema(), settings.conversations_topic: view_schema()}
    return _register_all(settings, schemas, timeout, waits)


def _register_all(
    settings: Settings,
    schemas: Mapping[str, dict[str, Any]],
    timeout: float,
    waits: Callable[[str], object],
) -> dict[str, Header]:
    deadline = time.monotonic() + timeout if timeout else None
    calls = _calls()
    return {
        topic: _register(settings, calls, topic, schema, deadline, waits)
        for topic, schema in schemas.items()
    }


def reach(settings: Settings) -> int:
    """The number of subjects in the registry, to see whether the registry answers.

    Raises `RegistryUnavailable`.
    """
    try:
        return _call(settings, _calls(), lambda client: len(client.get_subjects()), CALL_SECONDS)
    except _errors() as error:
        raise RegistryUnavailable(_told(settings, error)) from error


def _calls() -> BoundedCalls:
    return BoundedCalls(library="the schema registry's client")


def _call(
    settings: Settings,
    calls: BoundedCalls,
    ask: Callable[[SchemaRegistryClient], T],
    seconds: float,
) -> T:
    """The result of `ask`, within `seconds`; raises its exceptions and `Stuck`.

    The client is made, used and closed by the same thread: a late call keeps it.
    """

    def work() -> T:
        client = open_registry(settings)
        try:
            return ask(client)
        finally:
            client.close()

    try:
        return calls.make(work, seconds)
    except RuntimeError as error:  # too many are stuck
        raise RegistryUnavailable(_told(settings, error)) from error


def open_registry(settings: Settings) -> SchemaRegistryClient:
    """A client of the registry of `settings`. Makes no request yet.

    Raises `SettingsError` if the extra is missing.
    """
    try:
        import httpx2  # noqa: F401  # which of the HTTP libraries it uses depends on its version
        from confluent_kafka.schema_registry import SchemaRegistryClient
    except ImportError as error:
        raise SettingsError(
            f"SCHEMA_REGISTRY_URL is set, and the package {error.name} is not installed: "
            f"{how_to_install('registry')}"
        ) from error
    registry = settings.registry
    assert registry is not None  # checked by the caller
    configuration: dict[str, Any] = {
        "url": registry.url,
        "timeout": ANSWER_SECONDS,
        "max.retries": 0,
    }
    if registry.key:
        configuration["basic.auth.user.info"] = f"{registry.key}:{registry.secret}"
    if registry.ca:
        configuration["ssl.ca.location"] = registry.ca
    return SchemaRegistryClient(configuration)


def _errors() -> tuple[type[Exception], ...]:
    """The exceptions of a call: the client's own, those of its HTTP library, and a late answer."""
    try:
        import httpx2
        from confluent_kafka.schema_registry import SchemaRegistryError
    except ImportError:  # then `open_registry` has failed, and says so
        return (OSError, Stuck)
    return (SchemaRegistryError, httpx2.HTTPError, OSError, Stuck)


def _register(
    settings: Settings,
    calls: BoundedCalls,
    topic: str,
    schema: dict[str, Any],
    deadline: float | None,
    waits: Callable[[str], object],
) -> Header:
    from confluent_kafka.schema_registry import Schema, SchemaRegistryError
    from confluent_kafka.schema_registry.serde import SchemaId

    text = msgspec.json.encode(schema).decode()
    while True:
        left = CALL_SECONDS if deadline is None else deadline - time.monotonic()
        try:
            found = _call(
                settings,
                calls,
                lambda client: client.register_schema_full_response(
                    f"{topic}-value", Schema(text, _KIND)
                ),
                min(CALL_SECONDS, max(left, LEAST_CALL_SECONDS)),
            )
            break
        except _errors() as error:
            refused = isinstance(error, SchemaRegistryError) and error.http_status_code < 500
            late = deadline is not None and time.monotonic() + PAUSE_SECONDS >= deadline
            if refused or late:
                raise RegistryUnavailable(_told(settings, error)) from error
            waits(_told(settings, error))
            logger("registry").warning("waiting_for_registry", error=_told(settings, error))
            time.sleep(PAUSE_SECONDS)
    named = SchemaId(_KIND, found.schema_id, found.guid)
    return (HEADER, named.guid_to_bytes() if found.guid else named.id_to_bytes())


def _told(settings: Settings, error: Exception) -> str:
    """One line: where, what, and what to do."""
    registry = settings.registry
    subject = f"the schema registry at {registry.url if registry else ''}"
    status = getattr(error, "http_status_code", 0)
    if status in {401, 403}:
        return f"{subject} refuses us ({status}): check SCHEMA_REGISTRY_KEY and its rights"
    if status == 409:
        return (
            f"{subject} finds the event's schema incompatible with the one before (409): "
            "set the compatibility of the subject to NONE, or use a new topic"
        )
    if status:
        return f"{subject} answers {status}: check SCHEMA_REGISTRY_URL"
    if isinstance(error, Stuck | RuntimeError):
        return f"{subject} gives no whole answer in time: check SCHEMA_REGISTRY_URL and any gateway"
    step = "check SCHEMA_REGISTRY_URL and any proxy (docs/tls.md)"
    return f"{subject} does not answer ({type(error).__name__}): {step}"
