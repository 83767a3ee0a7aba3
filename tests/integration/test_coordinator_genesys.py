"""The REST client against the simulator: what it asks, and what it makes of bad answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from harness.simulated import Simulated, simulated
from mirror.base.errors import GenesysError, GenesysRateLimited, GenesysRefused, GenesysUnavailable
from mirror.genesys.client import GenesysClient
from mirror.genesys.listing import read_listing
from mirror.redis.connect import connect
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.settings import OAuthClient, load


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulated]:
    """A simulator with 1,203 users, for pages."""
    with simulated(tmp_path, "--users", "1203", "--queues", "7", "--no-autostart") as sim:
        yield sim


@pytest.fixture
def genesys(sim: Simulated) -> GenesysClient:
    """A client of it, with a budget of its own."""
    return client_of(sim.url)


def client_of(url: str, secret: str = "sandbox", stop: Event | None = None) -> GenesysClient:
    """A client without Redis: the budget is then the process' own, which is smaller."""
    settings = load({"GENESYS_API_URL": url})
    budget = RateBudget(None, Keys("test"), "sandbox")
    return GenesysClient(settings, OAuthClient("sandbox", secret), budget, stop)


def test_a_channels_life(sim: Simulated, genesys: GenesysClient) -> None:
    """Create, subscribe the full list twice, read it back, see its expiry."""
    channel = genesys.create_channel()
    handle = channel.handle
    assert handle.uri.startswith("ws://127.0.0.1")
    assert 86_000 < (channel.expires_in or 0) <= 86_500
    assert 86_000 < (channel.token_expires_in or 0) <= 86_400
    topics = sim.topics()[:500]
    assert genesys.put_subscriptions(handle.id, topics).permitted == tuple(topics)
    fewer = genesys.put_subscriptions(handle.id, topics[:10])
    assert (len(fewer.permitted), fewer.rejected) == (10, {})
    assert genesys.get_subscriptions(handle.id) == frozenset(topics[:10])
    assert handle.id in genesys.channels()
    assert handle.id not in repr(channel)


def test_a_forbidden_topic_does_not_harm_the_others(sim: Simulated, genesys: GenesysClient) -> None:
    """It comes back by name with its reason; the rest is subscribed."""
    topics = sim.topics()[:5]
    sim.fault(fault="forbid", topic=topics[2])
    found = genesys.put_subscriptions(genesys.create_channel().handle.id, topics)
    assert found.permitted == (*topics[:2], *topics[3:])
    assert list(found.rejected) == [topics[2]]
    assert "missing.permissions" in found.rejected[topics[2]]


def test_an_invalid_topic_does_not_harm_the_others(sim: Simulated, redis_url: str) -> None:
    """Genesys may refuse the whole list for it (400), or that topic alone: the rest is subscribed,
    also on a channel that has topics."""
    settings = load({"GENESYS_API_URL": sim.url, "REDIS_URL": redis_url})
    redis = connect(settings)
    budget = RateBudget(redis, Keys("test"), "sandbox")
    genesys = GenesysClient(settings, OAuthClient("sandbox", "sandbox"), budget)
    topics, bad = sim.topics()[:100], [f"v2.users.gone.{name}" for name in ("a", "b", "m", "y")]
    channel = genesys.create_channel().handle.id
    for fails in (True, True, False):
        sim.post("/_sim/control", {"quirks": {"invalid_topic_fails": fails}})
        found = genesys.put_subscriptions(channel, [*topics[:70], *bad, *topics[70:]])
        assert found.permitted == tuple(topics)
        assert sorted(found.rejected) == bad
        assert all("notification.invalid.topic" in why for why in found.rejected.values())
        assert genesys.get_subscriptions(channel) == frozenset(topics)
    redis.close()


def test_an_invalid_topic_is_found_on_a_full_channel(sim: Simulated, redis_url: str) -> None:
    """Topics that are no longer wanted make room first; those that stay are never taken away."""
    settings = load({"GENESYS_API_URL": sim.url, "REDIS_URL": redis_url})
    redis = connect(settings)
    budget = RateBudget(redis, Keys("test-full"), "sandbox")
    genesys = GenesysClient(settings, OAuthClient("sandbox", "sandbox"), budget)
    users = read_listing(genesys.users, "users").entities[:1019]
    topics, bad = [f"v2.users.{u.id}.conversations" for u in users], "v2.users.gone.nonsense"
    channel = genesys.create_channel().handle.id
    sim.post("/_sim/control", {"quirks": {"invalid_topic_fails": True}})
    genesys.put_subscriptions(channel, topics[:1000])
    found = genesys.put_subscriptions(channel, [*topics[20:], bad])
    assert (found.permitted, list(found.rejected)) == (tuple(topics[20:]), [bad])
    assert genesys.get_subscriptions(channel) == frozenset(topics[20:])
    redis.close()


def test_if_every_topic_is_refused_the_channel_keeps_its_topics(
    sim: Simulated, redis_url: str
) -> None:
    """A 400 may have another cause than the topics. An empty list would make the channel deaf."""
    settings = load({"GENESYS_API_URL": sim.url, "REDIS_URL": redis_url})
    redis = connect(settings)
    budget = RateBudget(redis, Keys("test-every"), "sandbox")
    genesys = GenesysClient(settings, OAuthClient("sandbox", "sandbox"), budget)
    topics = sim.topics()[:4]
    channel = genesys.create_channel().handle.id
    sim.post("/_sim/control", {"quirks": {"invalid_topic_fails": True}})
    genesys.put_subscriptions(channel, topics)
    with pytest.raises(GenesysError, match=r"notification\.invalid\.topic"):
        genesys.put_subscriptions(channel, [f"{topic}.nonsense" for topic in topics])
    assert genesys.get_subscriptions(channel) == frozenset(topics)
    redis.close()


def test_too_many_topics_are_no_invalid_topics(sim: Simulated, genesys: GenesysClient) -> None:
    """The error says so, and the mirror does not look for an invalid topic."""
    channel = genesys.create_channel().handle.id
    with pytest.raises(GenesysError) as caught:
        genesys.put_subscriptions(channel, [f"v2.users.{n}.conversations" for n in range(1001)])
    assert "too.many" in caught.value.code
    requests = sim.get("/_sim/stats")["requests"]
    assert sum(count for name, count in requests.items() if "subscriptions" in name) == 1


def test_all_pages_are_read(genesys: GenesysClient) -> None:
    """Users and queues, each once, however many pages."""
    users = read_listing(genesys.users, "users").entities
    assert len({user.id for user in users}) == len(users) == 1203
    assert len(read_listing(genesys.queues, "queues").entities) == 7
    assert any(topic.id == "v2.users.{id}.conversations" for topic in genesys.available_topics())


def test_a_short_illness_is_survived(sim: Simulated, genesys: GenesysClient) -> None:
    """5xx and a cut connection are tried again, and the caller notices nothing."""
    genesys.sign_in()
    sim.fault(fault="rest", path="/api/v2/users*", status=503, count=1)
    assert genesys.users(1, 25).total == 1203
    sim.fault(fault="rest", path="/api/v2/users*", status=-1, count=1)
    assert genesys.users(1, 25).total == 1203


def test_a_lost_token_is_replaced_once(sim: Simulated, genesys: GenesysClient) -> None:
    """401 in mid-life: a new token, the same call again; a second 401 is told."""
    genesys.sign_in()
    sim.fault(fault="revoke")
    assert genesys.users(1, 25).total == 1203
    sim.fault(fault="rest", path="/api/v2/users*", status=401)
    with pytest.raises(GenesysRefused, match="401"):
        genesys.users(1, 25)


def test_retry_after_binds_every_process(sim: Simulated, redis_url: str) -> None:
    """A 429 of one client keeps another process of the same OAuth client away."""
    settings = load({"GENESYS_API_URL": sim.url, "REDIS_URL": redis_url})
    redis = connect(settings)
    budget, second = (RateBudget(redis, Keys("test"), "sandbox") for _ in range(2))
    genesys = GenesysClient(settings, OAuthClient("sandbox", "sandbox"), budget)
    genesys.sign_in()
    sim.fault(fault="rest", path="/api/v2/users*", status=429, retry_after=120)
    with pytest.raises(GenesysRateLimited) as caught:
        genesys.users(1, 25)
    assert caught.value.retry_after == 120
    assert second.ask() > 110
    redis.close()


def test_a_short_retry_after_is_obeyed(sim: Simulated, genesys: GenesysClient) -> None:
    """The call waits as long as it is told, then succeeds."""
    genesys.sign_in()
    sim.fault(fault="rest", path="/api/v2/users*", status=429, retry_after=1, count=1)
    started = time.monotonic()
    assert genesys.users(1, 25).total == 1203
    assert time.monotonic() - started >= 1.0


def test_errors_are_told_apart(sim: Simulated, genesys: GenesysClient) -> None:
    """404 and 403 have their status, and no error names a channel or a secret."""
    secret = "streaming-1-aaaaaaaaaaaaaaaaaaaaaaaaaa"
    with pytest.raises(GenesysError) as gone:
        genesys.put_subscriptions(secret, [])
    assert (gone.value.status, gone.value.code) == (404, "not.found")
    assert secret not in str(gone.value)
    sim.fault(fault="rest", path="/api/v2/users*", status=403)
    with pytest.raises(GenesysRefused, match="permission"):
        genesys.users(1, 25)


def test_wrong_credentials_are_told_in_one_line(sim: Simulated) -> None:
    """Host, OAuth client and the settings to check; never the secret."""
    with pytest.raises(GenesysRefused) as caught:
        client_of(sim.url, secret="wr0ng").sign_in()
    text = str(caught.value)
    assert "GENESYS_CLIENT_SECRET" in text
    assert "127.0.0.1" in text
    assert "wr0ng" not in text
    assert "\n" not in text


def test_an_unreachable_host_is_told_at_once() -> None:
    """Signing in tries once and names host and settings."""
    with pytest.raises(GenesysUnavailable, match=r"127\.0\.0\.1:1 .*Connection refused.*REGION"):
        client_of("http://127.0.0.1:1").sign_in()


def test_waiting_ends_when_the_process_does(sim: Simulated) -> None:
    """A call that waits for its budget fails as soon as the process stops."""
    stop = Event()
    genesys = client_of(sim.url, stop=stop)
    genesys.sign_in()
    sim.fault(fault="rest", path="/api/v2/users*", status=503)
    stop.set()
    started = time.monotonic()
    with pytest.raises(GenesysUnavailable):
        genesys.users(1, 25)
    assert time.monotonic() - started < 2.0
