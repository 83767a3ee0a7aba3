"""The fold in Redis: conversations, the active set and the offsets, moved together.

Every method takes one round trip (several for a large batch) and raises `RedisUnavailable`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import redis

from coordinator.tracker.batch import ConversationChange
from mirror.fleet.pinned import read_pinned
from mirror.redis.connect import explained
from mirror.redis.keys import Keys
from mirror.redis.scripts import script

# After-call work may follow an end, and so may repeats of the last events. So an ended conversation
# is kept for a while, and they do not open it again.
ENDED_KEPT_SECONDS: Final = 900


class ConversationStore:
    """The tracker's reads and writes in Redis."""

    def __init__(self, client: redis.Redis, keys: Keys, topic: str) -> None:
        self._redis = client
        self._keys = keys
        self._topic = topic
        self._offsets = keys.offsets(topic)
        self._fold = script(client, "fold", "coordinator")
        self._beat = script(client, "tracker_beat", "coordinator")

    def documents(self, conversation_ids: Sequence[str]) -> list[str | None]:
        """The stored record of each conversation, None if there is none."""
        if not conversation_ids:
            return []
        with explained():
            found: Any = self._redis.mget([self._keys.conversation(i) for i in conversation_ids])
        return list(found)

    def apply(
        self,
        partition: int,
        expected: str,
        following: int,
        changes: Sequence[ConversationChange],
        *,
        behind: bool,
    ) -> bool:
        """Write a batch and its offset; False if the stored offset is not `expected`."""
        arguments: list[str | bytes | int] = [
            partition,
            expected,
            following,
            int(behind),
            ENDED_KEPT_SECONDS * 1000,
        ]
        for change in changes:
            arguments += (
                change.conversation_id,
                change.document,
                "" if change.was_due_ms is None else change.was_due_ms,
                "" if change.due_ms is None else change.due_ms,
                change.threshold_ms,
            )
        keys = [self._offsets, self._keys.active]
        keys += [self._keys.conversation(change.conversation_id) for change in changes]
        return bool(self._fold(keys, arguments))

    def anybody_behind(self) -> bool:
        """Whether records wait in any partition, also in those of other trackers.

        A partition beyond the topic's number is of a topic that was there before.
        """
        count = read_pinned(self._redis, self._keys).get(self._topic, math.inf)
        with explained():
            fields: Any = self._redis.hkeys(self._offsets)
        behind = (str(field).removeprefix("behind:") for field in fields if "behind:" in str(field))
        return any(int(number) < count for number in behind)

    def beat(self, partitions: Sequence[int], *, behind: bool) -> dict[int, str]:
        """Report that a tracker lives, and whether these partitions are `behind`. Returns partition
        → stored offset."""
        flat = self._beat([self._offsets], [int(behind), *partitions])
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        return {
            int(name): value
            for name, value in fields.items()
            if name.isdecimal() and value.isdecimal()
        }
