"""Finds the variable that librdkafka does not accept, for the error that names it.

librdkafka names a property, perhaps another one than the variable sets. Operators know variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from mirror.kafka.files import variable
from mirror.settings.kafka import OWN_PROPERTIES, VARIABLES

# The error with which librdkafka refuses a configuration: empty if it accepts, None if not asked.
Refusal = Callable[[dict[str, Any]], str | None]

# Properties that other variables than KAFKA_CONF_* set, or `mirror.kafka.config`.
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


def without_broker(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` for a client that connects to no broker."""
    return {key: value for key, value in config.items() if key != "bootstrap.servers"}


def culprit(refusal: Refusal, config: Mapping[str, Any], reason: str) -> str:
    """The variable that librdkafka does not accept, what it holds, and why.

    `refusal` asks librdkafka, and `reason` is its answer for `config`.

    librdkafka's error may use another name for the property (`queue.buffering.max.ms` for
    `linger.ms`), or name another property that conflicts with it. So the properties are tried. A
    property is the culprit if it alone causes the same error, or if the error changes or goes away
    without it.
    """
    if "No provider for SASL mechanism" in reason:
        return _mechanism(config)
    config = without_broker(config)
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
        if refusal({**needed, key: value}) == reason:
            if len(named) == 1:  # perhaps by librdkafka's other name for it
                told = told.replace(_variable(named.pop()), _variable(key))
            return _not_taken(key, value, told)
    if ("must be set" in reason or "mandatory" in reason) and not named & OWN_PROPERTIES:
        for key in sorted(named - config.keys()):
            return f"{_variable(key)} is not set: {told}"
    for key, value in candidates.items():
        others = {name: other for name, other in config.items() if name != key}
        if refusal(others) not in {reason, None}:
            return _not_taken(key, value, told)
    return f"KAFKA_CONF_* or another KAFKA_* setting is wrong: {told}"


def _not_taken(key: str, value: str, told: str) -> str:
    form = f"what librdkafka documents for {key}"
    if "No such configuration property" in told:
        form = "the properties of librdkafka, dots as underscores"
    return f"{_held(key, value)} is not taken: {told}; it takes {form}"


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
