"""OAuth clients and their tokens (section 1). Pure: takes the Genesys time, gives data.

Several tokens of one client live side by side; asking for a new one ends none. Scopes do not
apply to the client-credentials grant, permissions of the client's roles do.
"""

from __future__ import annotations

import base64
import binascii
import random

import msgspec

from simulator.ids import token_from

DEFAULT_TTL_SECONDS = 86_400
PERMISSIONS = frozenset(
    {
        "conversation:communication:view",
        "analytics:conversationDetail:view",
        "routing:queue:view",
        "routing:queue:search",
        "directory:user:view",
        "presence:userPresence:view",
    }
)


class OAuthClient(msgspec.Struct):
    """One client-credentials client of the org."""

    id: str
    secret: str
    ttl_seconds: int = DEFAULT_TTL_SECONDS
    permissions: frozenset[str] = PERMISSIONS
    disabled: bool = False

    @classmethod
    def parse(cls, text: str) -> OAuthClient:
        """`id:secret` or `id:secret:ttl_seconds`; `ValueError` when it is neither."""
        parts = text.split(":")
        if len(parts) not in (2, 3) or not parts[0] or not parts[1]:
            raise ValueError("a client is written id:secret or id:secret:token_ttl_seconds")
        ttl = int(parts[2]) if len(parts) == 3 else DEFAULT_TTL_SECONDS
        return cls(parts[0], parts[1], ttl)


class Token(msgspec.Struct, frozen=True):
    """One bearer token; `expires_ms` is Genesys time."""

    value: str
    client_id: str
    expires_ms: int
    number: int


class TokenBook:
    """Every client of the org and every token it holds."""

    def __init__(self, clients: list[OAuthClient], rng: random.Random) -> None:
        self.clients = {client.id: client for client in clients}
        self._rng = rng
        self._tokens: dict[str, Token] = {}
        self._issued = 0

    def issue(self, client_id: str, secret: str, now_ms: int) -> Token | None:
        """A new token, or None when the credentials are wrong or the client is disabled."""
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
        """Drop every token of a client; gives what was dropped."""
        gone = [t for t in self._tokens.values() if t.client_id == client_id]
        for token in gone:
            del self._tokens[token.value]
        return gone

    def forget_expired(self, now_ms: int, keep_ms: int = 86_400_000) -> None:
        """Drop tokens that ended more than `keep_ms` ago; until then they answer 'expired'."""
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
