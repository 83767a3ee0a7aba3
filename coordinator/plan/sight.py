"""Which topics each OAuth client may see, and which listings to believe. Pure.

Clients whose roles are granted in different divisions list different queues and users. What counts
is what all of them see together, and a topic has an *audience*: the clients that may have it.

An answer that lists more is believed at once. One that lists less is not: losing a division or a
permission, or a Genesys in trouble, looks just like queues that were deleted, and would close
channels. What is missing stays in force until a second answer misses it too; where more than half
of a client's list is missing, until it has been missing for `DOUBT_SECONDS`. A just-elected leader
doubts as well: `recall` gives it what the stored shards say.

Where a listing fails, what is believed of it stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from coordinator.plan.seats import Records
from mirror.fleet.words import Shard

DOUBT_SECONDS: Final = 60.0

#: Every OAuth client may have it.
ANYBODY: Final[frozenset[str]] = frozenset()


class Found(msgspec.Struct, frozen=True):
    """What is to be mirrored. `audience` has the topics that not every client may see."""

    topics: frozenset[str]
    audience: Mapping[str, frozenset[str]]


class Recalled(msgspec.Struct, frozen=True):
    """Topics that were mirrored before. `clients`: who is known to have them, because the shard is
    theirs alone or they hold a channel of it; `open` where the shard is for every client."""

    topics: tuple[str, ...]
    clients: frozenset[str]
    open: bool


def recalled(shards: Mapping[str, Shard], seats: Records) -> list[Recalled]:
    """What the stored shards and seats say of who sees what."""
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
    """So many of `known` topics are missing from a client's list, and are kept for now."""

    client: str
    family: str
    missing: int
    known: int

    @property
    def much(self) -> bool:
        """More than half: that is no everyday change."""
        return 2 * self.missing > self.known


class _View(msgspec.Struct):
    """One client's list of one family. `assumed` topics are believed until the first answer;
    `missing`: topic → since when no answer has it."""

    topics: frozenset[str] = frozenset()
    assumed: frozenset[str] = frozenset()
    missing: dict[str, float] = {}
    tried: bool = False


def family_of(topic: str) -> str:
    """`queues` or `users`: whose conversations, or status, a topic tells."""
    return "queues" if topic.startswith("v2.routing.queues.") else "users"


class Sight:
    """The lists of all `clients`, by family."""

    def __init__(self, clients: Sequence[str], families: Sequence[str]) -> None:
        self._clients = tuple(clients)
        self._families = tuple(families)
        self._recalled = False
        self._views = {(client, family): _View() for client in clients for family in families}

    def recall(self, before: Iterable[Recalled]) -> None:
        """Begin anew, from what was mirrored `before`; families that are not wanted are left out.

        A client that is only assumed to see a topic is believed at its first answer.
        """
        every = frozenset(self._clients)
        sure: dict[tuple[str, str], set[str]] = {key: set() for key in self._views}
        assumed: dict[tuple[str, str], set[str]] = {key: set() for key in self._views}
        for recalled in before:
            # Nothing is known where those that had it are clients no more.
            known = recalled.clients & every or every
            others = every - known if recalled.open else ()
            for topic in recalled.topics:
                family = family_of(topic)
                if family in self._families:
                    for client in known:
                        sure[client, family].add(topic)
                    for client in others:
                        assumed[client, family].add(topic)
        self._recalled = any(sure.values())
        for key in self._views:
            self._views[key] = _View(
                topics=frozenset(sure[key] | assumed[key]),
                assumed=frozenset(assumed[key] - sure[key]),
            )

    def hear(self, client: str, family: str, listed: frozenset[str], now: float) -> None:
        """A client's whole list of a family, at `now` (seconds of a steady clock)."""
        view = self._views[client, family]
        lost = view.topics - view.assumed - listed
        patience = DOUBT_SECONDS if 2 * len(lost) > len(view.topics) else 0.0
        gone = {
            topic
            for topic in lost
            if topic in view.missing and now - view.missing[topic] >= patience
        }
        kept = lost - gone
        self._views[client, family] = _View(
            topics=listed | kept,
            missing={topic: view.missing.get(topic, now) for topic in kept},
            tried=True,
        )

    def fail(self, client: str, family: str) -> None:
        """The list could not be had: what was known stays."""
        self._views[client, family].tried = True

    def doubts(self) -> list[Doubt]:
        """What is missing and kept for now."""
        return [
            Doubt(client, family, len(view.missing), len(view.topics))
            for (client, family), view in self._views.items()
            if view.missing
        ]

    def settled(self) -> frozenset[str]:
        """Families of which every client was asked."""
        return frozenset(
            family
            for family in self._families
            if all(self._views[client, family].tried for client in self._clients)
        )

    def found(self) -> Found:
        """What all clients see together. A family of which some client was not asked yet is left
        out, unless it is recalled: its audience would change with each answer."""
        ready = self._families if self._recalled else self.settled()
        audience: dict[str, set[str]] = {}
        for (client, family), view in self._views.items():
            if family in ready:
                for topic in view.topics:
                    audience.setdefault(topic, set()).add(client)
        every = len(self._clients)
        return Found(
            frozenset(audience),
            {topic: frozenset(who) for topic, who in audience.items() if len(who) < every},
        )

    def alone(self) -> dict[tuple[str, str], int]:
        """(client, family) → how many topics that client alone sees, where there are several."""
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
