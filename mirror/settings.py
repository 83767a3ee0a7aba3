"""All settings, read from environment variables once, checked, and frozen.

`load` is pure: it takes the environment as a mapping and returns `Settings`, or raises
`SettingsError` with one line that names the variable, what it held (never a secret) and what it
takes. Any variable may instead be given as `<NAME>_FILE`, the path of a file that holds it, which
keeps secrets out of the environment. `describe` lists what is in force with secrets masked.

What a setting means stands in docs/settings.md; how Kafka's become librdkafka properties in
`mirror.kafka.config`.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from mirror.errors import SettingsError
from mirror.units import duration, show_duration, size, whole

T = TypeVar("T")

# The media whose conversations live for days by nature (callbacks are scheduled, e-mails and
# messages wait for people) are verified later than calls and chats.
DEFAULT_ZOMBIE_AFTER: Final = "4h,callback=72h,email=72h,message=72h"
FAMILIES: Final = ("queues", "users")
MAX_TOPICS_PER_CHANNEL: Final = 1000  # Genesys' limit: the 1,001st topic is answered with 400
MAX_CHANNELS_PER_CLIENT: Final = 20  # Genesys' limit: the 21st creation evicts another channel

_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_SECRET_NAMES: Final = frozenset(
    {
        "GENESYS_CLIENT_SECRET",
        "GENESYS_CLIENTS",
        "REDIS_URL",
        "KAFKA_URL",
        "KAFKA_SASL_PASSWORD",
        "KAFKA_CLIENT_CERT_KEY",
        "MIRROR_PII_KEY",
    }
)


class OAuthClient(msgspec.Struct, frozen=True):
    """One OAuth client of the client-credentials grant. `secret` never leaves this process."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"OAuthClient(id={self.id!r}, secret=***)"


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach Kafka, as librdkafka properties, and what goes before names."""

    properties: dict[str, str]
    prefix: str = ""

    def __repr__(self) -> str:
        return f"KafkaSettings(bootstrap={self.properties['bootstrap.servers']!r})"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force. Durations are seconds, sizes bytes, times none."""

    region: str
    clients: tuple[OAuthClient, ...]
    api_url: str
    login_url: str
    custom_urls: bool
    redis_url: str
    kafka: KafkaSettings
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
    topic: str
    dead_letter_topic: str
    agents_topic: str
    partitions: int
    replication_factor: int
    encoding: str
    spool_dir: Path
    spool_limit: int
    pii: str
    pii_key: str
    metrics_port: int
    log_level: str
    startup_timeout: float
    environment: dict[str, str]

    def __repr__(self) -> str:
        return f"Settings(namespace={self.namespace!r}, region={self.region!r})"

    def require_clients(self) -> tuple[OAuthClient, ...]:
        """The OAuth clients, for a command that talks to Genesys.

        Raises `SettingsError` where none is configured.
        """
        if not self.clients:
            raise SettingsError(
                "GENESYS_CLIENT_ID is not set: it and GENESYS_CLIENT_SECRET take an OAuth client "
                "with the client-credentials grant, or GENESYS_CLIENTS several as id:secret"
            )
        return self.clients


class _Reader:
    """Reads variables from one environment and remembers what was in force."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.read: dict[str, str] = {}

    def text(self, name: str, default: str = "") -> str:
        value = self.environ.get(name, "")
        path = self.environ.get(f"{name}_FILE", "")
        if not value and path:
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not UTF-8 text"
                raise SettingsError(
                    f"{name}_FILE is {path!r}, which cannot be read ({reason}): "
                    f"it takes the path of a file that holds {name}"
                ) from error
        value = value or default
        self.read[name] = value
        return value

    def parse(self, name: str, default: str, parser: Callable[[str], T]) -> T:
        value = self.text(name, default)
        try:
            return parser(value)
        except ValueError as error:
            held = "holds a value of another form" if name in _SECRET_NAMES else f"is {value!r}"
            raise SettingsError(f"{name} {held}: it takes {error}") from None


def _choice(*options: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.strip().lower() not in options:
            raise ValueError("one of " + ", ".join(options))
        return text.strip().lower()

    return parse


def _between(least: int, most: int) -> Callable[[str], int]:
    return lambda text: whole(text, least, most)


def _positive_duration(text: str) -> float:
    seconds = duration(text)
    if seconds <= 0:
        raise ValueError("a duration above zero such as 250ms, 35s, 5m or 4h")
    return seconds


def _region(text: str) -> str:
    if not _HOST.fullmatch(text) or "." not in text:
        raise ValueError("a region domain such as mypurecloud.com or usw2.pure.cloud")
    return text.lower()


def _base_url(text: str) -> str:
    if not text:
        return ""
    expected = "a base URL such as https://api.mypurecloud.com"
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid:
        raise ValueError(expected)
    if parts.username or parts.password:
        raise ValueError(expected + ", without a user name or password")
    return text.rstrip("/")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("letters, digits, dots, dashes and underscores, at most 100")
    return text


def _topic_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", text) or text in {".", ".."}:
        raise ValueError("a Kafka topic name: letters, digits, dots, dashes, underscores")
    return text


def _redis_url(text: str) -> str:
    expected = (
        "redis://host:port/db, rediss://…, unix:///path or "
        "redis+sentinel://host:port,host:port/service/db"
    )
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in {"redis", "rediss", "unix", "redis+sentinel"}:
        raise ValueError(expected)
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError(expected)
    elif not parts.netloc.rpartition("@")[2]:
        raise ValueError(expected)
    return text


def _servers(text: str) -> str:
    servers = [part.strip() for part in text.split(",") if part.strip()]
    if not servers or not all(
        re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:/@]+):\d{1,5}", s) for s in servers
    ):
        raise ValueError("host:port, or several separated by commas")
    return ",".join(servers)


def _kafka_url(text: str) -> str:
    """`host:port,…` from `kafka+ssl://host:port,…`; empty where unset."""
    if not text:
        return ""
    servers = []
    for url in text.split(","):
        scheme, _, rest = url.strip().partition("://")
        if scheme not in {"kafka", "kafka+ssl"}:
            raise ValueError("kafka+ssl://host:port, or several separated by commas")
        servers.append(rest.rstrip("/"))
    try:
        return _servers(",".join(servers))
    except ValueError:
        raise ValueError("kafka+ssl://host:port, or several separated by commas") from None


def _clients(text: str) -> tuple[OAuthClient, ...]:
    clients = []
    for part in (part.strip() for part in text.split(",")):
        if not part:
            continue
        client_id, colon, secret = part.partition(":")
        if not (client_id and colon and secret):
            raise ValueError("id:secret, or several separated by commas")
        clients.append(OAuthClient(client_id, secret))
    if len({client.id for client in clients}) != len(clients):
        raise ValueError("id:secret pairs, each id once")
    return tuple(clients)


def _globs(text: str) -> tuple[str, ...]:
    globs = tuple(part.strip() for part in text.split(",") if part.strip())
    if not globs:
        raise ValueError("* or ids and name globs separated by commas")
    return globs


def _subscribe(text: str) -> tuple[str, ...]:
    families = tuple(
        dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip())
    )
    if not families or not set(families) <= {*FAMILIES, "agents"}:
        raise ValueError("queues, users and agents, separated by commas")
    return families


def _zombie_after(text: str) -> tuple[float, dict[str, float]]:
    general: float | None = None
    media: dict[str, float] = {}
    for part in (part.strip() for part in text.split(",")):
        medium, equals, value = part.rpartition("=")
        try:
            seconds = _positive_duration(value)
        except ValueError:
            raise ValueError(f"durations such as {DEFAULT_ZOMBIE_AFTER}") from None
        if equals:
            media[medium.strip().lower()] = seconds
        else:
            general = seconds
    if general is None:
        raise ValueError(
            f"a general duration and others per medium, such as {DEFAULT_ZOMBIE_AFTER}"
        )
    return general, media


def _default_spool_dir(environ: Mapping[str, str]) -> str:
    state = environ.get("XDG_STATE_HOME") or str(
        Path(environ.get("HOME", "/var/lib")) / ".local/state"
    )
    return str(Path(state) / "interaction-mirror" / "spool")


def _kafka(reader: _Reader) -> KafkaSettings:
    heroku = reader.parse("KAFKA_URL", "", _kafka_url)
    explicit = reader.text("KAFKA_BOOTSTRAP_SERVERS")
    servers = reader.parse(
        "KAFKA_BOOTSTRAP_SERVERS", explicit or heroku or "127.0.0.1:9092", _servers
    )
    properties = {"bootstrap.servers": servers}
    from_heroku = bool(heroku) and not explicit
    if from_heroku and "kafka+ssl" in reader.read["KAFKA_URL"]:
        properties["security.protocol"] = "SSL"
    for name, key, parser in (
        (
            "KAFKA_SECURITY_PROTOCOL",
            "security.protocol",
            _choice("plaintext", "ssl", "sasl_plaintext", "sasl_ssl"),
        ),
        (
            "KAFKA_SASL_MECHANISM",
            "sasl.mechanism",
            _choice("plain", "scram-sha-256", "scram-sha-512"),
        ),
        ("KAFKA_SASL_USERNAME", "sasl.username", str),
        ("KAFKA_SASL_PASSWORD", "sasl.password", str),
        ("KAFKA_TRUSTED_CERT", "ssl.ca.pem", str),
        ("KAFKA_CLIENT_CERT", "ssl.certificate.pem", str),
        ("KAFKA_CLIENT_CERT_KEY", "ssl.key.pem", str),
    ):
        if reader.text(name):
            value = reader.parse(name, "", parser)
            properties[key] = (
                value.upper() if key in {"security.protocol", "sasl.mechanism"} else value
            )
    if from_heroku and "ssl.ca.pem" in properties:
        # Heroku's brokers present certificates of a CA made for the one cluster, without their
        # host names; trust rests on that CA alone.
        properties["ssl.endpoint.identification.algorithm"] = "none"
    for name in sorted(reader.environ):
        if name.startswith("KAFKA_CONF_") and not name.endswith("_FILE"):
            key = name.removeprefix("KAFKA_CONF_").lower().replace("_", ".")
            properties[key] = reader.text(name)
    return KafkaSettings(properties=properties, prefix=reader.text("KAFKA_PREFIX"))


def _oauth_clients(reader: _Reader) -> tuple[OAuthClient, ...]:
    several = reader.parse("GENESYS_CLIENTS", "", _clients)
    client_id, secret = reader.text("GENESYS_CLIENT_ID"), reader.text("GENESYS_CLIENT_SECRET")
    if several:
        return several
    if bool(client_id) != bool(secret):
        missing = "GENESYS_CLIENT_SECRET" if client_id else "GENESYS_CLIENT_ID"
        raise SettingsError(f"{missing} is not set: it belongs to its other half, set both or none")
    return (OAuthClient(client_id, secret),) if client_id else ()


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check all settings. `environ` is the process environment where not given.

    Raises `SettingsError` for the first setting that does not parse or contradicts another.
    """
    reader = _Reader(os.environ if environ is None else environ)
    parse, text = reader.parse, reader.text
    region = parse("GENESYS_REGION", "mypurecloud.com", _region)
    api_url = parse("GENESYS_API_URL", "", _base_url)
    login_url = parse("GENESYS_LOGIN_URL", "", _base_url)
    subscribe = parse("MIRROR_SUBSCRIBE", "queues,users", _subscribe)
    zombie_after, zombie_after_media = parse(
        "MIRROR_ZOMBIE_AFTER", DEFAULT_ZOMBIE_AFTER, _zombie_after
    )
    heartbeat = parse("MIRROR_HEARTBEAT", "2s", _positive_duration)
    lease = parse("MIRROR_LEASE", "8s", _positive_duration)
    if lease < 2 * heartbeat:
        raise SettingsError(
            f"MIRROR_LEASE is '{show_duration(lease)}': it takes at least twice MIRROR_HEARTBEAT "
            f"({show_duration(heartbeat)}), or one late beat would count as a death"
        )
    kafka = _kafka(reader)
    pii = parse("MIRROR_PII", "drop", _choice("drop", "hash", "keep"))
    pii_key = text("MIRROR_PII_KEY")
    if pii == "hash" and not pii_key:
        raise SettingsError("MIRROR_PII_KEY is not set: MIRROR_PII=hash takes a secret key there")
    return Settings(
        region=region,
        clients=_oauth_clients(reader),
        api_url=api_url or f"https://api.{region}",
        login_url=login_url or _login_url(api_url, region),
        custom_urls=bool(api_url),
        redis_url=parse("REDIS_URL", "redis://127.0.0.1:6379/0", _redis_url),
        kafka=kafka,
        namespace=parse("MIRROR_NAMESPACE", "default", _name),
        families=tuple(family for family in subscribe if family != "agents"),
        agents="agents" in subscribe,
        queues=parse("MIRROR_QUEUES", "*", _globs),
        users=parse("MIRROR_USERS", "*", _globs),
        replicas=parse("MIRROR_REPLICAS", "2", _between(1, 4)),
        topics_per_channel=parse(
            "MIRROR_TOPICS_PER_CHANNEL", "1000", _between(1, MAX_TOPICS_PER_CHANNEL)
        ),
        channels_per_client=parse(
            "MIRROR_CHANNELS_PER_CLIENT", "20", _between(1, MAX_CHANNELS_PER_CLIENT)
        ),
        host=parse("MIRROR_HOST", socket.gethostname(), _name),
        heartbeat=heartbeat,
        lease=lease,
        silence=parse("MIRROR_SILENCE", "35s", _positive_duration),
        discovery_interval=parse("MIRROR_DISCOVERY_INTERVAL", "5m", _positive_duration),
        zombie_after=zombie_after,
        zombie_after_media=zombie_after_media,
        janitor_interval=parse("MIRROR_JANITOR_INTERVAL", "60s", _positive_duration),
        topic=kafka.prefix + parse("MIRROR_TOPIC", "genesys-interactions", _topic_name),
        dead_letter_topic=kafka.prefix
        + parse("MIRROR_DEAD_LETTER_TOPIC", "genesys-interactions.dlq", _topic_name),
        agents_topic=kafka.prefix + parse("MIRROR_AGENTS_TOPIC", "genesys-agents", _topic_name),
        partitions=parse("MIRROR_PARTITIONS", "12", _between(1, 10_000)),
        replication_factor=parse("MIRROR_REPLICATION_FACTOR", "3", _between(1, 100)),
        encoding=parse("MIRROR_ENCODING", "json", _choice("json", "msgpack")),
        spool_dir=Path(text("MIRROR_SPOOL_DIR", _default_spool_dir(reader.environ))),
        spool_limit=parse("MIRROR_SPOOL_LIMIT", "1GiB", size),
        pii=pii,
        pii_key=pii_key,
        metrics_port=parse("MIRROR_METRICS_PORT", "0", _between(0, 65_535)),
        log_level=parse("MIRROR_LOG_LEVEL", "info", _choice("debug", "info", "warning", "error")),
        startup_timeout=parse("MIRROR_STARTUP_TIMEOUT", "30s", duration),
        environment=reader.read,
    )


def _login_url(api_url: str, region: str) -> str:
    """The login host that goes with an API host: `//api.` becomes `//login.`, as in Genesys' SDK.

    A gateway or simulator on one host serves both, so any other URL stands for itself.
    """
    if not api_url:
        return f"https://login.{region}"
    return api_url.replace("//api.", "//login.", 1)


def describe(settings: Settings) -> dict[str, str]:
    """Variable → what is in force, for `mirror doctor --settings`. Secrets are masked."""
    return {name: _masked(name, value) for name, value in sorted(settings.environment.items())}


def _masked(name: str, value: str) -> str:
    if not value:
        return ""
    if name == "REDIS_URL":
        return re.sub(r"//[^@/]*@", "//***@", value)
    if name == "GENESYS_CLIENTS":
        return ",".join(f"{part.partition(':')[0].strip()}:***" for part in value.split(","))
    if name in _SECRET_NAMES or _looks_secret(name):
        return "***"
    if "PRIVATE KEY" in value:
        return "***"
    return (
        value if len(value) <= 200 else f"{value[:60].splitlines()[0]}… ({len(value)} characters)"
    )


def _looks_secret(name: str) -> bool:
    return any(word in name for word in ("SECRET", "PASSWORD", "KEY", "TOKEN", "CREDENTIAL"))
