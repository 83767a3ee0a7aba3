"""What a process remembers of each conversation, so that a full snapshot becomes transitions.

Bounded in two ways: a conversation is forgotten some time after its end, and beyond a number of
conversations the one that has been quiet longest is. Forgetting is harmless: the next frame is a
first sight again, and its events repeat ids that consumers already dropped. The bytes of a snapshot
are kept for the few that came last: repeats follow closely.

Most conversations are quiet at any time: calls that are talked, messages that wait for days, ends
whose grace runs. After a while such a one rests as a string of bytes, a third of its size
(docs/performance.md); its next frame wakes it. Only what tells unchanged participants is dropped,
so that this frame is read as a whole.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final

import msgspec

MAX_BODIES: Final = 256
MAX_BODY_BYTES: Final = 32 * 1024
REST_AFTER: Final = 30.0  # seconds without a frame
REST_EVERY: Final = 1.0
RESTS_AT_ONCE: Final = 64  # so that no frame waits long for the others to be put to rest

LegKey = tuple[str, str, int]  # participant id, medium, position among its legs of that medium


class Leg(msgspec.Struct, array_like=True, gc=False):
    """One communication of one participant, as far as it was reported.

    `seen` tells what its last reading showed, to skip readings that show nothing new: a hash, since
    the words and times themselves would be half of a conversation's memory. `once` has the bit
    (`mirror.normaliser.report.BITS`) of each transition that was reported and comes once, `often`
    names the others: the event type, with the Genesys time of a hold, park or unpark behind it; a
    set on each leg would be a third of all memory, and few legs need one. `held_since` and
    `parked_since` are null while the leg is not held or parked, else the name of that hold or park:
    its Genesys time, or a number where it has none.
    """

    key: LegKey
    seen: int | None = None
    once: int = 0
    often: set[str] | None = None
    ended: bool = False
    ended_at: str | None = None
    held_since: str | None = None
    last_hold: str = ""  # the latest start of a hold that was ever shown
    parked_since: str | None = None
    last_park: str = ""  # the latest time of a park or unpark that was ever shown


class Known(msgspec.Struct, gc=False):
    """What one participant of the last snapshot showed: its legs, and whether all had ended there.

    `digest` is of the participant's bytes. It is set where those bytes, when they come again, say
    nothing new (`mirror.normaliser.pieces`).
    """

    digest: int | None = None
    legs: Sequence[Leg] = ()
    ended: bool = True


class Conversation(msgspec.Struct, array_like=True, gc=False):
    """All that is known of one conversation. `open` counts the legs that have not ended.

    `after_call` and `wrapped_up` are the participants of which `acw` and `wrapup` were reported,
    `ends` the numbers of legs that had ended when an `end` was.
    """

    id: str
    legs: dict[LegKey, Leg] = msgspec.field(default_factory=dict)
    known: list[Known] = []  # the participants of the last snapshot, in its order
    body: bytes | None = None  # of the last snapshot, where it is among the latest of all
    place: int = -1  # where `Memory` keeps that body
    open: int = 0
    after_call: tuple[str, ...] = ()
    wrapped_up: tuple[str, ...] = ()
    ends: tuple[int, ...] = ()
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
        self.rest_after = REST_AFTER
        # Each in the order of the last frames.
        self._awake: OrderedDict[str, Conversation] = OrderedDict()
        self._resting: OrderedDict[str, bytes] = OrderedDict()
        self._rest_at = 0.0
        self._ended: deque[tuple[float, str]] = deque()
        # Those with a body: a plain ring, since each frame that brings news passes by here. The
        # place that a conversation had before is left as it is until its turn comes.
        self._bodies = [Conversation("")] * MAX_BODIES
        self._place = 0

    def __len__(self) -> int:
        return len(self._awake) + len(self._resting)

    def get(self, conversation_id: str) -> Conversation | None:
        """The conversation if it is known and does not rest."""
        return self._awake.get(conversation_id)

    def recall(self, conversation_id: str, now: float) -> Conversation:
        """The conversation, new where it was unknown, and now the most recently seen one."""
        if self._ended and self._ended[0][0] <= now:
            self._forget_ended(now)
        if self._rest_at <= now:
            self._put_to_rest(now)
        conversation = self._awake.get(conversation_id)
        if conversation is not None:
            self._awake.move_to_end(conversation_id)
        else:
            resting = self._resting.pop(conversation_id, None)
            conversation = Conversation(conversation_id) if resting is None else _unpack(resting)
            self._awake[conversation_id] = conversation
            if len(self) > self.max_conversations:
                (self._resting or self._awake).popitem(last=False)
        conversation.last_frame = now
        return conversation

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

    def ended(self, conversation: Conversation, now: float) -> None:
        """Forget `conversation` when it has been quiet for the grace after its end."""
        self._ended.append((now + self.grace, conversation.id))

    def _forget_ended(self, now: float) -> None:
        while self._ended and self._ended[0][0] <= now:
            _, conversation_id = self._ended.popleft()
            conversation = self._awake.get(conversation_id)
            if conversation is None and (resting := self._resting.get(conversation_id)) is not None:
                conversation = _unpack(resting)
            if conversation is None or conversation.open:
                continue
            if conversation.last_frame + self.grace > now:
                # After-call work went on: the grace counts from the last frame.
                self._ended.append((conversation.last_frame + self.grace, conversation_id))
            else:
                self._awake.pop(conversation_id, None)
                self._resting.pop(conversation_id, None)

    def _put_to_rest(self, now: float) -> None:
        for _ in range(RESTS_AT_ONCE):
            oldest = next(iter(self._awake.values()), None)
            if oldest is None or oldest.last_frame + self.rest_after > now:
                self._rest_at = now + REST_EVERY
                return
            conversation_id, conversation = self._awake.popitem(last=False)
            self._resting[conversation_id] = _pack(conversation)


_packing: Final = msgspec.msgpack.Encoder()
_packed: Final = msgspec.msgpack.Decoder(tuple[Conversation, list[Leg]])


def _pack(conversation: Conversation) -> bytes:
    """The bytes of a conversation, which is of no use afterwards."""
    legs = list(conversation.legs.values())
    conversation.legs = {}  # each leg has its key
    conversation.known = []
    conversation.body = None
    conversation.place = -1
    return _packing.encode((conversation, legs))


def _unpack(raw: bytes) -> Conversation:
    conversation, legs = _packed.decode(raw)
    conversation.legs = {leg.key: leg for leg in legs}
    return conversation
