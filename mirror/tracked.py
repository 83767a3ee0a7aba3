"""What the tracker keeps of a conversation in Redis, and how to read it.

`conversation:<id>` is a string: `Tracked` as a JSON array, small because a million of them must fit
into a gigabyte. Ended legs shrink to their names, which is all that the id of an `end` needs.
`active` is a sorted set of conversation id → Redis time at which it is next due for verification.

The tracker alone writes conversations; janitors only move scores of `active`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import redis

from mirror.redis.connect import explained
from mirror.redis.keys import Keys

_CHUNK: Final = 500


class TrackedLeg(msgspec.Struct, array_like=True):
    """A leg that has not ended. `position` counts a participant's legs of one medium from 0."""

    participant_id: str
    medium: str
    position: int = 0
    communication_id: str | None = None
    purpose: str | None = None
    agent_id: str | None = None
    queue_id: str | None = None
    direction: str | None = None
    state: str = ""
    held: bool = False
    answered: bool = False

    @property
    def name(self) -> str:
        """The leg's part in the id of its conversation's `end`."""
        return f"{self.participant_id} {self.medium} {self.position}"


class Tracked(msgspec.Struct, array_like=True):
    """One conversation. `since_ms` is when it began, Genesys' time in epoch milliseconds.

    `legs` are the open ones, `over` the names of those that ended. `ended` says that its end was
    seen and nothing opened since.
    """

    since_ms: int
    legs: list[TrackedLeg] = []
    over: list[str] = []
    ended: bool = False


class ConversationView(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation as `mirror conversations` shows it; `due_ms` is negative where overdue."""

    id: str
    since_ms: int
    due_ms: int | None
    active: bool
    legs: tuple[TrackedLegView, ...]
    legs_over: int


class TrackedLegView(msgspec.Struct, frozen=True, kw_only=True):
    """An open leg as `mirror conversations` shows it."""

    participant_id: str
    media_type: str
    purpose: str | None
    agent_id: str | None
    queue_id: str | None
    state: str
    held: bool


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Tracked).decode


def threshold_ms(tracked: Tracked, general: float, media: Mapping[str, float]) -> int:
    """After which age the conversation is verified: the longest of its open legs' media."""
    seconds = max((media.get(leg.medium, general) for leg in tracked.legs), default=general)
    return round(seconds * 1000)


def read_conversation(client: redis.Redis, keys: Keys, conversation_id: str) -> Tracked | None:
    """What is kept of one conversation, ended ones for a while. Raises `RedisUnavailable`."""
    with explained():
        text = client.get(keys.conversation(conversation_id))
    return decode(text) if isinstance(text, str) else None


def show_conversation(
    client: redis.Redis, keys: Keys, conversation_id: str
) -> ConversationView | None:
    """One conversation, None where Redis does not know it. Raises `RedisUnavailable`."""
    tracked = read_conversation(client, keys, conversation_id)
    if tracked is None:
        return None
    with explained():
        due: Any = client.zscore(keys.active, conversation_id)
        now = _now_ms(client)
    return _view(conversation_id, tracked, None if due is None else int(due) - now)


def list_conversations(
    client: redis.Redis,
    keys: Keys,
    *,
    overdue: bool = False,
    queue: str | None = None,
    limit: int | None = None,
) -> Iterator[ConversationView]:
    """Active conversations, the one that is due next first. Raises `RedisUnavailable`.

    `overdue` keeps those that are due for verification, `queue` those with an open leg of that
    queue id. Reads in chunks, so that a million of them neither block Redis nor fill memory.
    """
    with explained():
        now = _now_ms(client)
    shown = 0
    for conversation_id, due, tracked in read_active(client, keys, now if overdue else "+inf"):
        if queue is not None and all(leg.queue_id != queue for leg in tracked.legs):
            continue
        yield _view(conversation_id, tracked, due - now)
        shown += 1
        if limit is not None and shown >= limit:
            return


def read_active(
    client: redis.Redis, keys: Keys, until: int | str = "+inf"
) -> Iterator[tuple[str, int, Tracked]]:
    """Active conversations due `until` a Redis time: id, when it is due, and what is kept of it.

    In the order in which they are due, read in chunks. Raises `RedisUnavailable`.
    """
    offset = 0
    while True:
        with explained():
            page: Any = client.zrangebyscore(
                keys.active, "-inf", until, start=offset, num=_CHUNK, withscores=True
            )
            if not page:
                return
            texts: Any = client.mget([keys.conversation(one) for one, _ in page])
        offset += len(page)
        for (conversation_id, due), text in zip(page, texts, strict=True):
            if text:
                yield conversation_id, int(due), decode(text)


def count_conversations(client: redis.Redis, keys: Keys) -> tuple[int, int]:
    """How many are active, and how many of them are overdue. Raises `RedisUnavailable`."""
    with explained():
        active: Any = client.zcard(keys.active)
        overdue: Any = client.zcount(keys.active, "-inf", _now_ms(client))
    return int(active), int(overdue)


def _view(conversation_id: str, tracked: Tracked, due_ms: int | None) -> ConversationView:
    return ConversationView(
        id=conversation_id,
        since_ms=tracked.since_ms,
        due_ms=due_ms,
        active=due_ms is not None,
        legs=tuple(
            TrackedLegView(
                participant_id=leg.participant_id,
                media_type=leg.medium,
                purpose=leg.purpose,
                agent_id=leg.agent_id,
                queue_id=leg.queue_id,
                state=leg.state,
                held=leg.held,
            )
            for leg in tracked.legs
        ),
        legs_over=len(tracked.over),
    )


def _now_ms(client: redis.Redis) -> int:
    now: Any = client.time()
    return int(now[0]) * 1000 + int(now[1]) // 1000
