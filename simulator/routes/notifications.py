"""Channels and subscriptions over REST (docs/protocol.md, "Channels")."""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec
from aiohttp import web

from simulator.channels import Channel, InvalidTopic, MissingPermission, TooManyTopics
from simulator.clock import rfc3339
from simulator.errors import ApiError, json_response
from simulator.oauth import OAuthClient
from simulator.routes.guard import client_of, token_of
from simulator.rules import shortened
from simulator.topics import TOPIC_KINDS, expand, kind_of
from simulator.world import World, world_of

CHANNELS = "/api/v2/notifications/channels"
_OWNER = re.compile(r"v2\.(users|routing\.queues)\.([^.?&\s]+)")


class _WantedTopic(msgspec.Struct):
    """An element of a subscription request (class ChannelTopic)."""

    id: str


async def create_channel(request: web.Request) -> web.Response:
    """Create a channel. The 21st channel of a client silently removes another."""
    world = world_of(request)
    token = token_of(request)
    channel, evicted = world.channels.create(token, world.clock.now_ms())
    for victim in evicted:
        live = victim.socket is not None
        rule = "live_channel_evicted" if live else "channel_evicted"
        world.rules.broken(rule, _wall_ms(), token.client_id, shortened(victim.id))
        world.hub.close_channel(victim, "channel evicted")
    return json_response(channel_body(request, channel))


async def list_channels(request: web.Request) -> web.Response:
    """The channels of this token, or of the client. Channels of other tokens come without ids."""
    world = world_of(request)
    token = token_of(request)
    scope = request.query.get("includechannels", "token")
    if scope not in ("token", "oauthclient"):
        raise ApiError("invalid.value", scope)
    entities = []
    for channel in world.channels.of_client(token.client_id):
        if channel.token.value == token.value:
            entities.append(channel_body(request, channel))
        elif scope == "oauthclient":
            entities.append({"expires": rfc3339(channel.expires_ms)})
    return json_response({"entities": entities})


async def head_channel(request: web.Request) -> web.Response:
    """200 without a body when the channel is valid."""
    _channel(request)
    return web.Response()


async def get_subscriptions(request: web.Request) -> web.Response:
    """The topics of a channel."""
    channel = _channel(request)
    names = [name for topic in channel.topics for name in _names(world_of(request), topic)]
    return json_response({"entities": [{"id": name} for name in names]})


async def put_subscriptions(request: web.Request) -> web.Response:
    """Replace the topics of a channel."""
    return await _subscribe(request, "PUT")


async def post_subscriptions(request: web.Request) -> web.Response:
    """Add topics to a channel."""
    return await _subscribe(request, "POST")


async def delete_subscriptions(request: web.Request) -> web.Response:
    """Drop all topics. The channel stays."""
    world = world_of(request)
    world.channels.unsubscribe(_channel(request), None, world.clock.now_ms())
    return web.Response()


async def available_topics(request: web.Request) -> web.Response:
    """All available topics. `expand` adds fields (class AvailableTopic)."""
    expand = set(request.query.get("expand", "").split(","))
    entities = []
    for kind in TOPIC_KINDS:
        entity: dict[str, Any] = {"id": kind.template}
        full: dict[str, Any] = {
            "description": kind.description,
            "enforced": True,
            "visibility": "Public",
            "transports": list(kind.transports),
            "requiresPermissions": list(kind.permissions),
            "requiresDivisionPermissions": bool(kind.permissions),
            "permissionDetails": [{"type": "Any", "permissions": list(kind.permissions)}],
            "topicParameters": list(kind.parameters),
            "schema": {},
            "publicApiTemplateUriPaths": [],
        }
        entity.update({key: value for key, value in full.items() if key in expand})
        entities.append(entity)
    return json_response({"entities": entities})


def channel_body(request: web.Request, channel: Channel) -> dict[str, Any]:
    """A Channel. Its `connectUri` has the host of the request."""
    scheme = "wss" if request.secure else "ws"
    return {
        "connectUri": f"{scheme}://{request.host}/channels/{channel.id}",
        "id": channel.id,
        "expires": rfc3339(channel.expires_ms),
    }


def subscribe(
    world: World, channel: Channel, topics: list[str], via: str, ignore_errors: bool
) -> list[dict[str, Any]]:
    """Set or add topics, and return the ChannelTopic entities. Raises `ApiError`."""
    client = world.tokens.clients[channel.client_id]
    try:
        answers = world.channels.subscribe(
            channel,
            topics,
            world.clock.now_ms(),
            via=via,
            permissions=client.rights,
            forbidden=lambda topic: (
                world.faults.forbids(topic, client.id) or not _granted(world, client, topic)
            ),
            exists=lambda topic: world.quirks.absent_owner != "invalid" or _has_owner(world, topic),
            ignore_errors=ignore_errors,
            ignore_invalid=ignore_errors and not world.quirks.invalid_topic_fails,
        )
    except InvalidTopic as error:
        world.rules.broken("invalid_topic", _wall_ms(), client.id, str(error)[:80])
        raise ApiError("notification.invalid.topic") from error
    except TooManyTopics as error:
        world.rules.broken("too_many_topics", _wall_ms(), client.id, str(error))
        raise ApiError("notification.subscription.too.many.subscriptions") from error
    except MissingPermission as error:
        raise ApiError("missing.permissions", ", ".join(error.permissions)) from error
    entities: list[dict[str, Any]] = []
    refused = {answer.id for answer in answers if not answer.permitted}
    for answer in answers:
        names = [name for name in _names(world, answer.id) if name not in refused]
        if not world.quirks.topic_states:
            entities += [{"id": name} for name in names if answer.permitted]
        elif answer.permitted:
            entities += [{"id": name, "state": "Permitted"} for name in names]
        else:
            entities.append(
                {
                    "id": answer.id,
                    "state": "Rejected",
                    "rejectionReason": (
                        "missing.permissions" if answer.missing else "notification.invalid.topic"
                    ),
                    "missingPermissions": list(answer.missing),
                }
            )
    return entities


def _names(world: World, topic: str) -> list[str]:
    """The names under which a topic that was asked for is listed."""
    return [topic] if world.quirks.combined_ids else expand(topic) or [topic]


def _granted(world: World, client: OAuthClient, topic: str) -> bool:
    """Whether the client's role is granted in the division of a plain topic's queue or user.

    Topics that need no permission need no division either.
    """
    kind = kind_of(topic)
    if kind is None or not kind.permissions:
        return True
    if not _has_owner(world, topic):
        return world.quirks.absent_owner == "permitted"
    owner = _OWNER.match(topic)
    if client.divisions is None or owner is None:
        return True
    org, family, entity = world.org, owner[1], owner[2]
    division = org.division_of_user if family == "users" else org.division_of_queue
    return client.sees({division(entity)})


def _has_owner(world: World, topic: str) -> bool:
    """Whether the queue or user of a plain topic exists. Other topics have none."""
    owner = _OWNER.match(topic)
    if owner is None:
        return True
    return world.org.has_user(owner[2]) or world.org.has_queue(owner[2])


async def _subscribe(request: web.Request, via: str) -> web.Response:
    world = world_of(request)
    channel = _channel(request)
    try:
        wanted = msgspec.json.decode(await request.read(), type=list[_WantedTopic])
    except msgspec.DecodeError as error:
        raise ApiError("bad.request") from error
    ignore_errors = request.query.get("ignoreErrors", "false").lower() == "true"
    entities = subscribe(world, channel, [topic.id for topic in wanted], via, ignore_errors)
    return json_response({"entities": entities})


def _channel(request: web.Request) -> Channel:
    world = world_of(request)
    client = client_of(request)
    channel = world.channels.get(request.match_info["channel_id"])
    if channel is None:
        world.rules.broken("unknown_channel", _wall_ms(), client.id, request.method)
        raise ApiError("not.found")
    if not world.quirks.any_token and channel.token.value != token_of(request).value:
        raise ApiError("not.found")
    if channel.client_id != client.id:
        world.rules.broken("foreign_channel", _wall_ms(), client.id, request.method)
        raise ApiError("not.found")
    return channel


def _wall_ms() -> int:
    return int(time.time() * 1000)


def routes() -> list[web.RouteDef]:
    """The notification routes."""
    channel = CHANNELS + "/{channel_id}"
    return [
        web.post(CHANNELS, create_channel),
        web.get(CHANNELS, list_channels, allow_head=False),
        web.head(channel, head_channel),
        web.get(channel + "/subscriptions", get_subscriptions, allow_head=False),
        web.put(channel + "/subscriptions", put_subscriptions),
        web.post(channel + "/subscriptions", post_subscriptions),
        web.delete(channel + "/subscriptions", delete_subscriptions),
        web.get("/api/v2/notifications/availabletopics", available_topics, allow_head=False),
    ]
