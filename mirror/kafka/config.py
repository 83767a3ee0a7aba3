"""Configures librdkafka's clients, and passes their messages on to our log.

`producer_config`, `consumer_config` and `admin_config` turn `Settings.kafka.properties` into client
configurations. The properties that the mirror's promises rest on (idempotence, `acks=all`, the
partitioner of Java clients) cannot be overridden by `KAFKA_CONF_*`; all others can.

librdkafka by itself writes to stderr, and repeats its messages while a broker is away. `ClientLog`
takes its log lines and error callbacks, and passes each kind on to our log at most once in
`REPEAT_AFTER_SECONDS`.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from mirror.base.errors import KafkaUnavailable, SettingsError
from mirror.base.log import logger
from mirror.kafka.faults import cause
from mirror.kafka.files import unusable, variable
from mirror.settings import Settings
from mirror.settings.kafka import OWN_PROPERTIES, VARIABLES

T = TypeVar("T")

# The size of librdkafka's queue; its own default is 1 GiB. Records that do not fit are spooled.
QUEUE_KBYTES: Final = 65_536
QUEUE_MESSAGES: Final = 200_000
# librdkafka gives up a record after this time. It is long on purpose: the publisher notices a
# stalled cluster by itself and takes its records back in order. This is only the last resort.
DELIVERY_TIMEOUT_MS: Final = 300_000
LINGER_MS: Final = 5
# Brokers refuse a batch as a whole, and librdkafka goes on with the records behind it. So younger
# records of a conversation would overtake those that were refused with a record that is too large.
# A record above this size is alone in its batch; smaller ones are never too large for a topic,
# unless its max.message.bytes is smaller. librdkafka's default is 1 MB.
BATCH_BYTES: Final = 65_536
# A transaction that its producer left open blocks readers of committed records for this time, and
# up to ten seconds more until the broker looks. A transaction takes some ten milliseconds, or some
# seconds if a broker is replaced meanwhile.
TRANSACTION_TIMEOUT_MS: Final = 15_000
# For this time a new client assumes that an unknown topic is just being created. After that its
# records come back, to wait in the spool.
UNKNOWN_TOPIC_MS: Final = 5_000
RECONNECT_BACKOFF_MAX_MS: Final = 2_000
SOCKET_TIMEOUT_MS: Final = 15_000

REPEAT_AFTER_SECONDS: Final = 30.0
_MOST_KINDS: Final = 200

_CLIENT_CERTIFICATE: Final = (
    "TLS failed, the broker wants a client certificate or refuses ours: see KAFKA_CLIENT_CERT "
    "and KAFKA_CLIENT_CERT_KEY"
)
# librdkafka's words → ours. librdkafka reports a foreign CA, a foreign host name and an expired
# certificate alike, and also a missing and a refused client certificate.
_TRUST: Final = {
    "certificate verify failed": (
        "TLS failed, the broker's certificate is not accepted: it is expired, for another host "
        "name, or of a CA that neither KAFKA_TRUSTED_CERT nor SSL_CERT_FILE names"
    ),
    "tls alert": _CLIENT_CERTIFICATE,
    "alert certificate required": _CLIENT_CERTIFICATE,  # TLS 1.3 of a newer Java
    "SSL connection closed by peer": (
        "TLS failed, the broker closed the connection, perhaps it speaks none there: see its "
        "listeners and KAFKA_SECURITY_PROTOCOL"
    ),
    "connecting to a SSL broker": (
        "the broker closes plain connections, perhaps it wants TLS: see KAFKA_SECURITY_PROTOCOL"
    ),
    "SASL authentication error": (
        "the broker refuses the user name or password: see KAFKA_SASL_MECHANISM, "
        "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
    ),
}
# Properties that other variables than KAFKA_CONF_* set, or this module.
_OURS: Final = frozenset(
    {"bootstrap.servers", "client.id", "group.id", "security.protocol", "sasl.mechanism"}
)
_SECRET: Final = re.compile(r"password|secret|key|pem|config|token|username")
# Matches names of properties in librdkafka's errors, and not the values that it quotes as well.
_PROPERTY: Final = re.compile(
    r"(?<=`)(?:retries|[a-z]+(?:\.[a-z]+)+)(?=[`=])|(?<=property \")[a-z.]+(?=\")"
    r"|\bsasl\.(?:username|password)\b"
)
_PREFIX: Final = re.compile(r"^Failed to create [a-z ]+: ")
_MECHANISMS: Final = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
# What differs between two errors of the same cause.
_HOW_LONG: Final = re.compile(r" \(after \d+ms in state .*")
# librdkafka's error for EAGAIN and ENOMEM of a thread.
_NO_ROOM: Final = "Failed to create thread"
_CODE: Final = re.compile(r"error|[0-9A-F]{8}|[\w ]+ routines|Type=\w+")
# Properties that are set by variables of another name.
_VARIABLES: Final = {
    "ssl.ca.pem": "KAFKA_TRUSTED_CERT",
    "ssl.certificate.pem": "KAFKA_CLIENT_CERT",
    "ssl.key.pem": "KAFKA_CLIENT_CERT_KEY",
    "ssl.key.location": variable("ssl.key.location"),
}

_FIXED_PRODUCER: Final = {
    "enable.idempotence": "true",
    "acks": "all",
    "partitioner": "murmur2_random",
}


class ClientLog(logging.Handler):
    """Passes librdkafka's log lines and errors on to our log, each kind once in a while.

    Use `ClientLog(part).options()` as keyword arguments of a client. `last_error` is the text of
    its last error.
    """

    def __init__(self, part: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.last_error = ""
        self._log = logger(part)
        self._clock = clock
        self._said: dict[str, float] = {}

    def options(self) -> dict[str, Any]:
        """`logger` and `error_cb` for a client of confluent-kafka."""
        # A logger outside logging's global tree, so that no other handler sees its lines.
        target = logging.Logger("librdkafka")  # noqa: LOG001 - a private logger is the point
        target.addHandler(self)
        return {"logger": target, "error_cb": self.error}

    def emit(self, record: logging.LogRecord) -> None:
        """Take one log line of librdkafka."""
        text = record.getMessage()
        facility = text.partition(" ")[0][:40]
        if self._is_fresh(facility):
            write = self._log.warning if record.levelno >= logging.WARNING else self._log.debug
            write("kafka_client_log", text=text[:500])

    def error(self, error: KafkaError) -> None:
        """librdkafka's error callback: informational unless the error is fatal."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN or not self.last_error:
            self.last_error = explain(error)
        if self._is_fresh(error.name()):
            self._log.warning(
                "kafka_error", code=error.name(), text=error.str()[:500], fatal=error.fatal()
            )

    def _is_fresh(self, kind: str) -> bool:
        now = self._clock()
        if now - self._said.get(kind, -REPEAT_AFTER_SECONDS) < REPEAT_AFTER_SECONDS:
            return False
        if len(self._said) >= _MOST_KINDS:
            self._said.clear()
        self._said[kind] = now
        return True


def explain(error: KafkaError | KafkaException) -> str:
    """librdkafka's error in words, the same each time; TLS errors come with their fix.

    An exception without an error of librdkafka has its own text.
    """
    found = error if isinstance(error, KafkaError) else cause(error)
    if found is None:
        return str(error)
    text = _HOW_LONG.sub("", found.str())
    for sign, meaning in _TRUST.items():
        if sign in text:
            return meaning
    return f"{found.name()}: {text}"[:500]


def _common(settings: Settings, role: str) -> dict[str, Any]:
    return {
        "client.id": f"interaction-mirror-{role}",
        "socket.keepalive.enable": "true",
        "socket.timeout.ms": SOCKET_TIMEOUT_MS,
        "reconnect.backoff.max.ms": RECONNECT_BACKOFF_MAX_MS,
        "log.connection.close": "false",
        **settings.kafka.properties,
    }


def producer_config(settings: Settings, role: str) -> dict[str, Any]:
    """Configuration of a producer of `role` (`listener`, `janitor`, …).

    Delivery reports reach Python only for failures. A record that no longer waits and has not
    failed was delivered.
    """
    return {
        "linger.ms": LINGER_MS,
        "batch.size": BATCH_BYTES,
        "compression.codec": "lz4",
        "queue.buffering.max.kbytes": QUEUE_KBYTES,
        "queue.buffering.max.messages": QUEUE_MESSAGES,
        "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
        "topic.metadata.propagation.max.ms": UNKNOWN_TOPIC_MS,
        **_common(settings, role),
        **_FIXED_PRODUCER,
        "delivery.report.only.error": True,
    }


def consumer_config(settings: Settings, role: str, group: str | None = None) -> dict[str, Any]:
    """Configuration of a consumer of `role`, in `group` (prefixed) or without a group.

    librdkafka never commits offsets by itself: an offset moves only after its records were handled.
    """
    return {
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 100,
        "queued.max.messages.kbytes": QUEUE_KBYTES,
        "allow.auto.create.topics": "false",
        **_common(settings, role),
        "group.id": settings.kafka.prefix + (group or f"interaction-mirror-{role}"),
        "enable.auto.commit": "false",
        "enable.auto.offset.store": "false",
    }


def member_config(settings: Settings, role: str, group: str | None = None) -> dict[str, Any]:
    """Like `consumer_config`, for a consumer that shares partitions with others of its group."""
    return {**consumer_config(settings, role, group), "partition.assignment.strategy": "range"}


def transactional_config(settings: Settings, role: str, transactional_id: str) -> dict[str, Any]:
    """Configuration of a producer of `role` that writes by transactions."""
    return {
        **producer_config(settings, role),
        "transactional.id": transactional_id,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        # librdkafka accepts no longer time for either.
        "delivery.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "socket.timeout.ms": TRANSACTION_TIMEOUT_MS,
    }


def committed_reader_config(
    settings: Settings, role: str, group: str | None = None
) -> dict[str, Any]:
    """Like `consumer_config`, for readers of committed records only.

    A group's offsets are then read only when no open transaction is about to move them (KIP-447).
    """
    return {**consumer_config(settings, role, group), "isolation.level": "read_committed"}


def admin_config(settings: Settings, role: str = "admin") -> dict[str, Any]:
    """Configuration of an admin client."""
    return _common(settings, role)


def open_client(kind: Callable[..., T], config: dict[str, Any], log: ClientLog) -> T:
    """A client of librdkafka that logs to `log`.

    Raises `SettingsError` if librdkafka does not accept a property: `KAFKA_*` settings are passed
    on unchanged, and only librdkafka knows all of them. Raises `KafkaUnavailable` if no thread can
    be started now, and `FileUnusable`, which is one, if a file that a property names cannot be used
    now.
    """
    try:
        return kind(config, **log.options())
    except KafkaException as error:
        reason = _text(error)
        if _NO_ROOM in reason:
            raise KafkaUnavailable(f"no Kafka client can be made now: {reason}") from error
        outage = unusable(config, reason, _without_codes(reason))
        if outage is not None:
            raise outage from error
        for key, name in _VARIABLES.items():
            if key in reason:
                raise SettingsError(
                    f"{name} cannot be used ({_without_codes(reason)}): it takes PEM, and a "
                    "certificate and its key belong together"
                ) from error
        raise SettingsError(_wrong(kind, config, reason)) from error


def check_properties(settings: Settings, role: str, *, transactional: bool = False) -> None:
    """Raise the `SettingsError` that a process would get when it opens its clients.

    `transactional`: it also opens a producer that writes by transactions. Connects to no broker. A
    file that cannot be used now is no error, nor is a machine without room for a thread: processes
    wait for both.
    """
    clients: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (Producer, producer_config(settings, role)),
        (Consumer, member_config(settings, role)),
    ]
    if transactional:
        clients.append((Producer, transactional_config(settings, role, role)))
    for kind, config in clients:
        with suppress(KafkaUnavailable):
            let_go([open_client(kind, _without_broker(config), ClientLog(f"kafka.{role}"))])


def let_go(last: list[Any]) -> None:
    """End the client in `last`, which holds the only reference to it, without waiting for its end.

    The end joins librdkafka's threads, and one of them may wait for a name server or for a token
    endpoint. So a thread of its own does it.
    """
    threading.Thread(target=last.clear, name="client-end", daemon=True).start()


def _without_broker(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` for a client that connects to no broker."""
    return {key: value for key, value in config.items() if key != "bootstrap.servers"}


def _wrong(kind: Callable[..., Any], config: Mapping[str, Any], reason: str) -> str:
    """The variable that librdkafka does not accept, what it holds, and why.

    librdkafka's error may use another name for the property (`queue.buffering.max.ms` for
    `linger.ms`), or name another property that conflicts with it. So the properties are tried. A
    property is the culprit if it alone causes the same error, or if the error changes or goes away
    without it.
    """
    if "No provider for SASL mechanism" in reason:
        return _mechanism(config)
    config = _without_broker(config)
    told = _PROPERTY.sub(lambda found: _variable(found[0]), _PREFIX.sub("", reason.strip()))
    told = told.replace("`", "")
    named = {*_PROPERTY.findall(reason)}
    # A consumer without a group is refused before its properties are looked at.
    needed = {"group.id": config["group.id"]} if "group.id" in config else {}
    candidates = {
        key: value
        for key, value in config.items()
        if isinstance(value, str) and key not in _OURS | OWN_PROPERTIES
    }
    for key, value in candidates.items():
        if _refusal(kind, {**needed, key: value}) == reason:
            if len(named) == 1:  # perhaps by librdkafka's other name for it
                told = told.replace(_variable(named.pop()), _variable(key))
            return _not_taken(key, value, told)
    if ("must be set" in reason or "mandatory" in reason) and not named & OWN_PROPERTIES:
        for key in sorted(named - config.keys()):
            return f"{_variable(key)} is not set: {told}"
    for key, value in candidates.items():
        others = {name: other for name, other in config.items() if name != key}
        if _refusal(kind, others) not in {reason, None}:
            return _not_taken(key, value, told)
    return f"KAFKA_CONF_* or another KAFKA_* setting is wrong: {told}"


def _not_taken(key: str, value: str, told: str) -> str:
    form = f"what librdkafka documents for {key}"
    if "No such configuration property" in told:
        form = "the properties of librdkafka, dots as underscores"
    return f"{_held(key, value)} is not taken: {told}; it takes {form}"


def _refusal(kind: Callable[..., Any], config: dict[str, Any]) -> str | None:
    """The error with which librdkafka refuses a client: empty if it accepts, None if not asked."""
    try:
        kind(config, **ClientLog("kafka.settings").options())
    except KafkaException as error:
        return _text(error)
    except (ValueError, TypeError):
        return None  # needs other properties beside it
    return ""


def _text(error: KafkaException) -> str:
    cause = error.args[0]
    return cause.str() if isinstance(cause, KafkaError) else str(cause)


def _held(key: str, value: str) -> str:
    return _variable(key) if _SECRET.search(key) else f"{_variable(key)} is {value!r}, which"


def _variable(key: str) -> str:
    """The variable that sets a property of librdkafka, or the property if the mirror sets it."""
    if key in OWN_PROPERTIES:
        return key
    return VARIABLES.get(key) or variable(key)


def _mechanism(config: Mapping[str, Any]) -> str:
    """What is wrong with the mechanism: librdkafka takes GSSAPI if there is none."""
    name = "KAFKA_SASL_MECHANISM"
    given = config.get("sasl.mechanism") or config.get("sasl.mechanisms")
    if not given:
        return f"{name} is not set: with KAFKA_SECURITY_PROTOCOL=sasl_* it takes {_MECHANISMS}"
    return (
        f"{name} is {given}, which this build of confluent-kafka does not have: it takes "
        f"{_MECHANISMS}; for Kerberos build confluent-kafka with libsasl2"
    )


def _without_codes(reason: str) -> str:
    """OpenSSL's message without error numbers and librdkafka's source position."""
    last = reason.rpartition("failed: ")[2]
    parts = (part.strip() for part in last.split(":"))
    return ", ".join(part for part in parts if part and not _CODE.fullmatch(part))
