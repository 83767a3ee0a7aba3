"""Notification channels (docs/protocol.md, "Channels"). Pure: takes ids, topics and the Genesys
time.

The rules: an OAuth client has 20 channels, and the 21st silently removes an unconnected channel or
the least recently used one. A channel has one socket, and a second socket closes the first. A
channel has 1,000 topics; a combined topic counts once. It lives for 24 hours unless it is renewed,
and no longer than the token that made it. Return values say which sockets to close; callers close
them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import msgspec

from simulator.ids import channel_id_from
from simulator.oauth import Token
from simulator.topics import expand, kind_of

CHANNEL_LIMIT = 20
TOPIC_LIMIT = 1000
LIFETIME_MS = 24 * 3600 * 1000


class Channel(msgspec.Struct):
    """One channel; times are Genesys milliseconds, `socket` is the number of its open socket."""

    id: str
    client_id: str
    token: Token
    created_ms: int
    expires_ms: int
    used_ms: int
    #: The topic ids as they were asked for, in order; the value holds the plain topics.
    topics: dict[str, list[str]] = msgspec.field(default_factory=dict)
    socket: int | None = None


class TooManyTopics(Exception):
    """More than 1,000 topics on a channel (400 `notification.subscription.too.many...`)."""


class InvalidTopic(Exception):
    """The topic does not exist (400 `notification.invalid.topic`)."""


class MissingPermission(Exception):
    """A topic is not allowed (403); carries the permissions that would allow it."""

    def __init__(self, permissions: tuple[str, ...]) -> None:
        super().__init__(", ".join(permissions))
        self.permissions = permissions


class TopicAnswer(msgspec.Struct, frozen=True):
    """The result for a topic of a subscription request."""

    id: str
    permitted: bool
    missing: tuple[str, ...] = ()


class ChannelBook:
    """All channels of the org, and their subscriptions."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._channels: dict[str, Channel] = {}
        self._listeners: dict[str, dict[str, Channel]] = {}
        self.channel_limit = CHANNEL_LIMIT
        self.topic_limit = TOPIC_LIMIT
        self.lifetime_ms = LIFETIME_MS
        self.token_ends_channels = True
        #: Which requests renew a channel; open (docs/protocol.md, "Channels").
        self.renewing = frozenset({"PUT", "POST", "WS"})

    def create(self, token: Token, now_ms: int) -> tuple[Channel, list[Channel]]:
        """A new channel, and the channels of the client that were removed for it."""
        mine = self.of_client(token.client_id)
        evicted = []
        while len(mine) >= self.channel_limit:
            victim = min(mine, key=lambda c: (c.socket is not None, c.used_ms))
            mine.remove(victim)
            self.remove(victim.id)
            evicted.append(victim)
        channel = Channel(
            id=channel_id_from(self._rng),
            client_id=token.client_id,
            token=token,
            created_ms=now_ms,
            expires_ms=now_ms + self.lifetime_ms,
            used_ms=now_ms,
        )
        self._channels[channel.id] = channel
        return channel, evicted

    def get(self, channel_id: str) -> Channel | None:
        """A channel by its id, None if there is none."""
        return self._channels.get(channel_id)

    def all(self) -> list[Channel]:
        """All channels."""
        return list(self._channels.values())

    def of_client(self, client_id: str) -> list[Channel]:
        """All channels of an OAuth client."""
        return [c for c in self._channels.values() if c.client_id == client_id]

    def remove(self, channel_id: str) -> Channel | None:
        """Forget a channel and its subscriptions. The caller closes its socket."""
        channel = self._channels.pop(channel_id, None)
        if channel is not None:
            self._unlisten(channel, channel.topics)
        return channel

    def expired(self, now_ms: int) -> list[Channel]:
        """Remove and return the channels whose 24 hours or token are over."""
        gone = [
            c
            for c in self._channels.values()
            if c.expires_ms <= now_ms or (self.token_ends_channels and c.token.expires_ms <= now_ms)
        ]
        for channel in gone:
            self.remove(channel.id)
        return gone

    def connect(self, channel: Channel, socket: int, now_ms: int) -> int | None:
        """Give the channel a socket. Returns the number of the socket that it replaces, if any."""
        kicked, channel.socket = channel.socket, socket
        channel.used_ms = now_ms
        return kicked

    def disconnect(self, channel_id: str, socket: int, now_ms: int) -> None:
        """Note that a socket is gone. A channel keeps a newer socket."""
        channel = self._channels.get(channel_id)
        if channel is not None and channel.socket == socket:
            channel.socket = None
            channel.used_ms = now_ms

    def subscribe(
        self,
        channel: Channel,
        topics: Iterable[str],
        now_ms: int,
        *,
        via: str,
        permissions: frozenset[str],
        forbidden: Callable[[str], bool] = lambda _: False,
        exists: Callable[[str], bool] = lambda _: True,
        ignore_errors: bool = False,
        ignore_invalid: bool = False,
    ) -> list[TopicAnswer]:
        """Set (`via` PUT) or add (POST, WS) topics; all or nothing unless `ignore_errors`.

        `forbidden` says whether this client may not have a (lower-case) plain topic, whatever its
        permissions; a topic that does not exist is invalid. Raises `InvalidTopic`,
        `MissingPermission` or `TooManyTopics`.
        """
        wanted: dict[str, list[str]] = {} if via == "PUT" else dict(channel.topics)
        topics = list(topics)
        if (count := len({*wanted, *topics})) > self.topic_limit:
            raise TooManyTopics(str(count))
        answers: list[TopicAnswer] = []
        for topic in topics:
            plain = expand(topic)
            if plain is None or not all(kind_of(name) and exists(name.lower()) for name in plain):
                if not ignore_invalid:
                    raise InvalidTopic(topic)
                answers.append(TopicAnswer(topic, False))
                continue
            allowed: list[str] = []
            for name in plain:
                missing = self._missing(name, permissions, forbidden)
                if missing is None:
                    allowed.append(name.lower())
                elif not ignore_errors:
                    raise MissingPermission(missing)
                else:
                    answers.append(TopicAnswer(name, False, missing))
            if allowed:
                wanted[topic] = allowed
                answers.append(TopicAnswer(topic, True))
        self._replace(channel, wanted)
        channel.used_ms = now_ms
        if via in self.renewing:
            channel.expires_ms = now_ms + self.lifetime_ms
        return answers

    def unsubscribe(self, channel: Channel, topics: Iterable[str] | None, now_ms: int) -> None:
        """Drop the given topics, or all topics. The channel stays."""
        gone = None if topics is None else {topic.lower() for topic in topics}
        kept = (
            {}
            if gone is None
            else {t: p for t, p in channel.topics.items() if t.lower() not in gone}
        )
        self._replace(channel, kept)
        channel.used_ms = now_ms

    def listeners(self, topic: str) -> Iterable[Channel]:
        """The channels that are subscribed to a plain topic, in upper or lower case."""
        found = self._listeners.get(topic.lower())
        return found.values() if found else ()

    def topic_count(self) -> int:
        """The number of distinct plain topics with subscriptions."""
        return len(self._listeners)

    @staticmethod
    def _missing(
        topic: str, permissions: frozenset[str], forbidden: Callable[[str], bool]
    ) -> tuple[str, ...] | None:
        kind = kind_of(topic)
        if kind is None:
            raise InvalidTopic(topic)
        if forbidden(topic.lower()):
            return kind.permissions
        lacking = tuple(p for p in kind.permissions if p not in permissions)
        return lacking or None

    def _replace(self, channel: Channel, wanted: dict[str, list[str]]) -> None:
        self._unlisten(channel, channel.topics)
        channel.topics = wanted
        for plain in wanted.values():
            for topic in plain:
                self._listeners.setdefault(topic, {})[channel.id] = channel

    def _unlisten(self, channel: Channel, topics: dict[str, list[str]]) -> None:
        for plain in topics.values():
            for topic in plain:
                listeners = self._listeners.get(topic)
                if listeners is None:
                    continue
                listeners.pop(channel.id, None)
                if not listeners:
                    del self._listeners[topic]
