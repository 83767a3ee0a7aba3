"""Kafka's settings as librdkafka properties: the plain ones, Heroku's, and any other.

If a certificate or a password would have no effect, the start fails: without a security protocol
librdkafka would ignore it and speak plain text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from mirror.base.errors import SettingsError
from mirror.settings.model import KafkaSettings
from mirror.settings.reader import SettingsReader
from mirror.settings.values import choice, kafka_url, line, pem, servers, topic_prefix

_CONF: Final = "KAFKA_CONF_"
_FILE: Final = "_FILE"
# The properties of librdkafka whose own names end in ".file": a variable so named sets the
# property, and `<variable>_FILE` names a file that holds its value.
_FILE_PROPERTIES: Final = frozenset(
    {
        "sasl.oauthbearer.assertion.file",
        "sasl.oauthbearer.assertion.private.key.file",
        "sasl.oauthbearer.assertion.jwt.template.file",
    }
)
# The mirror's promises need these properties, so it sets them itself. The last two are
# confluent-kafka's and take no text. A variable for any of them is reported as a setting that
# nothing reads.
OWN_PROPERTIES: Final = frozenset(
    {
        "acks",
        "delivery.report.only.error",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "group.id",
        "partitioner",
        "transactional.id",
        "default.topic.config",
        "logger",
    }
)

_PLAIN: Final = (
    (
        "KAFKA_SECURITY_PROTOCOL",
        "security.protocol",
        choice("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"),
    ),
    (
        "KAFKA_SASL_MECHANISM",
        "sasl.mechanism",
        choice("plain", "scram-sha-256", "scram-sha-512", "oauthbearer", "gssapi"),
    ),
    ("KAFKA_SASL_USERNAME", "sasl.username", line),
    ("KAFKA_SASL_PASSWORD", "sasl.password", line),
    ("KAFKA_TRUSTED_CERT", "ssl.ca.pem", pem("CERTIFICATE")),
    ("KAFKA_CLIENT_CERT", "ssl.certificate.pem", pem("CERTIFICATE")),
    ("KAFKA_CLIENT_CERT_KEY", "ssl.key.pem", pem("PRIVATE KEY")),
)
_PARSERS: Final = {key: parser for _, key, parser in _PLAIN} | {"bootstrap.servers": servers}
_UPPER: Final = frozenset({"security.protocol", "sasl.mechanism"})
# librdkafka's property → its variable, where that is none of `KAFKA_CONF_*`.
VARIABLES: Final = {key: name for name, key, _ in _PLAIN} | {
    "bootstrap.servers": "KAFKA_BOOTSTRAP_SERVERS"
}


def read_kafka(reader: SettingsReader) -> KafkaSettings:
    """Read Kafka's settings. `KAFKA_BOOTSTRAP_SERVERS` wins over a platform's `KAFKA_URL`."""
    heroku = reader.parse("KAFKA_URL", "", kafka_url)
    explicit = reader.text("KAFKA_BOOTSTRAP_SERVERS")
    bootstrap = reader.parse(
        "KAFKA_BOOTSTRAP_SERVERS", explicit or heroku or "127.0.0.1:9092", servers
    )
    properties = {"bootstrap.servers": bootstrap}
    from_heroku = bool(heroku) and not explicit
    if from_heroku and "kafka+ssl" in reader.read["KAFKA_URL"]:
        properties["security.protocol"] = "SSL"
    for name, key, parser in _PLAIN:
        _take(reader, properties, name, key, parser)
    if from_heroku and "ssl.ca.pem" in properties:
        # Heroku's brokers present certificates without host names, of a CA that serves only this
        # cluster. So trust rests on the CA alone.
        properties["ssl.endpoint.identification.algorithm"] = "none"
    for name in sorted(set(_conf_names(reader.environ))):
        key = _property(name)
        _take(reader, properties, name, key, _PARSERS.get(key, str))
    _protect(reader, properties)
    return KafkaSettings(
        properties=properties, prefix=reader.parse("KAFKA_PREFIX", "", topic_prefix)
    )


def _take(
    reader: SettingsReader,
    properties: dict[str, str],
    name: str,
    key: str,
    parser: Callable[[str], str],
) -> None:
    """Set the property `key` from the variable `name`, if it has a value."""
    if reader.text(name):
        value = reader.parse(name, "", parser)
        properties[key] = value.upper() if key in _UPPER else value


def is_own(name: str) -> bool:
    """Whether a variable is for a property that the mirror sets itself."""
    return name.startswith(_CONF) and _property(name) in OWN_PROPERTIES


def _property(name: str) -> str:
    """`KAFKA_CONF_LINGER_MS` sets `linger.ms`."""
    return name.removeprefix(_CONF).lower().replace("_", ".")


def _conf_names(environ: Mapping[str, str]) -> Iterator[str]:
    """The variables `KAFKA_CONF_<PROPERTY>` that are set, also by a file, and may be set."""
    for name in environ:
        if not name.startswith(_CONF):
            continue
        by_file = name.endswith(_FILE) and _property(name) not in _FILE_PROPERTIES
        plain = name.removesuffix(_FILE) if by_file else name
        if _property(plain) not in OWN_PROPERTIES:
            yield plain


def _protect(reader: SettingsReader, properties: dict[str, str]) -> None:
    """Set the security protocol, and for TLS the trusted CAs."""
    protocol = properties.get("security.protocol", "").lower()
    has_sasl = any(key.startswith("sasl.") for key in properties)
    has_tls = any(key.startswith("ssl.") for key in properties)
    if not protocol and has_tls and not has_sasl:
        protocol = "ssl"
        properties["security.protocol"] = "SSL"
    if has_sasl and not protocol.startswith("sasl_"):
        raise SettingsError(
            f"KAFKA_SECURITY_PROTOCOL is {protocol or 'not set'}: with KAFKA_SASL_* settings it "
            "takes sasl_ssl, or sasl_plaintext where the network can be trusted"
        )
    if has_tls and not protocol.endswith("ssl"):
        raise SettingsError(
            f"KAFKA_SECURITY_PROTOCOL is {protocol}: with certificates set it takes ssl or sasl_ssl"
        )
    # librdkafka has its own OpenSSL, which does not read the variable.
    trusted = reader.environ.get("SSL_CERT_FILE", "").strip()
    if (
        trusted
        and protocol.endswith("ssl")
        and not {"ssl.ca.pem", "ssl.ca.location"} & {*properties}
    ):
        properties["ssl.ca.location"] = trusted
