"""Chooses the proxy for a host by `HTTPS_PROXY` and `NO_PROXY`, for REST and WebSockets. Pure.

Both variables are also read in lower case, which wins, as with curl. `HTTPS_PROXY` is
`http://user:password@host:port`; user and password are percent-encoded or absent. The mirror asks
the proxy for a tunnel (`CONNECT`), so the proxy sees only host and port. Plain `http://` and `ws://`
(a simulator, a gateway on this machine) never use it. `NO_PROXY` is a list with commas: `*`, hosts
with all hosts below them, `host:port`, addresses and networks (`10.0.0.0/8`).
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from mirror.base.errors import SettingsError

DEFAULT_PORT: Final = 80
_MOST_PORT: Final = 65_535
_FORM: Final = (
    "HTTPS_PROXY holds a value of another form: it takes http://host:port or "
    "http://user:password@host:port, where user and password are percent-encoded"
)


class Proxy(msgspec.Struct, frozen=True):
    """A proxy that makes tunnels. `authorization` is a secret, empty if none is set."""

    host: str
    port: int
    authorization: str = ""

    @property
    def name(self) -> str:
        """The proxy's address without its secret."""
        return f"{bracketed(self.host)}:{self.port}"

    def __repr__(self) -> str:
        return f"Proxy({self.name})"


def proxy_for(host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for TLS to `host:port`, None for a direct connection.

    Raises `SettingsError` if `HTTPS_PROXY` does not parse; its text does not hold the value.
    """
    url = _either(environ, "https_proxy")
    if not url or _excluded(host, port, _either(environ, "no_proxy")):
        return None
    return _parsed(url)


def check_proxy(environ: Mapping[str, str]) -> None:
    """Raise the `SettingsError` of `HTTPS_PROXY`, whatever `NO_PROXY` is."""
    proxy_for("api.invalid", 443, {**environ, "NO_PROXY": "", "no_proxy": ""})


def bracketed(host: str) -> str:
    """The host as written before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def _either(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _parsed(url: str) -> Proxy:
    if "://" not in url:
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(_FORM) from None
    if parts.scheme != "http":
        raise SettingsError(f"{_FORM}; proxies that speak TLS or SOCKS themselves cannot be used")
    # A password that is not percent-encoded would be parsed as a part of the host or the path.
    if not host or "@" in parts.path or parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError(_FORM)
    authorization = ""
    if parts.username or parts.password:
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    return Proxy(host, DEFAULT_PORT if port is None else port, authorization)


def _excluded(host: str, port: int, listed: str) -> bool:
    host = host.lower().strip("[]").rstrip(".")
    address = _address(host)
    return any(
        _matches(host, address, port, entry.strip().lower())
        for entry in listed.split(",")
        if entry.strip()
    )


def _matches(
    host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int, entry: str
) -> bool:
    if entry == "*":
        return True
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass  # no address; the next lines try a port and a name
    name, colon, digits = entry.rpartition(":")
    if colon and digits.isdecimal() and len(digits) <= len(str(_MOST_PORT)):
        if int(digits) != port:
            return False
        entry = name.strip("[]")
    entry = entry.removeprefix("*").strip(".")
    return bool(entry) and (host == entry or (address is None and host.endswith(f".{entry}")))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
