"""Personal fields: left out, hashed, or kept, as `MIRROR_PII` says.

`hash` replaces each value by a keyed HMAC-SHA-256, cut to 32 hex digits. Equal values stay equal
and can be joined. Without the key nobody can find a phone number by trying all of them.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final

import msgspec

from mirror.conversation.event import Event
from mirror.conversation.normaliser.bodies import PersonalParticipant

HASH_DIGITS: Final = 32


class Personal:
    """Fills the personal fields of events. With `drop` there is no such object."""

    def __init__(self, key: str = "") -> None:
        """`key` is the HMAC key of `hash`; without one the values are kept as they are."""
        self._key = key.encode()

    @classmethod
    def of(cls, pii: str, key: str) -> Personal | None:
        """The object for a value of `MIRROR_PII`, with the key of `hash`; None for `drop`.

        Raises `ValueError` for `hash` without a key, which would keep the values in clear.
        """
        if pii == "keep":
            return cls()
        if pii != "hash":
            return None
        if not key:
            raise ValueError("MIRROR_PII=hash needs MIRROR_PII_KEY")
        return cls(key)

    def put(self, event: Event, participant: PersonalParticipant) -> None:
        """Fill the personal fields of `event` from `participant`; absent ones stay None."""
        event.ani = self._value(participant.ani)
        event.dnis = self._value(participant.dnis)
        event.address = self._value(participant.address)
        event.participant_name = self._value(participant.name)
        if participant.attributes is not None:
            event.attributes = {
                name: self.hidden(_text(value))
                for name, value in participant.attributes.items()
                if value is not None
            }

    def _value(self, value: str | None) -> str | None:
        return None if value is None else self.hidden(value)

    def hidden(self, value: str) -> str:
        """The replacement of a personal text: its HMAC, or the text itself if kept or empty."""
        if not value or not self._key:
            return value
        return hmac.new(self._key, value.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]


def _text(value: Any) -> str:
    """An attribute as text. Genesys also takes numbers and more: those become their JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
