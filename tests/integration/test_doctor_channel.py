"""`mirror doctor` opens a channel and has a ping answered, within the OAuth client's budget."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from harness.redis import RedisServer
from harness.simulated import Simulated, simulated
from mirror.checks.channel import check_channel
from mirror.checks.finding import Finding
from mirror.checks.genesys import check_genesys
from mirror.redis.keys import Keys
from mirror.settings import Settings, load
from mirror.settings.model import OAuthClient

CLIENT = "sandbox"


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """A quiet Genesys whose heartbeats come every second."""
    clients = [word for name in (CLIENT, "small") for word in ("--client", f"{name}:sandbox")]
    arguments = ("--no-autostart", "--heartbeat", "1")
    with simulated(tmp_path_factory.mktemp("sim"), *arguments, *clients) as org:
        yield org


@pytest.fixture
def settings(org: Simulated, redis_url: str, tmp_path: Path) -> Settings:
    """A mirror with one OAuth client."""
    return load(
        {
            "GENESYS_API_URL": org.url,
            "GENESYS_CLIENTS": f"{CLIENT}:sandbox",
            "REDIS_URL": redis_url,
            "MIRROR_NAMESPACE": tmp_path.name,
        }
    )


def checked(settings: Settings, *, heartbeat: bool = False) -> tuple[Finding, list[str]]:
    """The one finding, and what was said while waiting."""
    said: list[str] = []
    (finding,) = check_channel(settings, said.append, heartbeat=heartbeat)
    return finding, said


def exist(org: Simulated) -> int:
    """How many channels there are."""
    return len(org.get("/_sim/channels")["channels"])


def test_a_ping_is_answered_on_one_channel_however_often(
    org: Simulated, settings: Settings, redis_server: RedisServer
) -> None:
    """The second check uses the channel of the first; the reservation is given back."""
    before = exist(org)
    first, said = checked(settings)
    assert (first.check, first.level) == ("genesys.heartbeat", "good"), first
    assert "ping is answered" in first.detail
    assert not said
    assert checked(settings)[0].level == "good"
    assert exist(org) == before + 1
    with redis_server.client() as client:
        assert client.zcard(Keys(settings.namespace).channels(CLIENT)) == 0
    own = [finding for finding in check_genesys(settings) if finding.check == "genesys.channels"]
    assert own[0].detail.startswith(f"{before + 1} of 20"), own


def test_the_first_heartbeat_is_waited_for_on_request(settings: Settings) -> None:
    """With a word before the wait."""
    finding, said = checked(settings, heartbeat=True)
    assert "first heartbeat after" in finding.detail
    assert said == ["waiting for the first heartbeat (up to 40 s)"]


def test_checks_at_once_take_turns_at_the_channel(
    org: Simulated, settings: Settings, redis_server: RedisServer
) -> None:
    """A second socket on a channel puts out the first: neither is taken for a broken network."""
    checked(settings)
    before = exist(org)
    with ThreadPoolExecutor(3) as pool:
        found = [
            future.result()[0]
            for future in [pool.submit(checked, settings, heartbeat=True) for _ in range(3)]
        ]
    assert [finding.level for finding in found] == ["good"] * 3, found
    assert exist(org) == before
    with redis_server.client() as client:
        assert client.zcard(Keys(settings.namespace).probing(CLIENT)) == 0


def test_a_channel_that_is_gone_is_replaced(
    org: Simulated, settings: Settings, redis_server: RedisServer
) -> None:
    """What Redis remembers may have ended at Genesys."""
    checked(settings)
    with redis_server.client() as client:
        key = Keys(settings.namespace).probe(CLIENT)
        uri = f"{org.url.replace('http', 'ws')}/channels/streaming-0-gone"
        client.set(key, f'{{"id":"streaming-0-gone","uri":"{uri}"}}')
        assert checked(settings)[0].level == "good"
        assert "gone" not in str(client.get(key))


def test_a_socket_that_carries_no_heartbeat_is_told(
    org: Simulated, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handshake passes and what follows does not: a proxy that looks into TLS may do so."""
    monkeypatch.setattr("mirror.checks.channel.HEARTBEAT_SECONDS", 3.0)
    fault = org.fault(fault="mute")
    try:
        finding, _ = checked(settings, heartbeat=True)
    finally:
        org.call("DELETE", f"/_sim/faults/{fault['id']}")
    assert (finding.level, finding.exit_code) == ("bad", 3), finding
    assert "carries no heartbeat within 3 s" in finding.detail
    assert "proxy" in finding.cure


def test_no_channel_is_made_where_rotation_needs_it(
    org: Simulated, settings: Settings, redis_server: RedisServer
) -> None:
    """Reserved by listeners, or existing at Genesys: the room for rotation is theirs."""
    keys = Keys(settings.namespace)
    before = exist(org)
    with redis_server.client() as client:
        seconds, _ = client.time()
        client.zadd(keys.channels(CLIENT), {f"l/{n}": seconds * 1000 + 60_000 for n in range(18)})
        finding, _ = checked(settings)
        client.delete(keys.channels(CLIENT))
    assert finding.level == "doubtful"
    assert "not tried: all channels are reserved" in finding.detail
    assert exist(org) == before


def test_of_two_channels_rotation_needs_one(settings: Settings) -> None:
    """The leader keeps no more of a small client for it, so the check asks for no more."""
    small = OAuthClient("small", "sandbox")
    settings = msgspec.structs.replace(settings, clients=(small,), channels_per_client=2)
    assert checked(settings)[0].level == "good"
