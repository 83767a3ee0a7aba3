"""What `REDIS_URL` becomes; nothing is sent here."""

from __future__ import annotations

import pytest
import redis
from redis.sentinel import SentinelConnectionPool

from mirror.base.errors import RedisUnavailable
from mirror.redis.connect import TIMEOUT_SECONDS, TRIES, address, connect, explained
from mirror.settings import Settings, load


def settings(url: str) -> Settings:
    """Settings of a mirror on `url`."""
    return load({"REDIS_URL": url})


def options(url: str) -> dict[str, object]:
    """The options of each connection of `url`."""
    return connect(settings(url)).connection_pool.connection_kwargs


def test_tcp() -> None:
    """Host, port, database, user and password are taken from the URL."""
    found = options("redis://me:s%40cret@cache:6380/3")
    assert (found["host"], found["port"], found["db"]) == ("cache", 6380, 3)
    assert (found["username"], found["password"]) == ("me", "s@cret")


def test_tls_and_unix() -> None:
    """`rediss` is TLS, `unix` a path."""
    pool = connect(settings("rediss://cache:6380/0")).connection_pool
    assert issubclass(pool.connection_class, redis.SSLConnection)
    assert options("unix:///run/redis.sock?db=2")["path"] == "/run/redis.sock"


@pytest.mark.parametrize("url", ["redis://h/0", "unix:///s", "redis+sentinel://h:1/m/0"])
def test_every_connection_has_deadlines_and_answers_text(url: str) -> None:
    """No call can hang, whatever the way to the server."""
    found = options(url)
    assert found["socket_timeout"] == TIMEOUT_SECONDS
    assert found["decode_responses"] is True


def test_sentinel() -> None:
    """Sentinels, service and database; the password is the data servers', Sentinels' is apart."""
    url = "redis+sentinel://me:pw@s1:26379,s2/orders/4?sentinel_password=other"
    pool = connect(settings(url)).connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "orders"
    assert (pool.connection_kwargs["password"], pool.connection_kwargs["db"]) == ("pw", 4)
    asked = [
        sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels
    ]
    assert [(kwargs["host"], kwargs["port"]) for kwargs in asked] == [("s1", 26379), ("s2", 26379)]
    assert all(kwargs["password"] == "other" for kwargs in asked)


def test_each_sentinel_is_asked_once_in_a_try() -> None:
    """Where one is silent the next is asked; the connection as a whole is tried again."""
    pool = connect(settings("redis+sentinel://s1,s2,s3/orders")).connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert [sentinel.get_retry().get_retries() for sentinel in pool.sentinel_manager.sentinels] == [
        0,
        0,
        0,
    ]
    assert pool.connection_kwargs["retry"].get_retries() == TRIES - 1


def test_the_address_has_no_secret() -> None:
    """What people see of the URL."""
    assert address(settings("redis://me:pw@cache:6380/3")) == "redis://cache:6380/3"


def test_sentinels_that_do_not_answer_are_not_said_to_lack_the_service() -> None:
    """Nothing listens on this port."""
    with (
        pytest.raises(RedisUnavailable, match=r"no Sentinel that answers knows a master"),
        explained(),
        connect(settings("redis+sentinel://127.0.0.1:1/orders/0")) as client,
    ):
        client.ping()
