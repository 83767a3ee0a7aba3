"""Checks that sockets can be opened: the way to the streaming host, through any proxy.

REST may work while WebSockets do not: they use another host, a firewall may know only the first, or
a proxy may inspect TLS and block `Upgrade`. So the check makes one handshake with a channel that
does not exist and judges the answer. It creates no channel: Genesys closes the oldest beyond 20,
and has no call that closes this one.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from mirror.base.errors import EXIT_DEPENDENCY, GenesysError
from mirror.checks.finding import Finding, bad, doubtful, good
from mirror.genesys.sockets import GONE, open_socket, tls_context
from mirror.settings import Settings

_USER_AGENT: Final = "interaction-mirror doctor"
_SUBJECT: Final = "Genesys sockets"
_CURE: Final = (
    "let this machine reach it on port 443 by WebSocket, or set HTTPS_PROXY and NO_PROXY: "
    'docs/tls.md, "A proxy"'
)


def check_socket(settings: Settings) -> Iterator[Finding]:
    """One finding; none if no OAuth client is set."""
    if not settings.clients:
        return
    url = streaming_url(settings)
    try:
        open_socket(f"{url}/channels/{secrets.token_hex(16)}", tls_context(), _USER_AGENT).close()
    except GenesysError as error:
        yield answered(url, error)
        return
    yield good("genesys.socket", _SUBJECT, f"open at {url}")


def streaming_url(settings: Settings) -> str:
    """The URL of channels: the streaming host, or the API's own host if that is set by hand."""
    if not settings.custom_urls:
        return f"wss://streaming.{settings.region}"
    api = urlsplit(settings.api_url)
    return f"{'wss' if api.scheme == 'https' else 'ws'}://{api.netloc}"


def answered(url: str, error: GenesysError) -> Finding:
    """The finding on a handshake with an unknown channel that failed by `error`."""
    if error.status in GONE:
        return good("genesys.socket", _SUBJECT, f"{url} answers handshakes")
    if error.status:
        return doubtful(
            "genesys.socket",
            _SUBJECT,
            f"{url} answers a handshake with {error.status}",
            "if no channel opens either, something in between lets no WebSocket pass: a proxy "
            "that looks into TLS, or a gateway",
        )
    return bad("genesys.socket", _SUBJECT, f"{url}: {error}", _CURE, EXIT_DEPENDENCY)
