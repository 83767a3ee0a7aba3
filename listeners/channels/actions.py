"""Actions: a channel's requests to its shell. An action with a number is answered by an input.

Handles are secrets: an action is never logged whole.
"""

from __future__ import annotations

import msgspec

from mirror.genesys.handles import Handle


class Reserve(msgspec.Struct, frozen=True):
    """Reserve a channel of the grant's client (I5)."""

    number: int


class Create(msgspec.Struct, frozen=True):
    """Create a channel."""

    number: int


class Connect(msgspec.Struct, frozen=True):
    """Open the socket of `handle`, and close the open one first."""

    number: int
    handle: Handle


class Subscribe(msgspec.Struct, frozen=True):
    """PUT the full list of topics. This renews the channel; `read_expiry` asks for its new end."""

    number: int
    handle: Handle
    topics: tuple[str, ...]
    read_expiry: bool = False


class Verify(msgspec.Struct, frozen=True):
    """GET the topics that are set."""

    number: int
    handle: Handle


class SendPing(msgspec.Struct, frozen=True):
    """Send Genesys' own ping; its pong counts as traffic."""


class Close(msgspec.Struct, frozen=True):
    """Close the socket."""


class Release(msgspec.Struct, frozen=True):
    """Give the reservation back, and `handle` too if the channel can serve the next holder."""

    handle: Handle | None


Action = Reserve | Create | Connect | Subscribe | Verify | SendPing | Close | Release
