"""Clients that we did not write, unmodified, against the simulator.

Genesys' official SDK (`PureCloudPlatformClientV2`) and the PyPI client `genesys-notifications`.
They come with the extra `peers`; the tests are skipped where it is not installed.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.simulated import Simulated, simulated
from tests.services.availability import unavailable

SDK = "PureCloudPlatformClientV2"


def _peer(name: str) -> ModuleType:
    """The module of a peer; without it the test is skipped, and fails in CI."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        unavailable(f"{name} is missing: pip install -c constraints.txt -e '.[peers]'")


@dataclass
class Sdk:
    """The official SDK with a client of its own: it would keep one for the whole process."""

    module: ModuleType
    client: Any

    def api(self, name: str) -> Any:
        """One of its API classes, talking to the simulator."""
        return getattr(self.module, name)(self.client)


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Simulated]:
    """A fast org of 120 users that waits to be told to begin."""
    options = ("--no-autostart", "--speed", "40", "--users", "120", "--heartbeat", "0.3")
    with simulated(tmp_path, *options) as org:
        yield org


@pytest.fixture
def sdk(org: Simulated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sdk:
    """The official SDK, pointed at the simulator by its own configuration, with a token."""
    monkeypatch.setenv("HOME", str(tmp_path))  # it looks for its configuration there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its generated code is full of old escapes
        module = _peer(SDK)
        api = module.api_client.ApiClient(host=org.url)
        api.get_client_credentials_token("sandbox", "sandbox")
    return Sdk(module, api)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # both warn about themselves, which is not ours to fix
]


def test_the_sdk_finds_users_and_queues(org: Simulated, sdk: Sdk) -> None:
    """Every user by paging, one by id, and every queue, as the SDK's own model classes."""
    users = sdk.api("UsersApi")
    found: list[str] = []
    number = 1
    while True:
        page = users.get_users(page_size=100, page_number=number)
        found += [user.id for user in page.entities]
        if page.next_uri is None:
            break
        number += 1
    assert len(set(found)) == page.total == 120
    assert users.get_user(found[0]).name == "Agent 00001"
    queues = sdk.api("RoutingApi").get_routing_queues(page_size=100)
    assert [queue.name for queue in queues.entities] == [f"Queue 00{n}" for n in range(1, 6)]
    assert sdk.api("TokensApi").get_tokens_me().o_auth_client.id == "sandbox"


def test_the_sdk_makes_channels_and_subscribes(org: Simulated, sdk: Sdk) -> None:
    """Create, subscribe, add, list, clear; the answers are its ChannelTopic objects."""
    api = sdk.api("NotificationsApi")
    channel = api.post_notifications_channels()
    assert channel.expires.date() >= datetime.now(UTC).date()
    user = org.get("/api/v2/users")["entities"][0]["id"]
    body = [{"id": f"v2.users.{user}.conversations"}]
    answer = api.put_notifications_channel_subscriptions(channel.id, body, ignore_errors=True)
    assert [(t.id, t.state) for t in answer.entities] == [(body[0]["id"], "Permitted")]
    api.post_notifications_channel_subscriptions(channel.id, [{"id": f"v2.users.{user}.presence"}])
    assert len(api.get_notifications_channel_subscriptions(channel.id).entities) == 2
    assert [c.id for c in api.get_notifications_channels().entities] == [channel.id]
    topics = api.get_notifications_availabletopics(expand=["transports", "requiresPermissions"])
    assert "v2.users.{id}.conversations" in {topic.id for topic in topics.entities}
    api.delete_notifications_channel_subscriptions(channel.id)
    assert api.get_notifications_channel_subscriptions(channel.id).entities == []


def test_the_sdk_reads_conversations_and_analytics(org: Simulated, sdk: Sdk) -> None:
    """By id and by query, with times that the SDK itself parses."""
    order = {"action": "spawn", "scenario": "inbound_call", "count": 3}
    ids = org.post("/_sim/control", order)["conversation_ids"]
    org.drain()
    org.post("/_sim/control", {"clock_shift_seconds": 60})  # all work is over by then
    api = sdk.api("ConversationsApi")
    conversation = api.get_conversation(ids[0])
    assert conversation.end_time >= conversation.start_time
    assert conversation.participants[0].calls[0].segments[0].type
    now = datetime.now(UTC)
    begin, end = now - timedelta(hours=1), now + timedelta(hours=1)
    query = sdk.module.ConversationQuery()
    query.interval = f"{begin:%Y-%m-%dT%H:%M:%S.000Z}/{end:%Y-%m-%dT%H:%M:%S.000Z}"
    query.paging = {"pageSize": 100, "pageNumber": 1}
    found = sdk.api("AnalyticsApi").post_analytics_conversations_details_query(query)
    assert {c.conversation_id for c in found.conversations} == set(ids)
    assert all(c.conversation_end for c in found.conversations)
    many = sdk.api("AnalyticsApi").get_analytics_conversations_details(id=ids)
    assert len(many.conversations) == 3


def test_the_sdk_understands_refusals(org: Simulated, sdk: Sdk) -> None:
    """A 404 is its ApiException with our body; after a 429 it waits for `Retry-After` by itself."""
    with pytest.raises(sdk.module.rest.ApiException) as missing:
        sdk.api("ConversationsApi").get_conversation("none")
    assert missing.value.status == 404
    assert '"not.found"' in missing.value.body
    org.fault(fault="rest", status=429, path="/api/v2/users", count=1, retry_after=1)
    started = time.monotonic()
    assert sdk.api("UsersApi").get_users().total == 120
    assert time.monotonic() - started >= 1


def test_the_notifications_client_receives_and_recovers(
    org: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It connects, subscribes over the socket, gets events, and finds its way after a drop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = _peer("genesys_notifications.channel")
    monkeypatch.setattr(client, "asyncio", _Asyncio())
    user = org.get("/api/v2/users")["entities"][0]["id"]
    topic = f"v2.users.{user}.conversations"
    uri = org.channel()["connectUri"]

    async def receive() -> list[Any]:
        channel = await _initialised(client.Channel(uri, [topic]))
        got = []
        for number in range(2):
            waiting = asyncio.ensure_future(channel.__anext__())
            await asyncio.sleep(0.5)
            order = {"topic": topic, "frame": {"topicName": topic, "eventBody": {"id": number}}}
            assert (await asyncio.to_thread(org.post, "/_sim/frames", order))["sockets"] == 1
            got.append(await asyncio.wait_for(waiting, 10))
            await asyncio.to_thread(org.fault, fault="drop")
        await channel.close()
        return got

    got = asyncio.run(receive())
    assert [frame["eventBody"]["id"] for frame in got] == [0, 1]


def test_the_notifications_client_is_told_of_maintenance(
    org: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`v2.system.socket_closing` raises its ChannelExpiring."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = _peer("genesys_notifications.channel")
    monkeypatch.setattr(client, "asyncio", _Asyncio())
    uri = org.channel()["connectUri"]

    async def receive() -> None:
        channel = await _initialised(client.Channel(uri, ["v2.users.someone.presence"]))
        waiting = asyncio.ensure_future(channel.__anext__())
        await asyncio.to_thread(org.fault, fault="closing")
        with pytest.raises(client.ChannelExpiring):
            await asyncio.wait_for(waiting, 10)
        await channel.close()

    asyncio.run(receive())


async def _initialised(channel: Any) -> Any:
    await channel
    return channel


class _Asyncio:
    """`asyncio` as of Python 3.10, for which the client was written.

    Since 3.11 `asyncio.wait` refuses coroutines, which that client passes to it.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def wait(awaitables: Any, **options: Any) -> Any:
        """Wrap coroutines in tasks, as `wait` itself once did."""
        tasks = [asyncio.ensure_future(a) if inspect.isawaitable(a) else a for a in awaitables]
        return await asyncio.wait(tasks, **options)
