"""A Redis, a Genesys and an outlet that the janitor's unit tests can put into any state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from janitor.genesys import Part, Sight
from janitor.producer import ANY_PARTITION, PartitionUnavailable
from mirror.base.errors import GenesysError, GenesysRefused, GenesysUnavailable
from mirror.conversation.event import Event
from mirror.conversation.times import show_ms
from mirror.fleet.tracked import Tracked, encode
from mirror.genesys.shapes import AnalyticsConversation, AnalyticsPage


class Memory:
    """The commands of Redis that a reading uses, at a time of the test's own."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.sets: dict[str, set[str]] = {}
        self.ranked: dict[str, dict[str, float]] = {}
        self.texts: dict[str, str] = {}

    def time(self) -> tuple[int, int]:
        return self.now_ms // 1000, self.now_ms % 1000 * 1000

    def smismember(self, key: str, ids: list[str]) -> list[int]:
        return [int(id_ in self.sets.get(key, ())) for id_ in ids]

    def pipeline(self) -> Memory:
        return self

    def execute(self) -> None:
        """It is done already."""

    def sadd(self, key: str, member: str) -> None:
        self.sets.setdefault(key, set()).add(member)

    def expire(self, _key: str, _seconds: int) -> None:
        """It does not."""

    def delete(self, key: str) -> None:
        self.sets.pop(key, None)

    def zadd(self, key: str, scores: Mapping[str, float], **_: object) -> None:
        self.ranked.setdefault(key, {}).update(scores)

    def zscore(self, key: str, member: str) -> float | None:
        score = self.ranked.get(key, {}).get(member)
        return None if score is None else float(score)

    def zrange(self, key: str, first: int, _last: int) -> list[str]:
        ranked = self.ranked.get(key, {})
        return sorted(ranked, key=lambda member: ranked[member])[first:]

    def zremrangebyscore(self, *_: object) -> None:
        """Nothing is old."""

    def zrangebyscore(self, key: str, *_: object, start: int = 0, **__: object) -> list[Any]:
        return list(self.ranked.get(key, {}).items())[start:]

    def mget(self, names: list[str]) -> list[str | None]:
        return [self.texts.get(name) for name in names]

    def track(self, keys: Any, conversation_id: str, tracked: Tracked) -> None:
        """As the tracker would write an active conversation."""
        self.texts[keys.conversation(conversation_id)] = encode(tracked).decode()
        self.zadd(keys.active, {conversation_id: float(tracked.since_ms)})


class AckedProducer:
    """Keeps what is sent. A conversation's name begins with its partition, if it has a digit."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.away: set[int] = set()  # partitions that take no events
        self.tried: list[str] = []

    def partition_of(self, name: str) -> int:
        return int(name[0]) if name[0].isdigit() else ANY_PARTITION

    def send(self, events: Sequence[Event]) -> None:
        name = events[0].conversation_id
        self.tried.append(name)
        if (number := self.partition_of(name)) in self.away:
            raise PartitionUnavailable(f"no events for partition {number}", number)
        self.events += events


class Genesys:
    """Conversations as REST and analytics know them; `errors` answer instead of REST."""

    def __init__(self) -> None:
        self.rest: dict[str, bytes] = {}
        self.analytics: dict[str, AnalyticsConversation] = {}
        self.listed: set[str] = set()  # what details queries list
        self.errors: dict[str, GenesysError] = {}
        self.asked: list[str] = []
        self.queries = 0
        self.multi_gets: list[list[str]] = []

    def seeing(self, topics: Sequence[str]) -> Sight:
        """One client sees all."""
        return Sight(self, (Part(self, tuple(topics)),))

    def add(
        self, name: str, began_ms: int, ended_ms: int | None = None, *, listed: bool = True
    ) -> None:
        """A call of a customer, as both know it."""
        began = show_ms(began_ms)
        leg = {"id": f"{name}-leg", "state": "connected", "connectedTime": began}
        segment: dict[str, Any] = {"segmentType": "interact", "segmentStart": began}
        if ended_ms is not None:
            ended = show_ms(ended_ms)
            leg |= {"state": "disconnected", "disconnectedTime": ended, "disconnectType": "peer"}
            segment |= {"segmentEnd": ended, "disconnectType": "peer"}
        body = {
            "id": name,
            "startTime": began,
            "participants": [{"id": "p", "purpose": "customer", "calls": [leg]}],
        }
        session = {"sessionId": f"{name}-leg", "mediaType": "voice", "segments": [segment]}
        participant = {"participantId": "p", "purpose": "customer", "sessions": [session]}
        self.rest[name] = msgspec.json.encode(body)
        self.analytics[name] = AnalyticsConversation(
            name,
            began,
            None if ended_ms is None else show_ms(ended_ms),
            msgspec.Raw(msgspec.json.encode([participant])),
        )
        if listed:
            self.listed.add(name)

    def conversation(self, name: str) -> bytes:
        self.asked.append(name)
        if name in self.errors:
            raise self.errors[name]
        if name not in self.rest:
            raise GenesysError("GET answers 404 not.found", status=404, code="not.found")
        return self.rest[name]

    def query_details(self, query: Mapping[str, Any]) -> AnalyticsPage:
        self.queries += 1
        filters = query.get("conversationFilters")
        wanted = filters[0]["predicates"][0]["operator"] if filters else "any"
        found = [
            body
            for name, body in self.analytics.items()
            if name in self.listed
            and (wanted == "any" or (wanted == "exists") == (body.conversation_end is not None))
        ]
        size, number = query["paging"]["pageSize"], query["paging"]["pageNumber"]
        return AnalyticsPage(found[(number - 1) * size : number * size], len(found))

    def details(self, names: Sequence[str]) -> list[AnalyticsConversation]:
        self.multi_gets.append(list(names))
        return [self.analytics[name] for name in names if name in self.analytics]


class Odd(Genesys):
    """Analytics refuses each request that has one of these ids, or fails at it with `error`."""

    def __init__(self, *odd: str, error: GenesysError | None = None) -> None:
        super().__init__()
        self.odd = set(odd)
        self.error = error or odd_request()

    def details(self, names: Sequence[str]) -> list[AnalyticsConversation]:
        found = super().details(names)
        if self.odd & set(names):
            raise self.error
        return found

    def query_details(self, query: Mapping[str, Any]) -> AnalyticsPage:
        found = super().query_details(query)
        if any(f'"{name}"' in str(msgspec.json.encode(query)) for name in self.odd):
            raise self.error
        return found


def odd_request() -> GenesysError:
    """As Genesys answers a request that it does not understand."""
    return GenesysError("GET answers 400 bad.request", status=400, code="bad.request")


def unwell() -> GenesysError:
    """As Genesys answers where it fails itself."""
    return GenesysUnavailable("GET answers 500", status=500, code="internal.server.error")


def refusal() -> GenesysError:
    """As Genesys answers where a right or a division is missing."""
    return GenesysRefused(
        "GET answers 403 missing.permissions", status=403, code="missing.permissions"
    )
