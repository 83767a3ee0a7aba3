"""OAuth clients that list a queue or user and are refused its topics all the same. Pure.

Not every listing goes by division: Genesys lists users to any client, and refuses the topics of
those in whose division the client's role is not granted. Which client is refused which topic the
listeners tell; the topic then goes to the others. Where all are refused nothing is gained by moving
it, and it stays where it is, as refused.

A refusal is believed once no further one has come for `quiet_ms`, so that one client's refusal does
not move topics that the next will refuse too. It is kept with the shard for the next leader, until
an operator asks for a rebalance: then everything is asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from coordinator.plan.seats import SERVING
from coordinator.plan.sight import ANYBODY, Found
from mirror.fleet.words import Beat, Shard


class Refusals:
    """Topic → the clients that are refused it. Times are Redis milliseconds."""

    def __init__(self, clients: Iterable[str], quiet_ms: int) -> None:
        self._clients = frozenset(clients)
        self._quiet_ms = quiet_ms
        self._by: dict[str, frozenset[str]] = {}
        self._learned_ms: int | None = None  # what was learned then is not believed yet

    def recall(self, shards: Mapping[str, Shard]) -> None:
        """What the last leader knew."""
        self._learned_ms = None
        self._by = {
            topic: frozenset(shard.refused)
            for shard in shards.values()
            if shard.refused
            for topic in shard.topics
        }

    def forget(self) -> None:
        """Everything is asked for again."""
        self._by = {}
        self._learned_ms = None

    def learn(self, listeners: Iterable[Beat], shards: Mapping[str, Shard], now_ms: int) -> bool:
        """Learn from reports of the living; whether there is news to be believed now.

        A report from before the shard was last changed may be of before a rebalance.
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
        """What discovery found, without the clients that are refused what they list."""
        audience = dict(found.audience)
        for topic, refused in self._by.items():
            left = audience.get(topic, self._clients) - refused
            if topic in found.topics and left and left != self._clients:
                audience[topic] = left
        return Found(found.topics, audience)
