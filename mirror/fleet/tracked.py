"""The tracker's record of a conversation in Redis, and the functions that read it.

`conversation:<id>` is a string: `Tracked` as a JSON array, small because a million of them must fit
into a gigabyte. Of an ended leg only its name is kept, because the id of an `end` needs it, and its
queue and user. All lists are bounded, so an event of a conversation of months costs as much as an
event of a call.
`active` is a sorted set of conversation id → Redis time at which it is next due for verification.

Only the tracker writes conversations; janitors only change scores of `active`. The array begins
with the version of its format. A record of another format is not read. The tracker keeps separate
offsets for each format, so it folds the topic from the beginning and writes the record again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import redis

from mirror.conversation.event import Role
from mirror.conversation.legs import LegKey, leg_key
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import FOLD_FORM, Keys

_CHUNK: Final = 500
_IDS: Final = 5_000


class TrackedLeg(msgspec.Struct, array_like=True):
    """A leg that has not ended.

    `role`: the leg monitors, coaches, barges in or is consulted, so it does not serve;
    `role_participant_id` is the participant that the role concerns.
    """

    participant_id: str
    communication_id: str | None
    medium: str
    purpose: str | None = None
    agent_id: str | None = None
    queue_id: str | None = None
    role: Role | None = None
    role_participant_id: str | None = None
    direction: str | None = None
    state: str = ""
    held: bool = False
    answered: bool = False

    @property
    def key(self) -> LegKey:
        """The key that names the leg in its events."""
        return leg_key(self.participant_id, self.communication_id, self.medium)

    @property
    def name(self) -> str:
        """The leg's part in the id of its conversation's `end`."""
        return self.key.name

    @property
    def serves(self) -> bool:
        """Whether it is the leg of an agent who handles the conversation, or of the other side."""
        return self.role is None


class Tracked(msgspec.Struct, array_like=True, tag=FOLD_FORM):
    """One conversation. `since_ms` is when it began, Genesys' time in epoch milliseconds.

    `legs` are the open legs, `over` the names of ended legs; `forgotten` counts ended legs whose
    names were dropped. `places` are queues and users of ended legs. `ended`: the end was seen and
    no leg opened since. `heard_ms` is when a process of ours last read that a leg is live, by that
    process' clock and rounded down.
    """

    since_ms: int
    legs: list[TrackedLeg] = []
    over: list[str] = []
    ended: bool = False
    heard_ms: int = 0
    forgotten: int = 0
    places: list[str] = []

    def visited(self) -> set[str]:
        """The queues and users (ids) where its legs are and were."""
        now = {place for leg in self.legs for place in (leg.queue_id, leg.agent_id) if place}
        return now | set(self.places)


class TrackedView(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as `mirror conversations` shows it.

    `since_ms`, `due_ms` and `read_ms` are epoch milliseconds: when it began, when it is due for
    verification (None if it has ended) and when it was read, the last two by Redis' clock.
    """

    id: str
    since_ms: int
    due_ms: int | None
    read_ms: int
    legs: tuple[TrackedLegView, ...]
    legs_over: int

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.due_ms is not None

    @property
    def due_in_ms(self) -> int | None:
        """Milliseconds until it is due, negative if it is overdue, None if it has ended."""
        return None if self.due_ms is None else self.due_ms - self.read_ms


class TrackedLegView(msgspec.Struct, frozen=True, kw_only=True):
    """An open leg as `mirror conversations` shows it."""

    participant_id: str
    media_type: str
    purpose: str | None
    agent_id: str | None
    queue_id: str | None
    role: str | None
    state: str
    held: bool


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Tracked).decode


def threshold_ms(tracked: Tracked, general: float, media: Mapping[str, float]) -> int:
    """The age in milliseconds after which the conversation is verified: the longest threshold of
    its open legs' media."""
    seconds = max((media.get(leg.medium, general) for leg in tracked.legs), default=general)
    return round(seconds * 1000)


def read_conversation(client: redis.Redis, keys: Keys, conversation_id: str) -> Tracked | None:
    """The record of one conversation; ended ones are kept for a while. Raises
    `RedisUnavailable`."""
    key = keys.conversation(conversation_id)
    with explained():
        text: Any = client.get(key)
    return readable(decode, text, key)


def show_conversation(client: redis.Redis, keys: Keys, conversation_id: str) -> TrackedView | None:
    """One conversation, None if Redis does not know it. Raises `RedisUnavailable`."""
    tracked = read_conversation(client, keys, conversation_id)
    if tracked is None:
        return None
    with explained():
        due: Any = client.zscore(keys.active, conversation_id)
    now = redis_now_ms(client)
    return _view(conversation_id, tracked, None if due is None else int(due), now)


def find_active(client: redis.Redis, keys: Keys, beginning: str, most: int) -> list[str]:
    """The ids of active conversations that begin with `beginning`, case ignored; at most `most`.

    Raises `RedisUnavailable`.
    """
    lower = beginning.lower()
    found: dict[str, None] = {}
    start = 0
    while len(found) < most:
        with explained():
            page: Any = client.zrange(keys.active, start, start + _IDS - 1)
        found.update(dict.fromkeys(id_ for id_ in page if id_.lower().startswith(lower)))
        if len(page) < _IDS:
            break
        start += _IDS
    return list(found)[:most]


def list_conversations(
    client: redis.Redis,
    keys: Keys,
    *,
    overdue: bool = False,
    queue: str | None = None,
    limit: int | None = None,
) -> Iterator[TrackedView]:
    """Active conversations, soonest verification first. Raises `RedisUnavailable`.

    `overdue` keeps only conversations that are due for verification, `queue` only those with an
    open, serving leg at that queue id. Reads in chunks, so a million conversations neither block
    Redis nor fill memory.
    """
    now = redis_now_ms(client)
    shown = 0
    for conversation_id, due, tracked in read_active(client, keys, now if overdue else "+inf"):
        if queue is not None and not any(
            leg.serves and leg.queue_id == queue for leg in tracked.legs
        ):
            continue
        yield _view(conversation_id, tracked, due, now)
        shown += 1
        if limit is not None and shown >= limit:
            return


def read_active(
    client: redis.Redis, keys: Keys, until: int | str = "+inf"
) -> Iterator[tuple[str, int, Tracked]]:
    """Active conversations due `until` a Redis time: (id, due time, record).

    In the order of their due times, read in chunks. Raises `RedisUnavailable`.
    """
    offset = 0
    while True:
        with explained():
            page: Any = client.zrangebyscore(
                keys.active, "-inf", until, start=offset, num=_CHUNK, withscores=True
            )
            if not page:
                return
            texts: Any = client.mget([keys.conversation(id_) for id_, _ in page])
        offset += len(page)
        for (conversation_id, due), text in zip(page, texts, strict=True):
            tracked = readable(decode, text, keys.conversation(conversation_id))
            if tracked is not None:
                yield conversation_id, int(due), tracked


def scan_active(client: redis.Redis, keys: Keys) -> Iterator[list[tuple[str, Tracked]]]:
    """Every conversation that is active throughout the scan; some may come twice.

    In batches, so the caller can do other work in between. The scan follows the scores, so an entry
    that leaves the set meanwhile hides no other. Raises `RedisUnavailable`.
    """
    after, skip = "-inf", 0
    while True:
        with explained():
            page: Any = client.zrangebyscore(
                keys.active, after, "+inf", start=skip, num=_CHUNK, withscores=True
            )
            ids = [id_ for id_, _ in page]
            texts: Any = client.mget([keys.conversation(id_) for id_ in ids]) if ids else []
        found = (
            (id_, readable(decode, text, keys.conversation(id_)))
            for id_, text in zip(ids, texts, strict=True)
        )
        yield [(id_, tracked) for id_, tracked in found if tracked is not None]
        if len(page) < _CHUNK:
            return
        last = f"{page[-1][1]:.0f}"
        skip = skip + _CHUNK if last == after else 0
        after = last


def count_conversations(client: redis.Redis, keys: Keys) -> tuple[int, int]:
    """The numbers of active and of overdue conversations. Raises `RedisUnavailable`."""
    with explained():
        active: Any = client.zcard(keys.active)
        overdue: Any = client.zcount(keys.active, "-inf", redis_now_ms(client))
    return int(active), int(overdue)


def oldest_due_seconds(client: redis.Redis, keys: Keys) -> float:
    """Seconds for which the longest overdue conversation has been due, 0 if none is.

    Raises `RedisUnavailable`.
    """
    with explained():
        first: Any = client.zrange(keys.active, 0, 0, withscores=True)
    return max(0.0, (redis_now_ms(client) - first[0][1]) / 1000) if first else 0.0


def _view(conversation_id: str, tracked: Tracked, due_ms: int | None, read_ms: int) -> TrackedView:
    return TrackedView(
        id=conversation_id,
        since_ms=tracked.since_ms,
        due_ms=due_ms,
        read_ms=read_ms,
        legs=tuple(
            TrackedLegView(
                participant_id=leg.participant_id,
                media_type=leg.medium,
                purpose=leg.purpose,
                agent_id=leg.agent_id,
                queue_id=leg.queue_id,
                role=leg.role,
                state=leg.state,
                held=leg.held,
            )
            for leg in tracked.legs
        ),
        legs_over=len(tracked.over) + tracked.forgotten,
    )
