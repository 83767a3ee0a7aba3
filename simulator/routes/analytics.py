"""Analytics conversation details over REST (docs/protocol.md, "Analytics"): query, many by id, one
by id."""

from __future__ import annotations

from aiohttp import web

from simulator.analytics import BadQuery, answer, parse
from simulator.errors import ApiError, json_response
from simulator.ids import UUID
from simulator.model import Conversation
from simulator.routes.guard import client_of, need_permission
from simulator.shapes.analytics import conversation_body
from simulator.world import World, world_of

VIEW = ("analytics:conversationDetail:view", "analytics:agentConversationDetail:view")
MAX_IDS = 100


async def query(request: web.Request) -> web.Response:
    """Conversations of an interval that pass the filters."""
    need_permission(request, *VIEW)
    world = world_of(request)
    try:
        asked = parse(await request.read(), odd_ids_fail=world.quirks.odd_ids_fail)
        mine = (
            conversation
            for conversation in world.engine.every_conversation()
            if _seen(request, conversation)
        )
        found = answer(asked, mine, as_of(world), counts_all=world.quirks.counts_all_hits)
    except BadQuery as error:
        raise ApiError("bad.request", str(error)) from error
    is_silent = not found["totalHits"] and not world.quirks.counts_no_hits
    return json_response({} if is_silent else found)


async def many(request: web.Request) -> web.Response:
    """The known conversations of `?id=a,b,c`."""
    need_permission(request, *VIEW)
    world = world_of(request)
    ids = [id_ for text in request.query.getall("id", []) for id_ in text.split(",") if id_]
    if not ids or len(ids) > MAX_IDS:
        raise ApiError("bad.request", f"1 to {MAX_IDS} ids")
    if world.quirks.odd_ids_fail and not all(UUID.fullmatch(id_) for id_ in ids):
        raise ApiError("bad.request", "an id is no UUID")
    horizon = as_of(world)
    bodies = []
    for id_ in ids:
        conversation = world.engine.find(id_)
        if (
            conversation is not None
            and conversation.started_ms <= horizon
            and _seen(request, conversation)
        ):
            bodies.append(conversation_body(conversation, horizon))
    return json_response({"conversations": bodies})


async def single(request: web.Request) -> web.Response:
    """One by id."""
    need_permission(request, *VIEW)
    world = world_of(request)
    conversation = world.engine.find(request.match_info["conversation_id"])
    if (
        conversation is None
        or conversation.started_ms > as_of(world)
        or not _seen(request, conversation)
    ):
        raise ApiError("not.found")
    return json_response(conversation_body(conversation, as_of(world)))


def _seen(request: web.Request, conversation: Conversation) -> bool:
    """Whether the client's role is granted in a division of the conversation."""
    org, client = world_of(request).org, client_of(request)
    return client.divisions is None or client.sees(
        org.divisions_of(conversation.queues, conversation.users)
    )


def as_of(world: World) -> int:
    """The time up to which analytics has data. The lag is in Genesys seconds."""
    return world.clock.now_ms() - int(world.analytics_lag * 1000)


def routes() -> list[web.RouteDef]:
    """The analytics routes."""
    base = "/api/v2/analytics/conversations"
    return [
        web.post(base + "/details/query", query),
        web.get(base + "/details", many, allow_head=False),
        web.get(base + "/{conversation_id}/details", single, allow_head=False),
    ]
