"""Elects the leader: a lock in Redis with the owner's token, and a fence that rises each time.

Every write of the leader goes through `Leadership.write`. Its script refuses the write if another
coordinator leads, or has led since (I2). So a coordinator that was paused and wakes up can do no
harm, and learns from the refusal that it no longer leads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import redis

from mirror.redis.keys import Keys
from mirror.redis.scripts import Argument, function, script

PACKAGE: Final = "coordinator"
# Far below the few thousand values that Redis' Lua takes at once.
MAX_WRITES: Final = 200
MAX_WRITE_BYTES: Final = 1_000_000


class Write(msgspec.Struct, frozen=True):
    """One write: a command of `lua/write.lua`, its key, and its other arguments."""

    command: str
    key: str
    arguments: tuple[Argument, ...] = ()


class Deposed(Exception):
    """A write was refused: another coordinator leads, or has led since."""


class Leadership:
    """One coordinator's claim to lead."""

    def __init__(self, client: redis.Redis, keys: Keys, token: str, lease: float) -> None:
        """`lease`: seconds for which an election holds without renewal."""
        self.token = token
        self.fence = 0  # 0: does not lead
        self._keys = keys
        self._lease_ms = round(lease * 1000)
        self._elect = script(client, "elect", PACKAGE)
        self._resign = script(client, "resign", PACKAGE)
        filing = function("file_gap", "mirror.fleet")
        self._write = script(client, "write", PACKAGE, filing)

    def claim(self) -> tuple[int, bool]:
        """Become or stay leader. Returns Redis' time in ms, and whether this was an election.

        Afterwards `fence` is 0 if another coordinator leads. Raises `RedisUnavailable`.
        """
        fence, now_ms = self._elect(
            [self._keys.leader, self._keys.fence], [self.token, self._lease_ms]
        )
        elected = fence not in {0, self.fence}
        self.fence = fence
        return now_ms, elected

    def resign(self) -> None:
        """Let another coordinator lead at once. Raises `RedisUnavailable`."""
        self.fence = 0
        self._resign([self._keys.leader], [self.token])

    def write(self, writes: Sequence[Write]) -> None:
        """Do `writes` in order, in as few scripts as their size allows.

        Raises `Deposed` if the fence is stale: earlier writes of the list may have been done, later
        ones were not. Raises `RedisUnavailable`.
        """
        batch: list[Write] = []
        size = 0
        for write in writes:
            length = sum(len(str(argument)) for argument in write.arguments)
            if batch and (len(batch) >= MAX_WRITES or size + length > MAX_WRITE_BYTES):
                self._send(batch)
                batch, size = [], 0
            batch.append(write)
            size += length
        if batch:
            self._send(batch)

    def _send(self, batch: Sequence[Write]) -> None:
        arguments: list[Argument] = [self.token, self.fence]
        for write in batch:
            arguments += [write.command, len(write.arguments), *write.arguments]
        keys = [self._keys.leader, self._keys.fence, self._keys.gaps]
        keys += [write.key for write in batch]
        if not self._write(keys, arguments):
            self.fence = 0
            raise Deposed
