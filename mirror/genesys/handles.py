"""A channel's handle: the id and URI that open its socket. Both are secrets."""

from __future__ import annotations

import msgspec


class Handle(msgspec.Struct, frozen=True):
    """A channel as Genesys gave it. Its `repr` shows the id shortened."""

    id: str
    uri: str

    def __repr__(self) -> str:
        return f"Handle({shorten(self.id)})"


def shorten(channel_id: str) -> str:
    """A channel id shortened for people: the whole id is the secret that opens its socket.

    `streaming-4-h0ghbrbgoj6p1s60th821d9278` becomes `streaming-4-h0gh…`.
    """
    head, dash, tail = channel_id.rpartition("-")
    return f"{head}{dash}{tail[:4]}…" if tail else ""
