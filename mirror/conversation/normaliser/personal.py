"""Personal fields: left out, hashed, or kept, as `MIRROR_PII` says.

`hash` replaces each value by a keyed HMAC-SHA-256, cut to 32 hex digits. Equal values stay equal
and can be joined. Without the key nobody can find a phone number by trying all of them.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final

import msgspec

from mirror.conversation.event import Event, Pii
from mirror.conversation.normaliser.bodies import PersonalParticipant
from mirror.conversation.normaliser.lengths import PERSONAL_TEXTS

HASH_DIGITS: Final = 32
# Each event of a participant has a copy of its personal values, and Kafka takes 1 MB of an event.
MAX_TEXT: Final = 1_024  # characters: a name, number or address
MAX_ATTRIBUTES: Final = 1_000  # per participant
MAX_ATTRIBUTES_SIZE: Final = 64 * 1024  # characters: names and values of one participant
# Characters in all events of one reading: copies of what its participants have, and more for few.
MAX_COPIES: Final = 16
FREE_SIZE: Final = 8 * 1024 * 1024

_FIELD_OF: Final = {"name": "participant_name"}  # of an event; the others have their own names


class Values(msgspec.Struct, gc=False):
    """The personal values of one participant, as its events have them.

    `size` is the number of characters. `is_cut`: a value was too long, or there were too many.
    """

    ani: str | None = None
    dnis: str | None = None
    address: str | None = None
    participant_name: str | None = None
    attributes: dict[str, str] | None = None
    size: int = 0
    is_cut: bool = False


class Personal:
    """Makes the personal values of events. With `drop` there is no such object."""

    def __init__(self, key: str = "") -> None:
        """`key` is the HMAC key of `hash`; without one the values are kept as they are."""
        self._key = key.encode()

    @classmethod
    def of(cls, pii: Pii, key: str) -> Personal | None:
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

    def values(self, participant: PersonalParticipant) -> Values:
        """The personal values of `participant` for its events; absent ones stay None."""
        found = Values()
        for name in PERSONAL_TEXTS:
            text = getattr(participant, name)
            if text is not None and len(text) > MAX_TEXT:
                found.is_cut = True
            elif text is not None:
                shown = self.hidden(text)
                found.size += len(shown)
                setattr(found, _FIELD_OF.get(name, name), shown)
        if participant.attributes is not None:
            self._attributes(participant.attributes, found)
        return found

    def _attributes(self, attributes: dict[str, Any], found: Values) -> None:
        """Add the attributes of a participant, as far as there is room.

        An attribute that has no room is left out.
        """
        kept: dict[str, str] = {}
        room = MAX_ATTRIBUTES_SIZE
        for name, value in attributes.items():
            if value is None:
                continue
            if len(kept) == MAX_ATTRIBUTES:
                found.is_cut = True
                break
            text = value if type(value) is str else _text(value)
            size = len(name) + len(text)
            if size > room:
                found.is_cut = True
                continue
            room -= size
            kept[name] = text
        if self._key:
            kept = {name: self.hidden(text) for name, text in kept.items()}
        found.size += sum(map(len, kept)) + sum(map(len, kept.values()))
        found.attributes = kept

    def hidden(self, value: str) -> str:
        """The replacement of a personal text: its HMAC, or the text itself if kept or empty."""
        if not value or not self._key:
            return value
        return hmac.new(self._key, value.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]


class Filling:
    """Fills the personal fields of the events of one reading.

    The values of a participant are made once. If the events have far more of them than the frame,
    the rest stays without. `is_cut` then, or if a value was left out.
    """

    def __init__(self, personal: Personal) -> None:
        self._personal = personal
        self._made: dict[int, Values] = {}  # by the identity of the participant
        self._room = FREE_SIZE
        self.is_cut = False

    def put(self, event: Event, participant: PersonalParticipant) -> None:
        """Fill the personal fields of `event` from `participant`, which outlives this object."""
        values = self._made.get(id(participant))
        if values is None:
            values = self._made[id(participant)] = self._personal.values(participant)
            self._room += MAX_COPIES * values.size
            self.is_cut = self.is_cut or values.is_cut
        if values.size > self._room:
            self.is_cut = True
            return
        self._room -= values.size
        event.ani, event.dnis = values.ani, values.dnis
        event.address, event.participant_name = values.address, values.participant_name
        event.attributes = values.attributes


def _text(value: Any) -> str:
    """An attribute as text, which is its JSON. Genesys also takes numbers and more."""
    return msgspec.json.encode(value).decode()
