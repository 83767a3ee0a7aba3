"""Ids in the forms that Genesys uses, from a given random source."""

from __future__ import annotations

import random
import re

_BASE32 = "0123456789abcdefghijklmnopqrstuv"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def uuid_from(rng: random.Random) -> str:
    """A version 4 UUID as text."""
    h = f"{rng.getrandbits(128):032x}"
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"


def channel_id_from(rng: random.Random) -> str:
    """`streaming-<digit>-<26 base-32 digits>`, as recorded in 2022 (docs/protocol.md,
    "Channels")."""
    tail = "".join(_BASE32[rng.getrandbits(5)] for _ in range(26))
    return f"streaming-{rng.randrange(10)}-{tail}"


def token_from(rng: random.Random) -> str:
    """An opaque bearer token of the length that Genesys hands out."""
    return f"{rng.getrandbits(344):086x}"
