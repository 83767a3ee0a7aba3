"""Decides which topics each OAuth client may see, and which listings to believe. Pure.

Clients with roles in different divisions list different queues and users. The union of their lists
is mirrored, and a topic has an *audience*: the clients that may see it.

An answer that lists more is believed at once. An answer that lists less is not: a lost division or
permission, or a Genesys in trouble, looks exactly like deleted queues, and would close channels.
Missing topics stay in force until a second answer lacks them too. If many are missing (`is_many`),
they stay for `DOUBT_SECONDS`. A newly elected leader doubts as well: `recall` gives it the topics
of the stored shards.

After a failed listing the last list stays in force.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from coordinator.plan.seats import Records
from mirror.fleet.words import Shard

DOUBT_SECONDS: Final = 60.0
# So many topics of a list, and at least `MANY_TOPICS`, are no everyday change.
MANY_SHARE: Final = 0.05
MANY_TOPICS: Final = 3

#: Every OAuth client may see the topic.
ANYBODY: Final[frozenset[str]] = frozenset()


class Found(msgspec.Struct, frozen=True):
    """The topics to mirror. `audience` has the topics that not every client may see."""

    topics: frozenset[str]
    audience: Mapping[str, frozenset[str]]


class Recalled(msgspec.Struct, frozen=True):
    """Topics that were mirrored before. `clients`: those known to see them, because the shard is
    theirs alone or they hold a channel of it. `open`: the shard is for every client."""

    topics: tuple[str, ...]
    clients: frozenset[str]
    open: bool


def recalled(shards: Mapping[str, Shard], seats: Records) -> list[Recalled]:
    """The mirrored topics and their clients, from the stored shards and seats."""
    holders: dict[str, set[str]] = {}
    for record in seats.values():
        holders.setdefault(record.shard, set()).update(
            holding.client for holding in record.holdings()
        )
    return [
        Recalled(
            topics=shard.topics,
            clients=frozenset(shard.clients or holders.get(shard.id, ())),
            open=not shard.clients,
        )
        for shard in shards.values()
    ]


class Doubt(msgspec.Struct, frozen=True):
    """`missing` of `known` topics are missing from a client's list, and are kept for now."""

    client: str
    family: str
    missing: int
    known: int

    @property
    def much(self) -> bool:
        """Whether many topics are missing (`is_many`)."""
        return is_many(self.missing, self.known)


class _View(msgspec.Struct):
    """One client's list of one family. `assumed` topics are believed until the first answer;
    `missing`: topic → since when no answer has it."""

    topics: frozenset[str] = frozenset()
    assumed: frozenset[str] = frozenset()
    missing: dict[str, float] = {}
    tried: bool = False


def is_many(missing: int, known: int) -> bool:
    """Whether `missing` of `known` topics are more than an everyday change: `MANY_SHARE` of the
    list and at least `MANY_TOPICS`, or more than half of a short list."""
    share = missing >= max(MANY_TOPICS, MANY_SHARE * known)
    return share or 2 * missing > known


def family_of(topic: str) -> str:
    """The family of a topic: `queues` or `users`."""
    return "queues" if topic.startswith("v2.routing.queues.") else "users"


class Sight:
    """The lists of all `clients`, by family."""

    def __init__(self, clients: Sequence[str], families: Sequence[str]) -> None:
        self._clients = tuple(clients)
        self._families = tuple(families)
        self._recalled = False
        self._views = {(client, family): _View() for client in clients for family in families}

    def recall(self, before: Iterable[Recalled]) -> None:
        """Start over from the topics that were mirrored `before`, without unwanted families.

        For a client that is only assumed to see a topic, the first answer decides.
        """
        every = frozenset(self._clients)
        sure: dict[tuple[str, str], set[str]] = {key: set() for key in self._views}
        assumed: dict[tuple[str, str], set[str]] = {key: set() for key in self._views}
        for recalled in before:
            # If none of its clients is configured any more, nothing is known.
            known = recalled.clients & every or every
            assumed_clients = every - known if recalled.open else ()
            for topic in recalled.topics:
                family = family_of(topic)
                if family in self._families:
                    for client in known:
                        sure[client, family].add(topic)
                    for client in assumed_clients:
                        assumed[client, family].add(topic)
        self._recalled = any(sure.values())
        for key in self._views:
            self._views[key] = _View(
                topics=frozenset(sure[key] | assumed[key]),
                assumed=frozenset(assumed[key] - sure[key]),
            )

    def hear(
        self,
        client: str,
        family: str,
        listed: frozenset[str],
        now: float,
        *,
        is_whole: bool = True,
    ) -> None:
        """Take a client's list of a family, at `now` (monotonic seconds).

        If it is not `is_whole`, each missing topic may be an entry that cannot be read. Such a list
        proves nothing about missing topics, so they are kept, and not doubted.
        """
        view = self._views[client, family]
        lost = view.topics - view.assumed - listed
        patience = DOUBT_SECONDS if is_many(len(lost), len(view.topics)) else 0.0
        gone = {
            topic
            for topic in lost
            if is_whole and topic in view.missing and now - view.missing[topic] >= patience
        }
        kept = lost - gone
        self._views[client, family] = _View(
            topics=listed | kept,
            missing={topic: view.missing.get(topic, now) for topic in kept} if is_whole else {},
            tried=True,
        )

    def fail(self, client: str, family: str) -> None:
        """Note that a listing failed: the last list stays."""
        self._views[client, family].tried = True

    def doubts(self) -> list[Doubt]:
        """The missing topics that are kept for now."""
        return [
            Doubt(client, family, len(view.missing), len(view.topics))
            for (client, family), view in self._views.items()
            if view.missing
        ]

    def settled(self) -> frozenset[str]:
        """Families that every client was asked for."""
        return frozenset(
            family
            for family in self._families
            if all(self._views[client, family].tried for client in self._clients)
        )

    def left_out(self) -> list[str]:
        """Families of which `found` has nothing, because not every client was asked: the audience
        of their topics would change with each answer. Recalled families are never left out."""
        settled = self._families if self._recalled else self.settled()
        return [family for family in self._families if family not in settled]

    def found(self) -> Found:
        """The union of all clients' lists, but for those `left_out`."""
        left_out = self.left_out()
        audience: dict[str, set[str]] = {}
        for (client, family), view in self._views.items():
            if family not in left_out:
                for topic in view.topics:
                    audience.setdefault(topic, set()).add(client)
        every = len(self._clients)
        return Found(
            frozenset(audience),
            {
                topic: frozenset(clients)
                for topic, clients in audience.items()
                if len(clients) < every
            },
        )

    def alone(self) -> dict[tuple[str, str], int]:
        """(client, family) → the number of topics that only this client sees, with several
        clients."""
        counts: dict[tuple[str, str], int] = {}
        if len(self._clients) < 2:
            return counts
        for family in self._families:
            seen = Counter(
                topic for client in self._clients for topic in self._views[client, family].topics
            )
            for client in self._clients:
                own = sum(seen[topic] == 1 for topic in self._views[client, family].topics)
                if own:
                    counts[client, family] = own
        return counts
