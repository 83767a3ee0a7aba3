"""The rules of channels and tokens, with time handed in."""

from __future__ import annotations

import random

import pytest

from simulator.channels import (
    ChannelBook,
    InvalidTopic,
    MissingPermission,
    TooManyTopics,
)
from simulator.oauth import DOCUMENTED_ROLE, OAuthClient, Token, TokenBook, basic_credentials
from simulator.ratelimit import Bars, RateLimiter
from simulator.topics import expand, kind_of

HOUR = 3_600_000
TOKEN = Token("t", "client", 48 * HOUR, 1)


@pytest.fixture
def book() -> ChannelBook:
    """No channels yet."""
    return ChannelBook(random.Random(1))


def subscribe(book: ChannelBook, channel_id: str, topics: list[str], now: int = 0) -> None:
    """PUT topics with every permission."""
    channel = book.get(channel_id)
    assert channel is not None
    book.subscribe(channel, topics, now, via="PUT", permissions=DOCUMENTED_ROLE)


def test_eviction_prefers_the_unconnected_and_then_the_longest_unused(book: ChannelBook) -> None:
    """Of 20, the one without a socket goes although others are older; then the oldest used."""
    channels = [book.create(TOKEN, n)[0] for n in range(20)]
    for number, channel in enumerate(channels):
        if number != 7:
            book.connect(channel, number + 1, 100 + number)
    newest, evicted = book.create(TOKEN, 200)
    assert evicted == [channels[7]]
    book.connect(newest, 99, 201)
    assert book.create(TOKEN, 300)[1] == [channels[0]]
    assert len(book.of_client("client")) == 20


def test_clients_do_not_evict_each_other(book: ChannelBook) -> None:
    """The limit is for each OAuth client."""
    for n in range(20):
        book.create(TOKEN, n)
    assert book.create(Token("u", "other", HOUR, 2), 50)[1] == []


def test_subscribing_renews_and_time_or_the_token_ends(book: ChannelBook) -> None:
    """24 hours from the last subscription; never longer than the token lives."""
    channel, _ = book.create(TOKEN, 0)
    subscribe(book, channel.id, ["v2.users.a.conversations"], 20 * HOUR)
    assert book.expired(43 * HOUR) == []
    assert book.expired(44 * HOUR) == [channel]
    short, _ = book.create(Token("s", "client", 2 * HOUR, 3), 0)
    assert book.expired(2 * HOUR) == [short]
    assert book.get(short.id) is None


def test_the_newest_socket_owns_the_channel(book: ChannelBook) -> None:
    """The kicked socket's going does not disconnect its successor."""
    channel, _ = book.create(TOKEN, 0)
    assert book.connect(channel, 1, 0) is None
    assert book.connect(channel, 2, 1) == 1
    book.disconnect(channel.id, 1, 2)
    assert channel.socket == 2


def test_a_refused_request_changes_nothing(book: ChannelBook) -> None:
    """Too many, invalid and forbidden topics leave the former list in force."""
    channel, _ = book.create(TOKEN, 0)
    subscribe(book, channel.id, ["v2.users.a.conversations"])
    with pytest.raises(TooManyTopics):
        subscribe(book, channel.id, [f"v2.users.{n}.conversations" for n in range(1001)])
    with pytest.raises(InvalidTopic):
        subscribe(book, channel.id, ["v2.users.a.nonsense"])
    with pytest.raises(MissingPermission):
        book.subscribe(channel, ["v2.users.b.conversations"], 0, via="PUT", permissions=frozenset())
    assert list(channel.topics) == ["v2.users.a.conversations"]
    assert [c.id for c in book.listeners("V2.users.A.conversations")] == [channel.id]


def test_removed_channels_listen_to_nothing(book: ChannelBook) -> None:
    """No trace of their topics stays in the index."""
    channel, _ = book.create(TOKEN, 0)
    subscribe(book, channel.id, ["v2.users.a?presence&routingStatus"])
    assert book.topic_count() == 2
    book.remove(channel.id)
    assert book.topic_count() == 0


@pytest.mark.parametrize(
    ("topic", "plain"),
    [
        ("v2.users.a.presence", ["v2.users.a.presence"]),
        ("v2.users.a?b&c", ["v2.users.a.b", "v2.users.a.c"]),
        ("v2.users.a.conversations?calls&chats", None),
        ("v2.users.a?", None),
        ("?b", None),
        ("", None),
        ("v" * 201, None),
    ],
)
def test_combined_topics_expand(topic: str, plain: list[str] | None) -> None:
    """`prefix?s1&s2` is the prefix with each suffix; what cannot be taken apart is nothing."""
    if topic.endswith("calls&chats"):
        plain = ["v2.users.a.conversations.calls", "v2.users.a.conversations.chats"]
    assert expand(topic) == plain


def test_topics_are_known_in_any_case_and_written_in_one() -> None:
    """Official clients lower-case topic ids (docs/protocol.md, "Channels")."""
    for topic in ("v2.users.x.conversations.cobrowseSessions", "v2.users.x.routingStatus"):
        assert kind_of(topic.lower()) is not None
    assert kind_of("v2.detail.events.conversation.c.customer.end") is not None
    assert kind_of("v2.users.conversations") is None


def test_tokens_of_one_client_live_side_by_side() -> None:
    """A new token ends none; a wrong secret and a disabled client get none."""
    book = TokenBook([OAuthClient("a", "s", 300)], random.Random(1))
    first, second = book.issue("a", "s", 0), book.issue("a", "s", 10)
    assert first is not None
    assert second is not None
    assert book.find(first.value) == first
    assert first.expires_ms == 300_000
    assert book.issue("a", "x", 0) is None
    book.clients["a"].disabled = True
    assert book.issue("a", "s", 0) is None


@pytest.mark.parametrize("text", ["", "a", "a:", ":s", "a:s:x", "a:s:1:2"])
def test_bad_client_options_are_refused(text: str) -> None:
    """Only `id:secret` and `id:secret:seconds` are clients."""
    with pytest.raises(ValueError, match=r"."):
        OAuthClient.parse(text)


@pytest.mark.parametrize("header", ["", "Bearer x", "Basic ???", "Basic YWJj"])
def test_bad_basic_headers_are_no_credentials(header: str) -> None:
    """Another scheme, no base64, no colon."""
    assert basic_credentials(header) is None


def test_an_injected_429_bars_its_client_until_the_time_is_over() -> None:
    """A second of grace from the first word, none from its repetitions; then a new bar."""
    bars = Bars()
    assert not bars.is_early("c", 0.0)
    bars.tell("c", 3, 0.0)
    bars.tell("c", 3, 0.5)  # was under way
    assert [bars.is_early("c", now) for now in (0.9, 1.1, 3.4, 3.6)] == [False, True, True, False]
    assert not bars.is_early("another", 1.1)
    bars.tell("c", 3, 3.6)
    assert [bars.is_early("c", now) for now in (4.5, 4.7)] == [False, True]


def test_the_limiter_tells_early_retries_from_requests_under_way() -> None:
    """Within a second of the first 429 others may still come; later ones did not obey."""
    limiter = RateLimiter(2)
    assert [limiter.hit("t", 0.0).allowed for _ in range(3)] == [True, True, False]
    assert not limiter.hit("t", 0.5).early_retry
    refused = limiter.hit("t", 30.0)
    assert refused.early_retry
    assert refused.headers()["Retry-After"] == "30"
    assert limiter.hit("t", 60.0).allowed
    assert limiter.hit("other", 30.0).allowed
