"""Remembers each conversation of a process, so that a full snapshot becomes transitions.

The memory is bounded in two ways. A conversation without a live leg is forgotten after a grace
period without frames. Above a maximum number of conversations the least recently seen one is
forgotten: first among those at rest (below) without a live leg, then among the others at rest.
Forgetting is harmless: the next frame is a first sight again, and consumers drop the repeated ids
of its events. Only the latest few snapshots keep their bytes: repeats follow closely.

Most conversations are quiet at any time: long talks, messages that wait for days, conversations in
their grace period. After a while such a conversation rests as a string of bytes, a third of its
size (docs/performance.md); its next frame wakes it. A conversation at rest loses only the digests
of unchanged participants, so all of that frame is read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from mirror.conversation.event import Role
from mirror.conversation.legs import LegKey

MAX_BODIES: Final = 256
MAX_BODY_BYTES: Final = 32 * 1024
REST_AFTER_SECONDS: Final = 30.0  # without a frame
TIDY_EVERY_SECONDS: Final = 1.0
TIDY_AT_ONCE: Final = 64  # conversations, so that no frame waits long for the others


class Spell(msgspec.Struct, array_like=True, gc=False):
    """The holds, or the parks, of one leg.

    `since` names the current hold or park: its Genesys time, or `#` and a number without such a
    time; None if there is none, `~` while a leg rings again after its park. `last` is the latest
    Genesys time ever shown.
    """

    since: str | None = None
    last: str = ""


class Service(msgspec.Struct, array_like=True, gc=False):
    """Fields that only legs of agents and users have.

    `since` is when the leg was connected, RFC 3339, empty if unknown. `queue_id` is the queue while
    the leg was live. `codes` are the wrap-up codes that were seen, the latest last; `coded_at` is
    when the latest was saved, empty if Genesys did not say.
    """

    since: str | None = None
    queue_id: str | None = None
    role: Role | None = None
    on: str | None = None  # the participant who is monitored, coached, …
    codes: tuple[str, ...] = ()
    coded_at: str = ""


class Leg(msgspec.Struct, array_like=True, gc=False):
    """One communication of one participant, with the transitions that were reported.

    `seen` is a hash of the last reading, to skip readings without news; the words and times
    themselves would be half of a conversation's memory. `once` has a bit (`transition.BITS`) for
    each reported transition that comes once. `often` has the names of the others: the event type,
    followed by the part that tells them apart. Few legs have such names; a set on every leg would
    take a third of all memory.
    """

    key: LegKey
    medium: str
    seen: int | None = None
    once: int = 0
    often: set[str] | None = None
    ended: bool = False
    ended_at: str | None = None
    hold: Spell | None = None
    park: Spell | None = None
    service: Service | None = None


class Known(msgspec.Struct, gc=False):
    """One participant of the last snapshot: its legs, and whether all of them had ended there.

    `digest` is the hash of the participant's bytes. It is set only if the same bytes would bring
    nothing new (`snapshot.py`).
    """

    digest: int | None = None
    legs: Sequence[Leg] = ()
    ended: bool = True


class Conversation(msgspec.Struct, array_like=True, gc=False):
    """The memory of one conversation. `open` counts the legs that have not ended.

    `ends` are hashes, one for each reported `end`, over the legs that had ended by then.
    """

    id: str
    legs: dict[tuple[str, str], Leg] = msgspec.field(default_factory=dict)
    known: Sequence[Known] = ()  # the participants of the last snapshot, in its order
    body: bytes | None = None  # of the last snapshot, if it is among the latest of all
    place: int = -1  # where `Memory` keeps that body
    open: int = 0
    ends: tuple[int, ...] = ()
    linked: str | None = None  # the conversation that this one serves
    last_frame: float = 0.0
    doubtful: bool = True  # legs may have been held or resumed unseen since the last frame
    late: bool = False  # the last news came late: what it did not show does not count yet
    interruptions: int = 0  # how many its process had had when the last frame came


class Memory:
    """The conversations of one process, by id.

    `now` is any monotonic clock in seconds, the same for all calls.
    """

    def __init__(self, max_conversations: int, grace: float) -> None:
        self.max_conversations = max_conversations
        self.grace = grace
        self.rest_after = REST_AFTER_SECONDS
        # Called for a conversation that is unknown here; hands it over if it has it (`lending.py`).
        self.borrow: Callable[[str], Conversation | None] = _nobody_has
        # Each in the order of the last frames: conversations awake, at rest with live legs, and at
        # rest without live legs.
        self._awake: OrderedDict[str, Conversation] = OrderedDict()
        self._open: OrderedDict[str, bytes] = OrderedDict()
        self._over: OrderedDict[str, bytes] = OrderedDict()
        self._tidy_at = 0.0
        self._forget_at = 0.0  # nothing in `_over` expires before
        # Conversations with a body: a plain ring, because each frame with news passes here. The
        # former place of a conversation stays as it is until the ring reaches it.
        self._bodies = [Conversation("")] * MAX_BODIES
        self._place = 0

    def __len__(self) -> int:
        return len(self._awake) + self.resting

    def __contains__(self, conversation_id: str) -> bool:
        return (
            conversation_id in self._awake
            or conversation_id in self._open
            or conversation_id in self._over
        )

    @property
    def resting(self) -> int:
        """The number of conversations at rest."""
        return len(self._open) + len(self._over)

    def get(self, conversation_id: str) -> Conversation | None:
        """The conversation, if it is known and awake."""
        return self._awake.get(conversation_id)

    def recall(self, conversation_id: str, now: float) -> Conversation:
        """The conversation, new if it was unknown. It becomes the most recently seen one."""
        if self._tidy_at <= now:
            self._tidy(now)
        conversation = self._awake.get(conversation_id)
        if conversation is not None:
            self._awake.move_to_end(conversation_id)
        else:
            conversation = self._wake(conversation_id) or Conversation(conversation_id)
            self._awake[conversation_id] = conversation
            if len(self) > self.max_conversations:
                (self._over or self._open or self._awake).popitem(last=False)
        conversation.last_frame = now
        return conversation

    def release(self, conversation_id: str) -> Conversation | None:
        """Forget a conversation that is awake, and return it."""
        return self._awake.pop(conversation_id, None)

    def keep(self, conversation: Conversation) -> None:
        """Take back a conversation that `release` returned."""
        self._awake[conversation.id] = conversation

    def keep_body(self, conversation: Conversation, body: bytes) -> None:
        """Keep the bytes of a conversation's last snapshot, until `MAX_BODIES` more were kept."""
        if len(body) > MAX_BODY_BYTES:
            return
        place = self._place
        last = self._bodies[place]
        if last.place == place:
            last.body = None
        self._bodies[place] = conversation
        conversation.body = body
        conversation.place = place
        self._place = (place + 1) % MAX_BODIES

    def _wake(self, conversation_id: str) -> Conversation | None:
        raw = self._open.pop(conversation_id, None) or self._over.pop(conversation_id, None)
        return self.borrow(conversation_id) if raw is None else _unpack(conversation_id, raw)

    def _tidy(self, now: float) -> None:
        """Put quiet conversations to rest and forget the quietest, at most `TIDY_AT_ONCE`."""
        for _ in range(TIDY_AT_ONCE):
            rested, forgot = self._rest_one(now), self._forget_one(now)
            if not rested and not forgot:
                self._tidy_at = now + TIDY_EVERY_SECONDS
                return

    def _rest_one(self, now: float) -> bool:
        oldest = next(iter(self._awake.values()), None)
        if oldest is None or oldest.last_frame + min(self.rest_after, self.grace) > now:
            return False
        conversation_id, conversation = self._awake.popitem(last=False)
        resting = self._open if conversation.open else self._over
        resting[conversation_id] = _pack(conversation)
        return True

    def _forget_one(self, now: float) -> bool:
        if not self._over or now < self._forget_at:
            return False
        conversation_id, raw = next(iter(self._over.items()))
        self._forget_at = _unpack(conversation_id, raw).last_frame + self.grace
        if now < self._forget_at:
            return False
        del self._over[conversation_id]
        return True


def _nobody_has(_conversation_id: str) -> None:
    """The default owner of unknown conversations: there is none."""


_packing: Final = msgspec.msgpack.Encoder()
_packed: Final = msgspec.msgpack.Decoder(tuple[Conversation, list[Leg]])


def _pack(conversation: Conversation) -> bytes:
    """The bytes of a conversation without its id, which is the key. Destroys the conversation."""
    legs = list(conversation.legs.values())
    conversation.id = ""
    conversation.legs = {}  # each leg has its key
    conversation.known = ()
    conversation.body = None
    conversation.place = -1
    return _packing.encode((conversation, legs))


def _unpack(conversation_id: str, raw: bytes) -> Conversation:
    conversation, legs = _packed.decode(raw)
    conversation.id = conversation_id
    conversation.legs = {leg.key: leg for leg in legs}
    return conversation
