"""Makes `Settings` from environment variables."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, get_args

from mirror.base.errors import SettingsError
from mirror.base.units import duration, show_duration, size
from mirror.conversation.event import Pii
from mirror.settings import values
from mirror.settings.kafka import read_kafka
from mirror.settings.model import (
    Encoding,
    LogLevel,
    NativeMode,
    OAuthClient,
    RegistrySettings,
    Settings,
    TlsVerify,
    Unread,
)
from mirror.settings.reader import SettingsReader
from mirror.settings.redis_url import redis_url
from mirror.settings.supervised import read_supervised, state_directory
from mirror.settings.unread import unread

MAX_TOPICS_PER_CHANNEL: Final = 1000  # Genesys' limit: the 1,001st topic is answered with 400
MAX_METRICS_OFFSET: Final = 999
ALL_ADDRESSES: Final = "::,0.0.0.0"
# The address to ask, on its own machine, a process that listens on all addresses.
LOOPBACK: Final = {"::": "::1", "0.0.0.0": "127.0.0.1"}  # noqa: S104 - a key, not listened on
TOPICS: Final = {
    "MIRROR_TOPIC": "genesys-interactions",
    "MIRROR_DEAD_LETTER_TOPIC": "genesys-interactions.dlq",
    "MIRROR_AGENTS_TOPIC": "genesys-agents",
    "MIRROR_ONCE_TOPIC": "genesys-interactions.once",
    "MIRROR_CONVERSATIONS_TOPIC": "genesys-conversations",
}
# Filter → what it selects from.
FILTERS: Final = {"MIRROR_QUEUES": ("queues",), "MIRROR_USERS": ("users", "agents")}
MOST_SHADOWED: Final = 1_000_000
MAX_CHANNELS_PER_CLIENT: Final = 20  # Genesys' limit: the 21st creation evicts another channel


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check all settings. `environ` defaults to the process environment.

    Raises `SettingsError` for the first setting that does not parse or contradicts another.
    """
    reader = SettingsReader(os.environ if environ is None else environ)
    parse, text = reader.parse, reader.text
    region = parse("GENESYS_REGION", "mypurecloud.com", values.region)
    api_url = parse("GENESYS_API_URL", "", values.base_url)
    login_url = parse("GENESYS_LOGIN_URL", "", values.base_url)
    subscribe = parse("MIRROR_SUBSCRIBE", "queues,users", values.subscribe)
    zombie_after, zombie_after_media = parse(
        "MIRROR_ZOMBIE_AFTER", values.DEFAULT_ZOMBIE_AFTER, values.zombie_after
    )
    heartbeat = parse("MIRROR_HEARTBEAT", "2s", values.positive_duration)
    lease = parse("MIRROR_LEASE", "8s", values.positive_duration)
    if lease < 2 * heartbeat:
        raise SettingsError(
            f"MIRROR_LEASE is '{show_duration(lease)}': it takes at least twice MIRROR_HEARTBEAT "
            f"({show_duration(heartbeat)}), or one late beat would count as a death"
        )
    kafka = read_kafka(reader)
    pii: Pii = parse("MIRROR_PII", "drop", values.choice(*get_args(Pii)))
    pii_key = text("MIRROR_PII_KEY")
    if pii == "hash" and not pii_key:
        raise SettingsError("MIRROR_PII_KEY is not set: MIRROR_PII=hash takes a secret key there")
    encoding: Encoding = parse("MIRROR_ENCODING", "json", values.choice(*get_args(Encoding)))
    topics = _topics(reader, kafka.prefix)
    return Settings(
        region=region,
        clients=_oauth_clients(reader),
        api_url=api_url or f"https://api.{region}",
        login_url=login_url or _login_url(api_url, region),
        custom_urls=bool(api_url),
        redis_url=parse("REDIS_URL", "redis://127.0.0.1:6379/0", redis_url),
        redis_url_file=reader.files.get("REDIS_URL"),
        redis_tls_verify=parse("REDIS_TLS_VERIFY", "full", values.choice(*get_args(TlsVerify))),
        kafka=kafka,
        registry=_registry(reader, encoding),
        namespace=parse("MIRROR_NAMESPACE", "default", values.name),
        families=tuple(family for family in subscribe if family != "agents"),
        agents="agents" in subscribe,
        queues=parse("MIRROR_QUEUES", "*", values.globs),
        users=parse("MIRROR_USERS", "*", values.globs),
        replicas=parse("MIRROR_REPLICAS", "2", values.between(1, 4)),
        topics_per_channel=parse(
            "MIRROR_TOPICS_PER_CHANNEL", "1000", values.between(1, MAX_TOPICS_PER_CHANNEL)
        ),
        channels_per_client=parse(
            "MIRROR_CHANNELS_PER_CLIENT", "20", values.between(1, MAX_CHANNELS_PER_CLIENT)
        ),
        host=parse("MIRROR_HOST", socket.gethostname(), values.name),
        heartbeat=heartbeat,
        lease=lease,
        silence=parse("MIRROR_SILENCE", "35s", values.positive_duration),
        discovery_interval=parse("MIRROR_DISCOVERY_INTERVAL", "5m", values.positive_duration),
        zombie_after=zombie_after,
        zombie_after_media=zombie_after_media,
        janitor_interval=parse("MIRROR_JANITOR_INTERVAL", "60s", values.positive_duration),
        janitor_share=parse("MIRROR_JANITOR_SHARE", "0.6", values.share),
        horizon=parse("MIRROR_HORIZON", "31d", values.positive_duration),
        analytics_lag=parse("MIRROR_ANALYTICS_LAG", "5m", duration),
        topic=topics["MIRROR_TOPIC"],
        dead_letter_topic=topics["MIRROR_DEAD_LETTER_TOPIC"],
        agents_topic=topics["MIRROR_AGENTS_TOPIC"],
        once_topic=topics["MIRROR_ONCE_TOPIC"],
        conversations_topic=topics["MIRROR_CONVERSATIONS_TOPIC"],
        conversation_grace=parse("MIRROR_CONVERSATION_GRACE", "24h", values.positive_duration),
        partitions=parse("MIRROR_PARTITIONS", "12", values.between(1, 10_000)),
        replication_factor=parse("MIRROR_REPLICATION_FACTOR", "3", values.between(1, 100)),
        encoding=encoding,
        native=_native(reader, pii),
        native_shadow=parse("MIRROR_NATIVE_SHADOW", "0", values.between(0, MOST_SHADOWED)),
        spool_dir=Path(text("MIRROR_SPOOL_DIR", str(state_directory(reader.environ) / "spool"))),
        spool_limit=parse("MIRROR_SPOOL_LIMIT", "1GiB", size),
        pii=pii,
        pii_key=pii_key,
        metrics_hosts=_metrics_hosts(reader),
        metrics_port=_metrics_port(reader),
        # A platform that sets PORT routes outside traffic to it.
        dashboard_host=parse(
            "MIRROR_DASHBOARD_HOST", "::" if text("PORT") else "127.0.0.1", values.listen_host
        ),
        dashboard_port=_dashboard_port(reader),
        dashboard_token=parse("MIRROR_DASHBOARD_TOKEN", "", values.word),
        dashboard_auth_header=parse("MIRROR_DASHBOARD_AUTH_HEADER", "", values.header_name),
        service_level=parse("MIRROR_SERVICE_LEVEL", "20s", values.positive_duration),
        supervised=read_supervised(reader),
        log_level=parse("MIRROR_LOG_LEVEL", "info", values.choice(*get_args(LogLevel))),
        startup_timeout=parse("MIRROR_STARTUP_TIMEOUT", "30s", duration),
        environment=reader.read,
        unread=(
            *unread(reader.environ, reader.used, reader.read),
            *_idle_filters(reader, subscribe),
        ),
    )


def _idle_filters(reader: SettingsReader, subscribe: Sequence[str]) -> Iterator[Unread]:
    """Filters that are set for what is not mirrored."""
    for name, families in FILTERS.items():
        if reader.read[name] != "*" and not set(families) & set(subscribe):
            yield Unread(name, f"MIRROR_SUBSCRIBE has no {' or '.join(families)}")


def metrics_addresses(environ: Mapping[str, str]) -> tuple[tuple[str, ...], int]:
    """Hosts and port of the process of this environment, seen from its machine; port 0 if nowhere.

    Raises `SettingsError` if the settings of the address do not parse.
    """
    reader = SettingsReader(environ)
    hosts = _metrics_hosts(reader)
    return tuple(LOOPBACK.get(host, host) for host in hosts), _metrics_port(reader)


def _metrics_hosts(reader: SettingsReader) -> tuple[str, ...]:
    return reader.parse("MIRROR_METRICS_HOST", ALL_ADDRESSES, values.listen_hosts)


def _metrics_port(reader: SettingsReader) -> int:
    """The port for metrics. Processes that share an environment each add their own offset."""
    port = reader.parse("MIRROR_METRICS_PORT", "0", values.between(0, 65_535))
    offset = reader.parse("MIRROR_METRICS_OFFSET", "0", values.between(0, MAX_METRICS_OFFSET))
    if not port:
        return 0
    if port + offset > 65_535:
        raise SettingsError(
            f"MIRROR_METRICS_PORT is '{port}': with MIRROR_METRICS_OFFSET {offset} it takes a port "
            f"of at most {65_535 - offset}"
        )
    return port + offset


def _dashboard_port(reader: SettingsReader) -> int:
    """`MIRROR_DASHBOARD_PORT`, or the platform's `PORT`."""
    name, form, default = "MIRROR_DASHBOARD_PORT", values.between(0, 65_535), "8080"
    if reader.text("PORT") and not reader.text(name):
        default = str(reader.parse("PORT", "", form))  # so that an error names it
    return reader.parse(name, default, form)


def _login_url(api_url: str, region: str) -> str:
    """The login host of an API host: `//api.` becomes `//login.`, as in Genesys' SDK.

    A gateway or simulator on one host serves both, so other URLs are returned unchanged.
    """
    if not api_url:
        return f"https://login.{region}"
    return api_url.replace("//api.", "//login.", 1)


def _oauth_clients(reader: SettingsReader) -> tuple[OAuthClient, ...]:
    several = reader.parse("GENESYS_CLIENTS", "", values.clients)
    client_id = reader.parse("GENESYS_CLIENT_ID", "", values.word)
    secret = reader.parse("GENESYS_CLIENT_SECRET", "", values.word)
    if several:
        return several
    if bool(client_id) != bool(secret):
        given, missing = "GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET"
        if secret:
            given, missing = missing, given
        raise SettingsError(f"{given} is set and {missing} is not: set both, or none of them")
    return (OAuthClient(client_id, secret),) if client_id else ()


def _topics(reader: SettingsReader, prefix: str) -> dict[str, str]:
    """Variable → its topic. Two alike would mix what consumers and the projector keep apart."""
    found: dict[str, str] = {}
    for name, default in TOPICS.items():
        topic = prefix + reader.parse(name, default, values.topic_name)
        for holder, taken in found.items():
            if topic == taken:
                raise SettingsError(
                    f"{name} is {topic!r}: it takes another topic than {holder}, which is {taken!r}"
                )
        found[name] = topic
    return found


def _native(reader: SettingsReader, pii: Pii) -> NativeMode:
    """Read `MIRROR_NATIVE`. The native reader does not handle personal fields."""
    mode: NativeMode = reader.parse("MIRROR_NATIVE", "auto", values.choice(*get_args(NativeMode)))
    if pii == "drop" or mode == "off":
        return mode
    if mode == "require":
        raise SettingsError(
            f"MIRROR_NATIVE is require and MIRROR_PII is {pii}: the native reader reads no "
            "personal fields; set MIRROR_NATIVE to auto, or MIRROR_PII to drop"
        )
    return "off"


def _registry(reader: SettingsReader, encoding: Encoding) -> RegistrySettings | None:
    url = reader.parse("SCHEMA_REGISTRY_URL", "", values.base_url)
    key = reader.parse("SCHEMA_REGISTRY_KEY", "", values.line)
    secret = reader.parse("SCHEMA_REGISTRY_SECRET", "", values.line)
    certificates = reader.text("SCHEMA_REGISTRY_CA")
    if not url:
        return None
    if bool(key) != bool(secret):
        given, missing = "SCHEMA_REGISTRY_KEY", "SCHEMA_REGISTRY_SECRET"
        if secret:
            given, missing = missing, given
        raise SettingsError(f"{given} is set and {missing} is not: set both, or none of them")
    if certificates and not Path(certificates).is_file():
        raise SettingsError(
            f"SCHEMA_REGISTRY_CA is {certificates!r}: it takes the path of a PEM file that exists"
        )
    if encoding != "json":
        raise SettingsError(
            f"MIRROR_ENCODING is {encoding}: with SCHEMA_REGISTRY_URL set it takes json, which is "
            "what the registered JSON Schema describes to consumers"
        )
    return RegistrySettings(url=url, key=key, secret=secret, ca=certificates)
