"""What Genesys' system messages ask of a channel. Pure.

A topic that begins with `v2.system.` says that a socket closes soon, that the channel is subscribed
no more, or that its token was revoked: a successor is wanted. Another one asks to set the topics
again, since they expire. Topics compare without case; unknown ones ask for nothing.

Sources: docs/protocol.md, "Sockets".
"""

from __future__ import annotations

from typing import Final

#: The list of topics is to be set again.
RENEW: Final = "renew"

_REQUESTS: Final = {
    "v2.system.socket_closing": "socket_closing",
    "v2.system.no_longer_subscribed": "no_longer_subscribed",
    "v2.system.token_revoked": "token_revoked",
    "streaming-subscriptions-expiring": RENEW,
}


def requested(topic: str) -> str:
    """Why the channel wants a successor, `RENEW`, or empty where nothing is asked."""
    plain = topic.lower()
    return next((what for begin, what in _REQUESTS.items() if plain.startswith(begin)), "")
