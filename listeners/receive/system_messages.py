"""Genesys' system messages and their requests to a channel. Pure.

A topic that begins with `v2.system.` says that a socket closes soon, that the channel lost its
subscriptions, or that its token was revoked: the channel needs a successor. Another topic asks to
set the topics again, because they expire. Topics compare without case; unknown topics are ignored.

Sources: docs/protocol.md, "Sockets".
"""

from __future__ import annotations

from typing import Final

#: The list of topics must be set again.
RENEW: Final = "renew"

_REQUESTS: Final = {
    "v2.system.socket_closing": "socket_closing",
    "v2.system.no_longer_subscribed": "no_longer_subscribed",
    "v2.system.token_revoked": "token_revoked",
    "streaming-subscriptions-expiring": RENEW,
}


def requested(topic: str) -> str:
    """Why the channel needs a successor, or `RENEW`, or empty for no request."""
    plain = topic.lower()
    return next((request for begin, request in _REQUESTS.items() if plain.startswith(begin)), "")
