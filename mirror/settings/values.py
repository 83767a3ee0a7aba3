"""Parsers for each kind of setting. They raise `ValueError` with the accepted form.

The text follows "takes" in the one line that a user sees, so it names the form, never the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

from mirror.base.units import duration, whole
from mirror.conversation.schema import MEDIA
from mirror.settings.model import OAuthClient

Choice = TypeVar("Choice", bound=str)

# The media whose conversations live for days by nature (callbacks are scheduled, e-mails and
# messages wait for people) are verified later than calls and chats.
DEFAULT_ZOMBIE_AFTER: Final = "4h,callback=72h,email=72h,message=72h"
FAMILIES: Final = ("queues", "users")

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_REGION: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
# A host or URL of Genesys: the scheme, the host's first label, and the region's domain after them.
_REGION_HOST: Final = re.compile(
    rf"(?:https?://)?(?:(?:api|apps|login|streaming)\.)?({_REGION.pattern})\.?(?:[:/?#].*)?"
)
_SERVER: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:/@]+):\d{1,5}")
MAX_PORT: Final = 65_535
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


def choice(*options: Choice) -> Callable[[str], Choice]:
    """One of `options`, in any case."""

    def parse(text: str) -> Choice:
        for option in options:
            if option == text.strip().lower():
                return option
        raise ValueError("one of " + ", ".join(options))

    return parse


def between(least: int, most: int) -> Callable[[str], int]:
    """A whole number from `least` to `most`."""
    return lambda text: whole(text, least, most)


def positive_duration(text: str) -> float:
    """Seconds, more than 0."""
    seconds = duration(text)
    if seconds <= 0:
        raise ValueError("a duration above zero such as 250ms, 35s, 5m, 4h or 31d")
    return seconds


def share(text: str) -> float:
    """A share from 0.01 to 1."""
    expected = "a share from 0.01 to 1, such as 0.6"
    try:
        value = float(text)
    except ValueError:
        raise ValueError(expected) from None
    if not 0.01 <= value <= 1:
        raise ValueError(expected)
    return value


def line(text: str) -> str:
    """Text on one line; may be empty."""
    if _CONTROL.search(text):
        raise ValueError("text on one line, without control characters")
    return text


def word(text: str) -> str:
    """Text without white space, as ids and secrets are; may be empty."""
    if _CONTROL.search(text) or re.search(r"\s", text):
        raise ValueError("text without white space or control characters")
    return text


def region(text: str) -> str:
    """A region domain; hosts are named after it. Regions that we do not know are taken too."""
    lower = text.lower()
    found = _REGION_HOST.fullmatch(lower)
    if found is None or "@" in text:
        raise ValueError("a region domain such as mypurecloud.com or usw2.pure.cloud")
    if found[1] != lower:
        raise ValueError(f"the region's domain alone, here {found[1]}")
    return lower


def base_url(text: str) -> str:
    """An http(s) base URL without credentials and without a slash at the end; may be empty.

    Paths are appended to it, so it has no query and no fragment.
    """
    if not text:
        return ""
    expected = "a base URL such as https://api.mypurecloud.com"
    word(text)  # urlsplit drops line feeds and tabs; the clients that connect do not
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(expected) from None
    is_base = parts.scheme in {"http", "https"} and not re.search(r"[?#]", text)
    if not is_base or not parts.hostname or not port_is_valid:
        raise ValueError(expected)
    if parts.username or parts.password:
        raise ValueError(expected + ", without a user name or password")
    return text.rstrip("/")


def name(text: str) -> str:
    """A name that is safe in Redis keys, file names and client ids."""
    if not _NAME.fullmatch(text):
        raise ValueError("letters, digits, dots, dashes and underscores, at most 100")
    return text


def topic_name(text: str) -> str:
    """A Kafka topic name."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", text) or text in {".", ".."}:
        raise ValueError("a Kafka topic name: letters, digits, dots, dashes, underscores")
    return text


def topic_prefix(text: str) -> str:
    """The prefix of topics and groups; may be empty."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,200}", text):
        raise ValueError("the beginning of a Kafka topic name: letters, digits, ., - and _")
    return text


def pem(kind: str) -> Callable[[str], str]:
    r"""PEM with a block whose label ends with `kind`. `\n` may stand for an end of line.

    Some platforms keep a variable on one line.
    """

    def parse(text: str) -> str:
        text = text.replace("\\n", "\n") if "\n" not in text else text
        block = f"-----BEGIN [A-Z ]*{kind}-----.*-----END [A-Z ]*{kind}-----"
        if not re.search(block, text, re.DOTALL):
            raise ValueError(f"PEM text with -----BEGIN {kind}-----")
        return text.strip() + "\n"

    return parse


def servers(text: str) -> str:
    """`host:port,…` as librdkafka takes it."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(map(_SERVER.fullmatch, parts)):
        raise ValueError("host:port, or several separated by commas")
    if not all(0 < int(part.rpartition(":")[2]) <= MAX_PORT for part in parts):
        raise ValueError(f"host:port with a port from 1 to {MAX_PORT}")
    return ",".join(parts)


def kafka_url(text: str) -> str:
    """`host:port,…` from `kafka+ssl://host:port,…`; empty if unset."""
    if not text:
        return ""
    found = []
    for url in text.split(","):
        scheme, _, rest = url.strip().partition("://")
        if scheme not in {"kafka", "kafka+ssl"}:
            raise ValueError("kafka+ssl://host:port, or several separated by commas")
        found.append(rest.rstrip("/"))
    try:
        return servers(",".join(found))
    except ValueError:
        raise ValueError("kafka+ssl://host:port, or several separated by commas") from None


def clients(text: str) -> tuple[OAuthClient, ...]:
    """`id:secret,…`, each id once."""
    found = []
    for part in (part.strip() for part in text.split(",")):
        if not part:
            continue
        client_id, colon, secret = part.partition(":")
        client_id, secret = client_id.strip(), secret.strip()
        if not (client_id and colon and secret):
            raise ValueError("id:secret, or several separated by commas")
        found.append(OAuthClient(word(client_id), word(secret)))
    if text and not found:
        raise ValueError("id:secret, or several separated by commas")
    if len({client.id for client in found}) != len(found):
        raise ValueError("id:secret pairs, each id once")
    return tuple(found)


def globs(text: str) -> tuple[str, ...]:
    """Ids and name globs."""
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not parts:
        raise ValueError("* or ids and name globs separated by commas")
    return parts


def subscribe(text: str) -> tuple[str, ...]:
    """The families to mirror."""
    families = tuple(
        dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip())
    )
    if not families or not set(families) <= {*FAMILIES, "agents"}:
        raise ValueError("queues, users and agents, separated by commas")
    return families


def zombie_after(text: str) -> tuple[float, dict[str, float]]:
    """The general age in seconds, and medium → age in seconds."""
    general: float | None = None
    media: dict[str, float] = {}
    seen: set[str] = set()
    for part in (part.strip() for part in text.split(",")):
        medium, equals, value = part.rpartition("=")
        try:
            seconds = positive_duration(value)
        except ValueError:
            raise ValueError(f"durations such as {DEFAULT_ZOMBIE_AFTER}") from None
        medium = medium.strip().lower()
        if equals and medium not in MEDIA:
            raise ValueError(
                f"durations such as {DEFAULT_ZOMBIE_AFTER}, for media among {', '.join(MEDIA)}"
            )
        if medium in seen:
            raise ValueError(f"each duration once, such as {DEFAULT_ZOMBIE_AFTER}")
        seen.add(medium)
        if equals:
            media[medium] = seconds
        else:
            general = seconds
    if general is None:
        raise ValueError(
            f"a general duration and others per medium, such as {DEFAULT_ZOMBIE_AFTER}"
        )
    return general, media


def listen_host(text: str) -> str:
    """A name or address to listen on."""
    host = text.strip("[]")
    if not re.fullmatch(r"[0-9A-Za-z.:-]+", host):
        raise ValueError("an address or name of this machine, such as 127.0.0.1 or 0.0.0.0")
    return host


def listen_hosts(text: str) -> tuple[str, ...]:
    """Addresses to listen on."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found:
        raise ValueError("addresses of this machine, such as 127.0.0.1 or ::,0.0.0.0")
    return tuple(map(listen_host, found))


def header_name(text: str) -> str:
    """The name of an HTTP header, empty if unset."""
    if text and not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", text):
        raise ValueError("the name of an HTTP header, such as X-Forwarded-User")
    return text
