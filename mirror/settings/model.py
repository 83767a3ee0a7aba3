"""Structs of the settings: frozen, and without secrets in their `repr`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from mirror.base.errors import SettingsError
from mirror.conversation.event import Pii

TlsVerify = Literal["full", "chain", "none"]
Encoding = Literal["json", "msgpack"]
NativeMode = Literal["auto", "off", "require"]
LogLevel = Literal["debug", "info", "warning", "error"]


class OAuthClient(msgspec.Struct, frozen=True):
    """One OAuth client of the client-credentials grant. `secret` never leaves this process."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"OAuthClient(id={self.id!r}, secret=***)"


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The connection to Kafka as librdkafka properties, and the prefix of names."""

    properties: dict[str, str]
    prefix: str = ""

    def __repr__(self) -> str:
        return f"KafkaSettings(bootstrap={self.properties['bootstrap.servers']!r})"


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """A Confluent Schema Registry. `ca` is the path of a PEM file, empty for the usual trust."""

    url: str
    key: str
    secret: str
    ca: str

    def __repr__(self) -> str:
        return f"RegistrySettings(url={self.url!r})"


class Unread(msgspec.Struct, frozen=True):
    """A variable that is set, looks like a setting, and changes nothing.

    `hint` says why, or what may be meant.
    """

    name: str
    hint: str

    def __str__(self) -> str:
        return f"nothing reads {self.name}: {self.hint}"


class Supervised(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of `mirror up`. `counts`: program → number of processes. Durations in seconds."""

    counts: dict[str, int]
    run_dir: Path
    log_dir: Path
    hang_after: float
    user: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings in force. Durations are in seconds, sizes in bytes."""

    region: str
    clients: tuple[OAuthClient, ...]
    api_url: str
    login_url: str
    custom_urls: bool
    redis_url: str
    redis_url_file: Path | None  # where it came from, if that was a file
    redis_tls_verify: TlsVerify
    kafka: KafkaSettings
    registry: RegistrySettings | None
    namespace: str
    families: tuple[str, ...]
    agents: bool
    queues: tuple[str, ...]
    users: tuple[str, ...]
    replicas: int
    topics_per_channel: int
    channels_per_client: int
    host: str
    heartbeat: float
    lease: float
    silence: float
    discovery_interval: float
    zombie_after: float
    zombie_after_media: dict[str, float]
    janitor_interval: float
    janitor_share: float
    horizon: float
    analytics_lag: float
    topic: str
    dead_letter_topic: str
    agents_topic: str
    once_topic: str
    conversations_topic: str
    conversation_grace: float
    partitions: int
    replication_factor: int
    encoding: Encoding
    native: NativeMode
    native_shadow: int
    spool_dir: Path
    spool_limit: int
    pii: Pii
    pii_key: str
    metrics_hosts: tuple[str, ...]
    metrics_port: int
    dashboard_host: str
    dashboard_port: int
    dashboard_token: str
    dashboard_auth_header: str
    service_level: float
    supervised: Supervised
    log_level: LogLevel
    startup_timeout: float
    environment: dict[str, str]
    unread: tuple[Unread, ...] = ()

    def __repr__(self) -> str:
        return f"Settings(namespace={self.namespace!r}, region={self.region!r})"

    @property
    def has_projectors(self) -> bool:
        """Whether this mirror runs projectors: `MIRROR_PROJECTORS=0` says that it runs none."""
        return self.supervised.counts["projector"] > 0

    def require_clients(self) -> tuple[OAuthClient, ...]:
        """The OAuth clients, for a command that talks to Genesys.

        Raises `SettingsError` if none is configured.
        """
        if not self.clients:
            raise SettingsError(
                "GENESYS_CLIENT_ID is not set: it and GENESYS_CLIENT_SECRET take the id and secret "
                "of an OAuth client, GENESYS_CLIENTS several as id:secret,id:secret"
            )
        return self.clients
