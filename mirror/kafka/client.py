"""Opens librdkafka's clients, lets them go, and passes their messages on to our log.

librdkafka by itself writes to stderr, and repeats its messages while a broker is away. `ClientLog`
takes its log lines and error callbacks, and passes each kind on to our log at most once in
`REPEAT_AFTER_SECONDS`.

`open_client` says which setting or file is to blame if librdkafka refuses a configuration
(`mirror.kafka.properties`, `mirror.kafka.files`).
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from mirror.base.errors import KafkaUnavailable, SettingsError
from mirror.base.log import logger
from mirror.kafka.config import member_config, producer_config, transactional_config
from mirror.kafka.faults import cause
from mirror.kafka.files import unusable, variable
from mirror.kafka.properties import culprit, without_broker
from mirror.settings import Settings

T = TypeVar("T")

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
# What differs between two errors of the same cause.
_HOW_LONG: Final = re.compile(r" \(after \d+ms in state .*")
# librdkafka's error for EAGAIN and ENOMEM of a thread.
_NO_ROOM: Final = "Failed to create thread"
_CODE: Final = re.compile(r"error|[0-9A-F]{8}|[\w ]+ routines|Type=\w+")
# Properties that take PEM or its path → their variables.
_PEM: Final = {
    "ssl.ca.pem": "KAFKA_TRUSTED_CERT",
    "ssl.certificate.pem": "KAFKA_CLIENT_CERT",
    "ssl.key.pem": "KAFKA_CLIENT_CERT_KEY",
    "ssl.key.location": variable("ssl.key.location"),
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
        for key, name in _PEM.items():
            if key in reason:
                raise SettingsError(
                    f"{name} cannot be used ({_without_codes(reason)}): it takes PEM, and a "
                    "certificate and its key belong together"
                ) from error
        raise SettingsError(culprit(partial(_refusal, kind), config, reason)) from error


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
            let_go([open_client(kind, without_broker(config), ClientLog(f"kafka.{role}"))])


def let_go(last: list[Any]) -> None:
    """End the client in `last`, which holds the only reference to it, without waiting for its end.

    The end joins librdkafka's threads, and one of them may wait for a name server or for a token
    endpoint. So a thread of its own does it.
    """
    threading.Thread(target=last.clear, name="client-end", daemon=True).start()


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


def _without_codes(reason: str) -> str:
    """OpenSSL's message without error numbers and librdkafka's source position."""
    last = reason.rpartition("failed: ")[2]
    parts = (part.strip() for part in last.split(":"))
    return ", ".join(part for part in parts if part and not _CODE.fullmatch(part))
