"""Folds events into one conversation, and keeps it between batches. Pure.

A conversation is kept as bytes. Memory holds the same bytes as a header of its view's record in
Kafka. So a restore only reads the bytes. A batch decodes only the conversations of its events.

The kept state is bounded, however old the conversation is: the ids of its latest `MAX_IDS` events,
and its latest `MAX_LEGS` legs. An event with an unknown id is then judged by its time and by the
view: if it is older than the memory and the view already shows what it says, it is a repeat. A
reading has the events leg by leg, so early events may come last. An event of a leg that the view
does not have is a repeat only if it is not later than the forgotten legs.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from mirror.conversation.event import RANK, Event
from mirror.conversation.fold import COUNT_AGAIN, ConversationView, LegView, begin, fold
from mirror.conversation.legs import leg_key, leg_name
from mirror.conversation.published import PublishedView, published
from mirror.kafka.kept import FORMAT, ID_BYTES, Head, Kept, KeptLeg, encode, read_kept

# A call has some thirty events. The ids of a longer conversation take 8 KiB of its record.
MAX_IDS: Final = 512
MAX_READINGS: Final = 256
# A message thread may have fifty thousand legs. The view keeps the latest: at most 300 KiB.
MAX_LEGS: Final = 256
# A shortened view drops legs with a longer name (their ids). Genesys' names have 80 characters.
MOST_NAME: Final = 512
# The fields that name a leg. With other texts it would be another leg.
_OF_KEY: Final = frozenset({"participant_id", "communication_id", "media_type"})


class Bounds(msgspec.Struct, frozen=True):
    """The limits for a conversation whose view Kafka refuses. `text` counts characters."""

    text: int
    legs: int
    ids: int


# Tried in this order until Kafka accepts the view.
BOUNDS: Final = (
    Bounds(text=256, legs=MAX_LEGS, ids=MAX_IDS),
    Bounds(text=64, legs=64, ids=256),
    Bounds(text=64, legs=8, ids=64),
    Bounds(text=32, legs=0, ids=16),
)


def tombstone(offset: int) -> bytes:
    """What a tombstone carries instead of a kept conversation."""
    return encode(Head(FORMAT, offset))


def raw_id(event_id: str) -> bytes:
    """The 16 bytes of an `event_id`. Raises `ValueError` for any other text."""
    raw = bytes.fromhex(event_id)
    if len(raw) != ID_BYTES:
        raise ValueError("an event_id has 32 hex digits")
    return raw


def knows(kept: bytes, raw: bytes) -> bool:
    """Whether a kept conversation counts the event of that raw id, without decoding it.

    The kept bytes contain each id unchanged, and ids of readings backwards. The same 16 bytes of a
    hash do not occur elsewhere in them by chance.
    """
    return raw in kept


class Conversation:
    """One conversation while events are folded into it."""

    def __init__(self, conversation_id: str) -> None:
        self.view = ConversationView(id=conversation_id)
        self.ids = b""
        self.readings = b""  # see `Kept`
        self.latest_at = ""  # no event happened after this time,
        self.half_at = ""  # no event of the older half of `ids` after this,
        self.forgotten_at = ""  # no forgotten event after this,
        self.legs_forgotten_at = ""  # and no event of a forgotten leg after this
        self.updated_at = ""
        self.events = 0
        self._since: dict[str, str] = {}  # name of leg → when it came into its present state

    @classmethod
    def of(cls, kept: bytes) -> Conversation:
        """The conversation in the bytes `kept`. Raises `UnknownFormat`."""
        stored = read_kept(kept)
        conversation = cls(stored.id)
        conversation.view = stored.view()
        conversation._since = {leg.key.name: leg.since for leg in stored.legs}
        conversation.ids, conversation.readings = stored.ids, stored.readings
        conversation.latest_at, conversation.half_at = stored.latest_at, stored.half_at
        conversation.forgotten_at = stored.forgotten_at
        conversation.legs_forgotten_at = (
            stored.forgotten_at if stored.legs_forgotten_at is None else stored.legs_forgotten_at
        )
        conversation.updated_at, conversation.events = stored.updated_at, stored.events
        return conversation

    def keep(self, offset: int, ended_ms: int | None) -> bytes:
        """The conversation as bytes. `offset` and `ended_ms`: see `Head`."""
        view = self.view
        legs: list[KeptLeg] = []
        for name, leg in view.legs.items():
            assert isinstance(leg, KeptLeg)  # `_leg` makes all of them
            leg.since = self._since.get(name, "")
            legs.append(leg)
        return encode(
            Kept(
                format=FORMAT,
                offset=offset,
                ended_ms=ended_ms,
                id=view.id,
                started_at=view.started_at,
                over_at=view.ended_at,
                finalized=view.finalized,
                linked=view.linked_conversation_id,
                is_active=view.state == "active",
                joined_late=view.joined_late,
                legs=legs,
                ids=self.ids,
                readings=self.readings,
                latest_at=self.latest_at,
                half_at=self.half_at,
                forgotten_at=self.forgotten_at,
                legs_forgotten_at=self.legs_forgotten_at,
                updated_at=self.updated_at,
                events=self.events,
            )
        )

    def published(self) -> PublishedView:
        """The view for consumers."""
        since = self._since
        return published(
            self.view,
            ((leg, since.get(name, "")) for name, leg in self.view.legs.items()),
            updated_at=self.updated_at,
            events=self.events,
        )

    def take(self, event: Event, raw: bytes) -> tuple[bool, bool]:
        """Fold `event`, whose raw id is `raw`.

        Returns whether it is the first event with its id, and whether the kept state changed.
        """
        is_counted = _holds(self.ids, raw)
        is_read = not is_counted and _holds(self.readings, raw[::-1])
        is_told = not is_counted and not is_read and self._tells(event)
        if is_told and event.origin == "snapshot":
            return False, False
        repeated = is_counted or is_told
        if repeated and event.event_type not in COUNT_AGAIN:
            return False, False
        if not self.events:
            self.view = begin(event)
        view = self.view
        leg = self._leg(event, repeated)
        if leg is None and repeated:
            return False, False  # the event of a forgotten leg
        before = None if leg is None else msgspec.structs.astuple(leg)
        stood = None if leg is None else (leg.state, leg.held, leg.ended)
        view.seen = {event.event_id} if repeated else set()
        fold(view, event)
        view.seen = set()
        if leg is not None and (leg.state, leg.held, leg.ended) != stood:
            self._since[leg.key.name] = event.occurred_at
        if repeated or (is_read and event.origin == "snapshot"):
            changed = leg is not None and msgspec.structs.astuple(leg) != before
            if changed:
                self.updated_at = max(self.updated_at, event.received_at)
            return False, changed
        self.events += not is_read
        self.updated_at = max(self.updated_at, event.received_at)
        self._remember(event, raw)
        return not is_read, True

    def _leg(self, event: Event, repeated: bool) -> LegView | None:
        """The leg of the event, added if it is new. None for an event of the conversation."""
        if event.participant_id is None or event.media_type is None:
            return None
        key = leg_key(event.participant_id, event.communication_id, event.media_type)
        leg = self.view.legs.get(key.name)
        if leg is None and not repeated:
            leg = self.view.legs[key.name] = KeptLeg(
                participant_id=event.participant_id,
                media_type=event.media_type,
                communication_id=event.communication_id,
                number=len(self.view.legs),
            )
            self.view.open += 1
        return leg

    def _remember(self, event: Event, raw: bytes) -> None:
        self.latest_at = max(self.latest_at, event.occurred_at)
        if event.origin == "snapshot":
            self.readings += raw[::-1]
            if len(self.readings) > MAX_READINGS * ID_BYTES:
                self.readings = self.readings[MAX_READINGS // 2 * ID_BYTES :]
                self.forgotten_at = self.latest_at
        else:
            self._remember_id(raw)
        while len(self.view.legs) > MAX_LEGS:
            self._forget_leg()

    def _remember_id(self, raw: bytes) -> None:
        if self.readings:
            self.readings = _without(self.readings, raw[::-1])
        self.ids += raw
        count = len(self.ids) // ID_BYTES
        if count == MAX_IDS // 2:
            self.half_at = self.latest_at
        elif count >= MAX_IDS:
            self.ids = self.ids[MAX_IDS // 2 * ID_BYTES :]
            self.forgotten_at = max(self.forgotten_at, self.half_at)
            self.half_at = self.latest_at

    def shorten(self, bounds: Bounds) -> None:
        """Keep less of a conversation that is too large for a record of Kafka.

        Repeats of what this forgets are recognised by their times, as with age.
        """
        count = len(self.view.legs)
        for name in [name for name in self.view.legs if len(name) > MOST_NAME]:
            self._forget_leg(name)
        while len(self.view.legs) > bounds.legs:
            self._forget_leg()
        if len(self.view.legs) < count:  # live ones too, perhaps
            self.legs_forgotten_at = self.latest_at
        if len(self.ids) + len(self.readings) > bounds.ids * ID_BYTES:
            self.ids = self.ids[-bounds.ids * ID_BYTES :]
            self.readings = b""
            self.forgotten_at = max(self.forgotten_at, self.latest_at)
        for leg in self.view.legs.values():
            _shorten_texts(leg, bounds.text, _OF_KEY)
        _shorten_texts(self.view, bounds.text, frozenset({"id"}))
        for name, text in vars(self).items():
            setattr(self, name, _shortened(text, bounds.text))
        self._since = {name: _cut(since, bounds.text) for name, since in self._since.items()}

    def _forget_leg(self, name: str | None = None) -> None:
        """Forget a leg: the named leg, else the leg that ended first, else the oldest.

        The order in which legs were seen is that of an array, which has no meaning.
        """
        legs = self.view.legs
        if name is None:
            ended = [name for name, leg in legs.items() if leg.ended]
            name = min(ended, key=lambda name: legs[name].ended_at or "", default=next(iter(legs)))
        leg = legs.pop(name)
        self.view.open -= not leg.ended
        known = (
            *(leg.answered_at, leg.ended_at, leg.acw_started_at, leg.acw_ended_at, leg.coded_at),
            *(self._since.pop(name, ""), self.legs_forgotten_at),
        )
        self.legs_forgotten_at = max(time for time in known if time is not None)

    def _tells(self, event: Event) -> bool:
        """Whether the view already shows what `event` says. Its id may have been forgotten."""
        view = self.view
        leg = None
        if name := leg_name(event):
            leg = view.legs.get(name)
            if leg is None:
                return event.occurred_at <= self.legs_forgotten_at
            if self.forgotten_at and event.event_type == "wrapup" and event.estimated:
                # Each process that starts reports it again, with a time of its own.
                return event.origin != "snapshot" and leg.wrapup_code == event.wrapup_code
        if event.occurred_at > self.forgotten_at:
            return False
        if event.event_type == "start":
            return view.started_at is not None
        if event.event_type == "end":
            return event.occurred_at <= (view.ended_at or "")
        if event.event_type == "finalize":
            return view.finalized is not None
        return leg is not None and _leg_tells(leg, event)


def _place(ids: bytes, raw: bytes) -> int:
    """The position of an id among ids of `ID_BYTES` each, or -1."""
    at = ids.find(raw)
    while at > 0 and at % ID_BYTES:
        at = ids.find(raw, at + 1)
    return at


def _holds(ids: bytes, raw: bytes) -> bool:
    return _place(ids, raw) >= 0


def _without(ids: bytes, raw: bytes) -> bytes:
    at = _place(ids, raw)
    return ids if at < 0 else ids[:at] + ids[at + ID_BYTES :]


def _shorten_texts(struct: msgspec.Struct, most: int, kept: frozenset[str]) -> None:
    """Cut the texts in the fields of `struct` that are not `kept`."""
    for field in struct.__struct_fields__:
        if field not in kept:
            setattr(struct, field, _shortened(getattr(struct, field), most))


def _shortened(content: Any, most: int) -> Any:
    if isinstance(content, str):
        return _cut(content, most)
    if isinstance(content, tuple):
        return tuple(_shortened(part, most) for part in content)
    return content


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _leg_tells(leg: LegView, event: Event) -> bool:
    kind = event.event_type
    if kind in {"hold", "resume"}:
        return (event.hold_started_at or "", int(kind == "resume")) <= leg.last_hold
    if kind in {"park", "unpark"}:
        since, over = leg.last_park
        return event.occurred_at <= since or (kind == "unpark" and bool(over))
    told = {
        "answer": leg.answered_at is not None,
        "transfer": leg.transferred,
        "disconnect": leg.ended,
        "acw": leg.acw_started_at is not None,
        "acw_end": leg.acw_ended_at is not None,
        "wrapup": leg.wrapup_code == event.wrapup_code or _is_coded_since(leg, event.occurred_at),
    }
    return told.get(kind, RANK[kind] <= leg.rank)


def _is_coded_since(leg: LegView, time: str) -> bool:
    """Whether the leg has a code that was saved at `time` or later, or nobody knows when."""
    return leg.wrapup_code is not None and not "" < leg.coded_at < time
