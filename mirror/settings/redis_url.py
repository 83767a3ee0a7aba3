"""The forms of `REDIS_URL` that `mirror.redis.connect` takes, and the messages on others."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from mirror.settings.values import MAX_PORT

_PARAMETERS: Final = frozenset({"db"})
_SENTINEL_PARAMETERS: Final = frozenset({"sentinel_username", "sentinel_password"})
_TLS_PARAMETERS: Final = frozenset(
    {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}
)
_CHOICES: Final = {
    "ssl_cert_reqs": ("required", "none"),
    "ssl_check_hostname": ("true", "false"),
}
_ADDRESS: Final = re.compile(r"\s*(\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+)(:\d{1,5})?\s*")


def redis_url(text: str) -> str:
    """Check the URL; it stays as it is."""
    try:
        return _checked(text)
    except ValueError as error:
        if "@" not in text:
            raise
        # Such a character moves a part of the password into the host, the path, a parameter or the
        # fragment, so the URL may be wrong in any of them.
        raise ValueError(
            f"{error}; user and password are percent-encoded: @ is %40, / is %2F, # is %23, ? is "
            "%3F, % is %25"
        ) from None


def _checked(text: str) -> str:
    expected = (
        "redis://host:port/db, rediss://…, unix:///path or "
        "redis+sentinel://host:port,host:port/service/db (rediss+sentinel:// with TLS)"
    )
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in {"redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel"}:
        raise ValueError(expected)
    if not text.startswith(f"{parts.scheme}://"):  # redis-py takes no capitals
        raise ValueError(expected)
    if parts.scheme == "unix":
        # Of unix://run/redis.sock the client would take /redis.sock.
        if not parts.path or parts.netloc.rpartition("@")[2]:
            raise ValueError(expected)
    elif not parts.netloc.rpartition("@")[2]:
        raise ValueError(expected)
    db = parts.path.strip("/") if parts.scheme in {"redis", "rediss"} else ""
    if db and not db.isdecimal():
        raise ValueError(expected)
    # Messages would show a part of the password that is taken for the host or the path.
    addresses = parts.netloc.rpartition("@")[2].split(",")
    if parts.scheme != "unix" and not all(map(_ADDRESS.fullmatch, addresses)):
        raise ValueError(expected)
    if "@" in parts.path or parts.fragment or (len(addresses) > 1 and "+" not in parts.scheme):
        raise ValueError(expected)
    if parts.scheme != "unix" and not all(map(_is_port, addresses)):
        raise ValueError(f"{expected}, with ports from 1 to {MAX_PORT}")
    if parts.scheme.endswith("+sentinel"):
        _check_sentinel_path(parts.scheme, parts.path)
    _check_parameters(parts.scheme, parts.query)
    return text


def _check_sentinel_path(scheme: str, path: str) -> None:
    """Refuse a path without a service, and a number alone: that is a database without one."""
    service, _, db = path.removeprefix("/").partition("/")
    is_number_alone = service.isdecimal() and not db
    if not service or is_number_alone or (db and not db.isdecimal()):
        raise ValueError(
            f"{scheme}://host:port,host:port/service/db, where service is the name under which "
            "the Sentinels watch the server"
        )


def _is_port(address: str) -> bool:
    """Whether the port of a Redis address is one, or none is given."""
    port = _ADDRESS.fullmatch(address)
    return port is None or port[2] is None or 0 < int(port[2][1:]) <= MAX_PORT


def _check_parameters(scheme: str, query: str) -> None:
    """Refuse unknown parameters: a misspelt one must not weaken a connection unnoticed."""
    parameters = parse_qs(query, keep_blank_values=True)
    known = set(_SENTINEL_PARAMETERS if scheme.endswith("+sentinel") else _PARAMETERS)
    if scheme.startswith("rediss"):
        known |= _TLS_PARAMETERS
    if not set(parameters) <= known or any(len(given) > 1 for given in parameters.values()):
        raise ValueError(
            f"{scheme}:// with no other parameters than {', '.join(sorted(known))}, each once"
            + ("" if scheme.startswith("rediss") else " (those of TLS belong to rediss://)")
        )
    if not all(value.isdecimal() for value in parameters.get("db", ())):
        raise ValueError("db=0 or another number in its parameters")
    for parameter, options in _CHOICES.items():
        if any(value not in options for value in parameters.get(parameter, ())):
            raise ValueError(f"{parameter}={' or '.join(options)} in its parameters")
