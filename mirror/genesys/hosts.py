"""Decides on which hosts a channel's socket may be.

A `connectUri` comes from the network. It is trusted only within the configured region, or on the
API host if that is set by hand (a gateway, the simulator). Otherwise a forged answer could send a
listener anywhere.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from mirror.base.errors import GenesysError
from mirror.genesys.refusals import is_word
from mirror.settings import Settings


def check_stream_uri(uri: str, settings: Settings) -> None:
    """Raise `GenesysError` that names the host if a channel's `uri` is not trusted.

    Regions: `wss://` to the region domain or below it. Custom URLs: the API's own host, also by
    `ws://` if the API itself is plain HTTP.
    """
    try:
        parts = urlsplit(uri if is_word(uri) else "")
        host = (parts.hostname or "").lower()
        _ = parts.port  # raises where it is no number of a port
    except ValueError:
        parts, host = urlsplit(""), ""
    if settings.custom_urls:
        api = urlsplit(settings.api_url)
        schemes = {"wss"} if api.scheme == "https" else {"ws", "wss"}
        trusted, wanted = host == (api.hostname or "").lower(), api.hostname
    else:
        schemes = {"wss"}
        trusted = host == settings.region or host.endswith(f".{settings.region}")
        wanted = f"a host of {settings.region}"
    if not host or not trusted:
        raise GenesysError(
            f"Genesys names a channel on host {host or '(none)'}, which is not {wanted}: "
            "check GENESYS_REGION and GENESYS_API_URL"
        )
    if parts.scheme not in schemes:
        raise GenesysError(
            f"Genesys names a channel on {parts.scheme}://{host}, not over TLS: it is not opened"
        )
