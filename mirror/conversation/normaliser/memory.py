"""What a process remembers of each conversation, so that a full snapshot becomes transitions.

Bounded in two ways: a conversation without a live leg is forgotten when it has been quiet for a
grace, and beyond a number of conversations the quietest is, of those that rest (below) one without
a live leg first. Forgetting is harmless: the next frame is a first sight again, and its events
repeat ids that consumers already dropped. The bytes of a snapshot are kept for the few that came
last: repeats follow closely.

Most conversations are quiet at any time: calls that are talked, messages that wait for days, ends
whose grace runs. After a while such a one rests as a string of bytes, a third of its size
(docs/performance.md); its next frame wakes it. Only what tells unchanged participants is dropped,
so that this frame is read as a whole.
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

    `since` names the one that lasts, null where none does: its Genesys time, or `#` and a number
    where it has none. `last` is the latest Genesys time that was ever shown.
    """

    since: str | None = None
    last: str = ""


class Service(msgspec.Struct, array_like=True, gc=False):
    """What only the leg of an agent or user has.

    `since` is when it was connected, RFC 3339, empty where that is not known. `queue_id` is the
    queue while it lived. `codes` are the wrap-up codes that were seen, the latest last; `coded_at`
    is when that one was saved, empty where Genesys did not say.
    """

    since: str | None = None
    queue_id: str | None = None
    role: Role | None = None
    on: str | None = None  # the participant that the role is about
    codes: tuple[str, ...] = ()
    coded_at: str = ""


class Leg(msgspec.Struct, array_like=True, gc=False):
    """One communication of one participant, as far as it was told.

    `seen` tells what its last reading showed, to skip readings that show nothing new: a hash, since
    the words and times themselves would be half of a conversation's memory. `once` has the bit
    (`transition.BITS`) of each transition that was told and comes once, `often` names the others:
    the event type, with what tells them apart behind it; a set on each leg would be a third of all
    memory, and few legs need one.
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
    """What one participant of the last snapshot showed: its legs, and whether all had ended there.

    `digest` is of the participant's bytes. It is set where those bytes, when they come again, say
    nothing new (`snapshot.py`).
    """

    digest: int | None = None
    legs: Sequence[Leg] = ()
    ended: bool = True


class Conversation(msgspec.Struct, array_like=True, gc=False):
    """All that is known of one conversation. `open` counts the legs that have not ended.

    `ends` tells, as hashes, which legs had ended when an `end` was told.
    """

    id: str
    legs: dict[tuple[str, str], Leg] = msgspec.field(default_factory=dict)
    known: Sequence[Known] = ()  # the participants of the last snapshot, in its order
    body: bytes | None = None  # of the last snapshot, where it is among the latest of all
    place: int = -1  # where `Memory` keeps that body
    open: int = 0
    ends: tuple[int, ...] = ()
    linked: str | None = None  # the conversation that this one serves
    last_frame: float = 0.0
    doubtful: bool = True  # legs may have been held or resumed unseen since the last frame
    late: bool = False  # the last news was, and what it did not show has not counted yet
    interruptions: int = 0  # how many its process had had when the last frame came


class Memory:
    """The conversations of one process, by id.

    `now` is any monotonic clock in seconds, the same for all calls.
    """

    def __init__(self, max_conversations: int, grace: float) -> None:
        self.max_conversations = max_conversations
        self.grace = grace
        self.rest_after = REST_AFTER_SECONDS
        # Asked for a conversation that is unknown here, and gives it away (`lending.py`).
        self.borrow: Callable[[str], Conversation | None] = _nobody_has
        # Each in the order of the last frames: those awake, and those at rest, with live legs or
        # without.
        self._awake: OrderedDict[str, Conversation] = OrderedDict()
        self._open: OrderedDict[str, bytes] = OrderedDict()
        self._over: OrderedDict[str, bytes] = OrderedDict()
        self._tidy_at = 0.0
        self._forget_at = 0.0  # none of `_over` is to be forgotten before
        # Those with a body: a plain ring, since each frame that brings news passes by here. The
        # place that a conversation had before is left as it is until its turn comes.
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
        """How many rest."""
        return len(self._open) + len(self._over)

    def get(self, conversation_id: str) -> Conversation | None:
        """The conversation if it is known and does not rest."""
        return self._awake.get(conversation_id)

    def recall(self, conversation_id: str, now: float) -> Conversation:
        """The conversation, new where it was unknown, and now the most recently seen one."""
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
        """Forget a conversation that does not rest, and give it away."""
        return self._awake.pop(conversation_id, None)

    def keep(self, conversation: Conversation) -> None:
        """Take back what `release` gave away."""
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
        """Put to rest and forget what has been quiet for long enough, so many at once."""
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
    """Nobody else remembers conversations."""


_packing: Final = msgspec.msgpack.Encoder()
_packed: Final = msgspec.msgpack.Decoder(tuple[Conversation, list[Leg]])


def _pack(conversation: Conversation) -> bytes:
    """A conversation but for its id, which its key has. The conversation is of no use any more."""
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
