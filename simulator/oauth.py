"""OAuth clients and their tokens (docs/protocol.md, "Tokens"). Pure: takes the Genesys time,
returns data.

A client may have several tokens at once; a new token does not end the others. The
client-credentials grant has no scopes. The permissions of the client's role apply in the divisions
in which the role is granted. By default a client has only the documented role: a more generous test
double would hide gaps in the documentation.
"""

from __future__ import annotations

import base64
import binascii
import random
from collections.abc import Iterable

import msgspec

from simulator.ids import token_from

DEFAULT_TTL_SECONDS = 86_400
#: The role that docs/permissions.md asks for; a test compares the two.
DOCUMENTED_ROLE = frozenset(
    {
        "conversation:communication:view",
        "routing:queue:view",
        "analytics:conversationDetail:view",
    }
)


class OAuthClient(msgspec.Struct):
    """A client-credentials client of the org.

    `divisions` are the numbers (from 1) of the divisions in which its role is granted. None: all.
    """

    id: str
    secret: str
    ttl_seconds: int = DEFAULT_TTL_SECONDS
    permissions: frozenset[str] = DOCUMENTED_ROLE
    divisions: frozenset[int] | None = None
    disabled: bool = False

    @property
    def rights(self) -> frozenset[str]:
        """Its permissions. Empty if the role is granted in no division."""
        return frozenset() if self.divisions == frozenset() else self.permissions

    def sees(self, divisions: Iterable[int]) -> bool:
        """Whether the role is granted in one of these divisions."""
        return self.divisions is None or not self.divisions.isdisjoint(divisions)

    @classmethod
    def parse(cls, text: str) -> OAuthClient:
        """Read `id:secret` or `id:secret:ttl_seconds`. Raises `ValueError` for other text."""
        parts = text.split(":")
        if len(parts) not in (2, 3) or not parts[0] or not parts[1]:
            raise ValueError("a client is written id:secret or id:secret:token_ttl_seconds")
        ttl = int(parts[2]) if len(parts) == 3 else DEFAULT_TTL_SECONDS
        return cls(parts[0], parts[1], ttl)


class Token(msgspec.Struct, frozen=True):
    """A bearer token. `expires_ms` is Genesys time."""

    value: str
    client_id: str
    expires_ms: int
    number: int


class TokenBook:
    """All clients of the org, and their tokens."""

    def __init__(self, clients: list[OAuthClient], rng: random.Random) -> None:
        self.clients = {client.id: client for client in clients}
        self._rng = rng
        self._tokens: dict[str, Token] = {}
        self._issued = 0

    def issue(self, client_id: str, secret: str, now_ms: int) -> Token | None:
        """A new token, or None if the credentials are wrong or the client is disabled."""
        client = self.clients.get(client_id)
        if client is None or client.disabled or client.secret != secret:
            return None
        self._issued += 1
        expires = now_ms + client.ttl_seconds * 1000
        token = Token(token_from(self._rng), client_id, expires, self._issued)
        self._tokens[token.value] = token
        return token

    def find(self, value: str) -> Token | None:
        """The token with this text, expired or not."""
        return self._tokens.get(value)

    def revoke(self, client_id: str) -> list[Token]:
        """Drop and return every token of a client."""
        gone = [t for t in self._tokens.values() if t.client_id == client_id]
        for token in gone:
            del self._tokens[token.value]
        return gone

    def forget_expired(self, now_ms: int, keep_ms: int = 86_400_000) -> None:
        """Drop tokens that ended more than `keep_ms` ago. Until then they are answered with
        'expired'."""
        for value in [v for v, t in self._tokens.items() if t.expires_ms + keep_ms < now_ms]:
            del self._tokens[value]

    def __len__(self) -> int:
        return len(self._tokens)


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Client id and secret of an `Authorization: Basic` header, or None."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    client_id, colon, secret = text.partition(":")
    return (client_id, secret) if colon else None


def role_from(text: str) -> frozenset[str]:
    """The permissions of `PERMISSION,…`, or of changes to the documented role: `+PERMISSION` adds
    one, `-PERMISSION` takes one away. An empty text is a role without permissions."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    changes = [word for word in words if word[0] in "+-"]
    if not changes:
        return frozenset(words)
    if len(changes) < len(words):
        raise ValueError("either permissions, or changes that begin with + or -")
    added = {word[1:] for word in changes if word[0] == "+"}
    return (DOCUMENTED_ROLE | added) - {word[1:] for word in changes if word[0] == "-"}


def divisions_from(text: str) -> frozenset[int] | None:
    """The division numbers in a text such as `1,3`. `*` is None, for all; an empty text is no
    division."""
    if text.strip() == "*":
        return None
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise ValueError("divisions are numbers from 1, joined by commas, or *")
    return frozenset(map(int, words))
