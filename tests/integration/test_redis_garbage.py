"""Values that somebody else wrote under the mirror's keys end nothing and are told as such."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from mirror.errors import RedisUnavailable
from mirror.fleet import Beat
from mirror.redis.connect import connect, explained
from mirror.redis.fleet import FleetLink
from mirror.redis.keys import Keys
from mirror.settings import Settings, load
from mirror.status import read

GARBAGE = {"nested": "[" * 200_000, "no JSON": "\x00\x01", "another shape": '{"version": []}'}
BEAT = Beat(listener="me", host="here", pid=1, version="0", state="live")


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """A mirror on the run's Redis."""
    return load({"REDIS_URL": redis_url})


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """Its client."""
    with connect(settings) as client:
        yield client


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_a_listener_s_beat_survives_its_assignment(
    settings: Settings, client: redis.Redis, text: str
) -> None:
    """The error is one that the beat's thread knows: it goes on with what it holds (I8)."""
    link = FleetLink(client, settings)
    link.beat(BEAT, 0)
    client.set(Keys("default").assignment("me"), text)
    with pytest.raises(RedisUnavailable):
        link.beat(BEAT, 0)
    client.set(Keys("default").shard("1"), text)
    with pytest.raises(RedisUnavailable, match="not the mirror's"):
        link.shard("1")


@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_a_command_says_it_in_one_line(settings: Settings, client: redis.Redis, text: str) -> None:
    """`mirror status` names the cure; exit code 3."""
    FleetLink(client, settings).beat(BEAT, 0)
    client.set(Keys("default").listener("me"), text)
    with pytest.raises(RedisUnavailable, match="MIRROR_NAMESPACE") as caught, explained("Redis"):
        read(client, settings)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
