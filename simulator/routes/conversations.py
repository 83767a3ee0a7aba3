"""Conversations over REST (docs/protocol.md, "Reading conversations")."""

from __future__ import annotations

import time

from aiohttp import web

from simulator.errors import ApiError, json_response
from simulator.model import Conversation
from simulator.routes.guard import client_of, need_permission
from simulator.shapes import rest
from simulator.world import world_of

FORBIDDEN = 403
VIEW = "conversation:communication:view"
#: The name of each medium in REST paths. The paths of web chat were removed.
MEDIA_PATHS = frozenset(
    {
        "calls",
        "callbacks",
        "cobrowses",
        "emails",
        "messages",
        "screenshares",
        "social",
        "videos",
    }
)


async def list_active(request: web.Request) -> web.Response:
    """Active conversations of the logged-in user: a client has no user, so none (docs/protocol.md,
    "Reading conversations")."""
    uri = f"{request.path}?pageSize=25&pageNumber=1"
    return json_response(
        {
            "entities": [],
            "pageSize": 25,
            "pageNumber": 1,
            "total": 0,
            "pageCount": 0,
            "firstUri": uri,
            "selfUri": uri,
            "lastUri": uri,
        }
    )


async def get_conversation(request: web.Request) -> web.Response:
    """One conversation, live or ended, in the REST shape."""
    need_permission(request, VIEW)
    if request.match_info["conversation_id"] in MEDIA_PATHS:  # of the logged-in user: none either
        return await list_active(request)
    world = world_of(request)
    conversation = _find(request)
    body = rest.conversation_body(
        conversation, world.org, world.clock.now_ms(), world.quirks.end_time_before_wrapup
    )
    return json_response(body)


async def disconnect(request: web.Request) -> web.Response:
    """Force the end of a conversation. A mirror must never call this, so the call is recorded."""
    client = client_of(request).id
    conversation = request.match_info["conversation_id"]
    now = int(time.time() * 1000)
    world_of(request).rules.broken("conversation_disconnect", now, client, conversation)
    raise ApiError("missing.permissions", "conversation:communication:disconnect")


def _find(request: web.Request) -> Conversation:
    world = world_of(request)
    conversation = world.engine.find(request.match_info["conversation_id"])
    if conversation is None:
        raise ApiError("not.found")
    if not client_of(request).sees(world.org.divisions_of(conversation.queues, conversation.users)):
        forbidden = world.quirks.hidden_conversation == FORBIDDEN
        raise ApiError("not.authorized" if forbidden else "not.found")
    return conversation


def routes() -> list[web.RouteDef]:
    """The conversation routes."""
    base = "/api/v2/conversations"
    return [
        web.get(base, list_active, allow_head=False),
        web.get(base + "/{conversation_id}", get_conversation, allow_head=False),
        web.post(base + "/{conversation_id}/disconnect", disconnect),
    ]
