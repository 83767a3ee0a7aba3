"""The Redis (or Valkey) that other tests stand on starts empty and runs Lua."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from harness.redis import RedisServer, find_server


def test_scripts_read_the_servers_clock(redis_url: str) -> None:
    """A script may call TIME and write after it, as every lease of ours does."""
    script = "local t = redis.call('TIME') redis.call('SET', KEYS[1], t[1]) return t[1]"
    with redis.Redis.from_url(redis_url) as client:
        told = client.eval(script, 1, "clock")
        assert client.get("clock") == told


@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_finds_it_empty(redis_url: str, attempt: int) -> None:
    """What one test left, in any database, the next one does not see."""
    with redis.Redis.from_url(redis_url) as client, redis.Redis.from_url(redis_url, db=3) as other:
        assert client.dbsize() == 0
        assert other.dbsize() == 0
        client.set("left", "over")
        other.set("left", "over")


def test_restart_comes_back_empty_on_the_same_port(
    redis_server_factory: Callable[..., RedisServer],
) -> None:
    """A server killed and started again has the same address and none of its data."""
    server = redis_server_factory()
    with server.client() as client:
        client.set("key", "value")
    server.kill()
    server.start()
    with server.client() as client:
        assert client.get("key") is None


def test_choice_is_obeyed(redis_server_factory: Callable[..., RedisServer]) -> None:
    """Asked for Valkey, the server that runs is Valkey."""
    with redis_server_factory(choice="valkey").client() as client:
        assert client.info("server")["server_name"] == "valkey"


def test_unknown_choice_is_refused() -> None:
    """A misspelt choice is an error, not another server."""
    with pytest.raises(ValueError, match="it takes redis or valkey"):
        find_server("rediss")
