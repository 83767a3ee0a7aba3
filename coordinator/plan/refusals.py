"""OAuth clients that list a queue or user but are refused its topics. Pure.

Not all listings respect divisions: Genesys lists users to any client, but refuses topics of users
in divisions where the client's role is not granted. The listeners report which client is refused
which topic; the topic then goes to the other clients. If all are refused, the topic stays where it
is, as refused.

A refusal counts when no further one has come for `quiet_ms`, so that topics do not move to a client
that is about to be refused too. Refusals are stored with the shard for the next leader, until an
operator requests a rebalance: then all topics are tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from coordinator.plan.clock import earlier
from coordinator.plan.sight import ANYBODY, Found
from mirror.fleet.words import SERVING, Beat, Shard


class Refusals:
    """Topic → the clients that are refused this topic. Times are Redis milliseconds."""

    def __init__(self, clients: Iterable[str], quiet_ms: int) -> None:
        self._clients = frozenset(clients)
        self._quiet_ms = quiet_ms
        self._by: dict[str, frozenset[str]] = {}
        self._learned_ms: int | None = None  # refusals learnt then do not count yet

    def recall(self, shards: Mapping[str, Shard]) -> None:
        """Take the last leader's refusals from the stored shards."""
        self._learned_ms = None
        self._by = {
            topic: frozenset(shard.refused)
            for shard in shards.values()
            if shard.refused
            for topic in shard.topics
        }

    def forget(self) -> None:
        """Forget all refusals: all topics are tried again."""
        self._by = {}
        self._learned_ms = None

    def step_back(self, by_ms: int) -> None:
        """Redis' clock went back by `by_ms`: so do the times."""
        if self._learned_ms is not None:
            self._learned_ms = earlier(self._learned_ms, by_ms)

    def learn(self, listeners: Iterable[Beat], shards: Mapping[str, Shard], now_ms: int) -> bool:
        """Learn from reports of live listeners. Returns whether new refusals count now.

        Reports with an older shard epoch are ignored: they may be from before a rebalance.
        """
        for beat in listeners:
            for report in beat.channels:
                shard = shards.get(report.shard)
                if not report.rejected or shard is None or report.state not in SERVING:
                    continue
                if report.shard_epoch != shard.epoch:
                    continue
                for topic in report.rejected:
                    known = self._by.get(topic, ANYBODY)
                    if report.client not in known:
                        self._by[topic] = known | {report.client}
                        self._learned_ms = now_ms
        if self._learned_ms is None or now_ms - self._learned_ms < self._quiet_ms:
            return False
        self._learned_ms = None
        return True

    def of(self, topics: Iterable[str]) -> tuple[str, ...]:
        """The clients that are refused any of these topics, in order."""
        none: frozenset[str] = frozenset()
        return tuple(sorted(none.union(*(self._by.get(topic, none) for topic in topics))))

    def applied(self, found: Found) -> Found:
        """Discovery's result, without clients that are refused topics that they list."""
        audience = dict(found.audience)
        for topic, refused in self._by.items():
            left = audience.get(topic, self._clients) - refused
            if topic in found.topics and left and left != self._clients:
                audience[topic] = left
        return Found(found.topics, audience)
