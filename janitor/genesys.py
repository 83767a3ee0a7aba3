"""The janitor's OAuth clients: used in turn, and each asked for what it may see.

Clients may see different divisions. Then what one of them does not show may exist.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import msgspec
import redis

from janitor.budget import SharedBudget
from janitor.oddity import may_be_odd
from mirror.base.errors import GenesysError, GenesysRefused, GenesysUnavailable
from mirror.base.log import logger
from mirror.fleet.topics import read_shards
from mirror.genesys.client import GenesysClient
from mirror.genesys.shapes import AnalyticsConversation, AnalyticsPage
from mirror.redis.keys import Keys
from mirror.settings import Settings

LOOK_SECONDS: Final = 60.0
_FORBIDDEN: Final = 403
# No client's name: stands for the unknown audience of a topic.
_NOBODY: Final = ("",)
# For a conversation of another division a client answers "refused" or "not found".
_MAY_BE_ELSEWHERE: Final = frozenset({_FORBIDDEN, 404})


class Genesys(Protocol):
    """The janitor's calls to Genesys: three reads, never a write. All raise `GenesysError`."""

    def conversation(self, conversation_id: str) -> bytes:
        """The raw body of a conversation."""

    def query_details(self, query: dict[str, Any]) -> AnalyticsPage:
        """One page of an analytics details query."""

    def details(self, conversation_ids: Sequence[str]) -> list[AnalyticsConversation]:
        """Analytics of up to 100 conversations, without unknown ones."""


class Part(msgspec.Struct, frozen=True):
    """Topics, and the clients that list their conversations. Each client lists all of them.

    `genesys` reads all pages of a question with one client, because the lists of two may differ.
    """

    genesys: Genesys
    topics: tuple[str, ...]


class Sight(msgspec.Struct, frozen=True):
    """The clients that see some topics: `genesys` gives conversations by id, `parts` list them.

    Lists are whole only together. A topic is in several parts if it is unknown who sees it.
    """

    genesys: Genesys
    parts: tuple[Part, ...]


class Pool(Genesys, Protocol):
    """The same calls with several OAuth clients."""

    def seeing(self, topics: Sequence[str]) -> Sight:
        """The clients that see these topics. Raises `RedisUnavailable`."""


class Audience:
    """The OAuth clients that see the topics of each shard, from the leader's shards."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._redis = client
        self._keys = keys
        self._divided = False
        self._looked_at = -LOOK_SECONDS

    def by_topic(self) -> dict[str, tuple[str, ...]]:
        """Topic of a shard → the clients that see it, empty if all do."""
        return {
            topic: shard.clients
            for shard in read_shards(self._redis, self._keys)
            for topic in shard.topics
        }

    def is_divided(self) -> bool:
        """Whether some topics are not seen by all clients, or no shard says so yet.

        Looks at most every `LOOK_SECONDS`.
        """
        if time.monotonic() - self._looked_at >= LOOK_SECONDS:
            shards = read_shards(self._redis, self._keys)
            self._divided = not shards or any(shard.clients for shard in shards)
            self._looked_at = time.monotonic()
        return self._divided


class GenesysPool:
    """All OAuth clients, used in turn so that each budget carries its part.

    If clients see different divisions, "not found" from one client proves nothing: the others are
    asked for conversations that it refuses or does not know. So does an empty list, so each topic
    is asked of a client that sees it, or of each client where that is unknown (`seeing`).
    """

    def __init__(
        self, settings: Settings, client: redis.Redis, stop: threading.Event, share: float
    ) -> None:
        keys = Keys(settings.namespace)
        self.clients = [
            GenesysClient(settings, oauth, SharedBudget(client, keys, oauth.id, share), stop)
            for oauth in settings.require_clients()
        ]
        self.audience = Audience(client, keys)
        self.calls = 0
        self.log = logger("janitor.genesys")
        self._turn = 0
        self._refused: dict[str, tuple[GenesysRefused, float]] = {}  # client → why, until when

    def seeing(self, topics: Sequence[str]) -> Sight:
        """The clients that see these topics, by the shards that have them now.

        A topic of no shard (a back-fill by hand, a deleted queue) may be seen by any client: each
        client is asked for it.
        """
        if len(self.clients) == 1:
            return Sight(self, (Part(self, tuple(topics)),))
        seen_by = self.audience.by_topic()
        everybody = tuple(client.id for client in self.clients)
        groups: dict[tuple[str, ...], list[str]] = {}
        for topic in topics:
            names = seen_by.get(topic, _NOBODY) or everybody
            groups.setdefault(names, []).append(topic)
        parts: list[Part] = []
        seers: dict[str, GenesysClient] = {}
        is_unknown = False
        for names, group in groups.items():
            chosen = [client for client in self.clients if client.id in names]
            if chosen:
                parts.append(Part(_Some(self, chosen), tuple(group)))
            else:
                is_unknown = True
                chosen = self.clients
                parts += [Part(_Some(self, [client]), tuple(group)) for client in chosen]
            seers.update((client.id, client) for client in chosen)
        return Sight(_Some(self, list(seers.values()), asks_all=is_unknown), tuple(parts))

    def conversation(self, conversation_id: str) -> bytes:
        """`GET /api/v2/conversations/{id}`."""
        return _Some(self, self.clients, partial=True).conversation(conversation_id)

    def query_details(self, query: dict[str, Any]) -> AnalyticsPage:
        """The first page of an analytics details query."""
        return _Some(self, self.clients).query_details(query)

    def details(self, conversation_ids: Sequence[str]) -> list[AnalyticsConversation]:
        """Analytics of up to 100 conversations; unknown ones are not in the result."""
        return _Some(self, self.clients, partial=True).details(conversation_ids)

    def sign_in(self, client: GenesysClient) -> None:
        """Raise `GenesysError` if a client gets no token. A refused one is tried again after
        `LOOK_SECONDS`."""
        error, until = self._refused.get(client.id, (None, 0.0))
        if error is not None and time.monotonic() < until:
            raise error
        try:
            client.sign_in()
        except GenesysRefused as refusal:
            self._refused[client.id] = (refusal, time.monotonic() + LOOK_SECONDS)
            raise

    def next_of(self, clients: Sequence[GenesysClient]) -> int:
        """The position of the client whose turn it is."""
        self._turn += 1
        return self._turn % len(clients)


class _Some:
    """Some clients of a pool. For one thread.

    `asks_all`: it is unknown which of them sees what is asked for. `partial`: answers count even if
    a client that may know more has no token. Otherwise its error is raised, so that a gap waits.
    """

    def __init__(
        self,
        pool: GenesysPool,
        clients: Sequence[GenesysClient],
        *,
        asks_all: bool = False,
        partial: bool = False,
    ) -> None:
        self._pool = pool
        self._clients = clients
        self._asks_all = asks_all
        self._partial = partial
        self._lister = clients[0]

    def conversation(self, conversation_id: str) -> bytes:
        refused: GenesysError | None = None
        for client in self._in_turn():
            try:
                return client.conversation(conversation_id)
            except GenesysError as error:
                if error.status not in _MAY_BE_ELSEWHERE:
                    raise
                # "Refused" proves that it exists; "not found" of one client proves nothing.
                if refused is None or error.status == _FORBIDDEN:
                    refused = error
        assert refused is not None
        raise refused

    def query_details(self, query: dict[str, Any]) -> AnalyticsPage:
        """A page of a query. The client that answers the first page answers the later ones."""
        if query["paging"]["pageNumber"] == 1:
            self._lister = next(self._in_turn())
        else:
            self._pool.calls += 1
        return self._lister.query_details(query)

    def details(self, conversation_ids: Sequence[str]) -> list[AnalyticsConversation]:
        """If `partial`, conversations that only a client without an answer may see are also in the
        result, as `is_unread`."""
        found: dict[str, AnalyticsConversation] = {}
        missing = list(conversation_ids)
        has_answer = False
        try:
            for client in self._in_turn():
                for shown in client.details(missing):
                    if not shown.is_unread or shown.conversation_id not in found:
                        found[shown.conversation_id] = shown
                has_answer = True
                missing = [id_ for id_ in missing if id_ not in found or found[id_].is_unread]
                if not missing:
                    break
        except GenesysError as error:
            # What another client has answered stands, unless halves may find an odd id.
            if not (self._partial and has_answer) or may_be_odd(error):
                raise
            self._pool.log.warning("details_not_whole", error=str(error), missing=len(missing))
            for id_ in missing:
                found[id_] = AnalyticsConversation(id_, is_unread=True)
        return list(found.values())

    def _in_turn(self) -> Iterator[GenesysClient]:
        """The client whose turn it is; if clients see different divisions, then all others.

        A client that gets no token is passed over. If the others may not see the same, its error is
        raised after them: if `partial` and others have a token, as `GenesysUnavailable`, because
        calls can be made.
        """
        first = self._pool.next_of(self._clients)
        failed: GenesysError | None = None
        has_asked = False
        for client in (*self._clients[first:], *self._clients[:first]):
            try:
                if len(self._clients) > 1:
                    self._pool.sign_in(client)
            except GenesysError as error:
                failed = error
                continue
            self._pool.calls += 1
            has_asked = True
            yield client
            if len(self._clients) == 1 or not (self._asks_all or self._pool.audience.is_divided()):
                return
        if failed is not None:
            raise GenesysUnavailable(str(failed)) if has_asked and self._partial else failed
