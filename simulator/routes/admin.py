"""The admin API under `/_sim`: the ledger, statistics and controls."""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

import msgspec
from aiohttp import web

from simulator.clock import parse_rfc3339, rfc3339
from simulator.errors import json_response
from simulator.faults import GARBAGE_KINDS, STANDING, STRIKING, checked, parse
from simulator.frames import ws_frame
from simulator.load import DEFAULT_LANES
from simulator.oauth import divisions_from, role_from
from simulator.ratelimit import CLIENT_TOKENS
from simulator.rules import RULES, shortened
from simulator.saboteur import SABOTEUR
from simulator.scenarios import SCENARIOS
from simulator.world import World, world_of

MAX_LEDGER_PAGE = 100_000


async def ledger(request: web.Request) -> web.Response:
    """Records of the ledger, `?since_seq=&limit=&from=&until=&conversation_id=`."""
    world = world_of(request)
    query = request.query
    try:
        since = int(query.get("since_seq", "0"))
        limit = min(MAX_LEDGER_PAGE, int(query.get("limit", "1000")))
        begin, until = (
            rfc3339(parse_rfc3339(query[name])) if name in query else None
            for name in ("from", "until")
        )
    except ValueError as error:
        return _bad(str(error))
    records = world.ledger.read(since, limit, begin, until, query.get("conversation_id"))
    return json_response(
        {
            "records": records,
            "next_seq": records[-1].seq if records else since,
            "last_seq": world.ledger.last_seq,
            "dropped": world.ledger.dropped,
        }
    )


async def stats(request: web.Request) -> web.Response:
    """Counters of everything."""
    world = world_of(request)
    return json_response(stats_body(world))


def stats_body(world: World) -> dict[str, Any]:
    """The answer of `/_sim/stats`."""
    channels = world.channels.all()
    return {
        "uptime_seconds": round(time.time() - world.started, 3),
        "genesys_time": rfc3339(world.clock.now_ms()),
        "users": len(world.org.users),
        "queues": len(world.org.queues),
        "conversations": world.engine.stats(),
        "frames": msgspec.to_builtins(world.hub.counters),
        "load": {"on": world.load.on, **msgspec.to_builtins(world.load.stats)},
        "quirks": world.quirks,
        "sockets": len(world.hub.sockets),
        "channels": len(channels),
        "channels_by_client": {
            client: sum(1 for c in channels if c.client_id == client)
            for client in world.tokens.clients
        },
        "subscribed_topics": world.channels.topic_count(),
        "subscriptions": sum(len(c.topics) for c in channels),
        "replay": {"frames": len(world.recorded), "sent": world.replayed},
        "tokens": len(world.tokens),
        "ledger": {"records": len(world.ledger), "last_seq": world.ledger.last_seq},
        "violations": dict(world.rules.counts),
        "requests": dict(world.requests),
    }


async def channels(request: web.Request) -> web.Response:
    """Every channel with its state. Ids are complete, because tests need them."""
    world = world_of(request)
    entities = []
    for channel in world.channels.all():
        socket = world.hub.sockets.get(channel.socket or 0)
        entities.append(
            {
                "id": channel.id,
                "short_id": shortened(channel.id),
                "client_id": channel.client_id,
                "token_number": channel.token.number,
                "created": rfc3339(channel.created_ms),
                "expires": rfc3339(channel.expires_ms),
                "topics": len(channel.topics),
                "connected": socket is not None,
                "socket": socket.number if socket else None,
                "frames": socket.frames if socket else 0,
            }
        )
    return json_response({"channels": entities})


async def conversations(request: web.Request) -> web.Response:
    """The conversations that are not over, wrap-up included, with media, queues and agents."""
    world = world_of(request)
    return json_response(
        {
            "conversations": [
                {
                    "id": play.conversation.id,
                    "media": play.conversation.media,
                    "scenario": play.scenario,
                    "started": rfc3339(play.conversation.started_ms),
                    "live": play.conversation.live(),
                    "queues": list(play.conversation.queues),
                    "users": list(play.conversation.users),
                }
                for play in world.engine.plays.values()
            ]
        }
    )


async def violations(request: web.Request) -> web.Response:
    """The rules that clients broke."""
    world = world_of(request)
    if request.method == "DELETE":
        world.rules.clear()
    since = int(request.query.get("since_seq", "0"))
    return json_response(
        {"counts": world.rules.counts, "violations": world.rules.read(since), "rules": RULES}
    )


class _FrameOrder(msgspec.Struct, forbid_unknown_fields=True):
    topic: str | None = None
    channel: str | None = None
    frame: Any = None
    raw_base64: str | None = None


async def frames(request: web.Request) -> web.Response:
    """Send a given frame to the subscribers of a topic, or to one channel."""
    world = world_of(request)
    try:
        order = msgspec.json.decode(await request.read(), type=_FrameOrder)
        if order.raw_base64 is not None:
            payload = base64.b64decode(order.raw_base64, validate=True)
        else:
            payload = msgspec.json.encode(order.frame)
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error) as error:
        return _bad(str(error))
    if order.channel is not None:
        channel = world.channels.get(order.channel)
        targets = [channel] if channel is not None else []
        if order.topic is not None:
            wanted = order.topic.lower()
            targets = [c for c in targets if any(wanted in p for p in c.topics.values())]
    elif order.topic is not None:
        targets = list(world.channels.listeners(order.topic))
    else:
        return _bad("a topic or a channel is needed")
    sent = world.hub.broadcast(targets, ws_frame(payload))
    return json_response({"sockets": sent, "sent_ms": int(time.time() * 1000)})


class _Control(msgspec.Struct, forbid_unknown_fields=True):
    action: str | None = None
    rate: float | None = None
    speed: float | None = None
    conversations: int | None = None
    scenario: str | None = None
    count: int = 1
    rate_limit: int | None = None
    clock_shift_seconds: float = 0.0
    time_scale: float | None = None
    analytics_lag: float | None = None
    quirks: dict[str, object] = {}
    load: float | None = None
    load_lanes: int = DEFAULT_LANES
    load_frames: int | None = None
    add_users: int = 0
    #: Id of a user or queue → active, inactive, deleted.
    states: dict[str, str] = {}
    org_rate_limit: int | None = None
    #: OAuth client → its role, and → the divisions of its grant, as the command line takes them.
    roles: dict[str, str] = {}
    grants: dict[str, str] = {}


async def control(request: web.Request) -> web.Response:
    """Start, pause, stop (drain), spawn; change rate, speed, limits and the clock."""
    world = world_of(request)
    engine = world.engine
    try:
        order = msgspec.json.decode(await request.read(), type=_Control)
        world.change_quirks(order.quirks)
        _change_rights(world, order)
        world.org.change_states(order.states)
    except (msgspec.DecodeError, ValueError) as error:
        return _bad(str(error))
    _tune(world, order)
    answer: dict[str, Any] = {}
    if order.action == "start":
        engine.resume()
    elif order.action == "pause":
        engine.pause()
    elif order.action in ("stop", "drain"):
        engine.drain()
    elif order.action == "spawn":
        if order.scenario is not None and order.scenario not in SCENARIOS:
            return _bad(f"no scenario {order.scenario}; there are {sorted(SCENARIOS)}")
        spawned = [engine.start_one(order.scenario).id for _ in range(order.count)]
        answer["conversation_ids"] = spawned
    elif order.action == "load":
        world.load.start(max(0.0, order.load or 0.0), order.load_lanes, order.load_frames)
    elif order.action == "unload":
        world.load.stop()
    elif order.action is not None:
        return _bad("action is start, pause, stop (or drain), spawn, load or unload")
    return json_response({**answer, "conversations": engine.stats()})


def _change_rights(world: World, order: _Control) -> None:
    """Change roles and where they are granted; raises `ValueError`."""
    clients = world.tokens.clients
    unknown = (order.roles.keys() | order.grants.keys()) - clients.keys()
    if unknown:
        raise ValueError(f"no client {', '.join(sorted(unknown))}")
    for name, role in order.roles.items():
        clients[name].permissions = role_from(role)
    for name, granted in order.grants.items():
        clients[name].divisions = divisions_from(granted)


def _tune(world: World, order: _Control) -> None:
    """Change only the values in the order."""
    engine = world.engine
    if order.rate is not None:
        engine.rate = max(0.0, order.rate)
    if order.speed is not None:
        engine.speed = max(0.001, order.speed)
    if order.conversations is not None:
        engine.limit = engine.started + order.conversations
    if order.rate_limit is not None:
        world.limiter.limit = order.rate_limit
        world.client_limiter.limit = order.rate_limit * CLIENT_TOKENS
    if order.org_rate_limit is not None:
        world.org_limiter.limit = order.org_rate_limit
    if order.analytics_lag is not None:
        world.analytics_lag = order.analytics_lag
    world.org.hire(order.add_users)
    if order.clock_shift_seconds or order.time_scale is not None:
        world.clock.change(int(order.clock_shift_seconds * 1000), order.time_scale)


async def index(_: web.Request) -> web.Response:
    """List the routes of the admin API."""
    names = sorted({route.path for route in routes()})
    return json_response({"simulator": "Genesys Cloud", "admin": names})


async def list_faults(request: web.Request) -> web.Response:
    """List the active faults and the known kinds."""
    known = {"striking": STRIKING, "standing": STANDING, "garbage": GARBAGE_KINDS}
    return json_response({"faults": world_of(request).faults.all(), "known": known})


async def add_fault(request: web.Request) -> web.Response:
    """Switch a fault on: the JSON of a fault, or `{"text": "name:key=value,..."}`."""
    try:
        order = msgspec.json.decode(await request.read())
        if isinstance(order, dict) and set(order) == {"text"}:
            fault = parse(str(order["text"]))
        else:
            fault = checked(order)
    except (msgspec.DecodeError, ValueError) as error:
        return _bad(str(error))
    struck = request.app[SABOTEUR].apply(fault)
    return json_response({"id": fault.id or None, "struck": struck})


async def remove_fault(request: web.Request) -> web.Response:
    """Switch one fault off, or all of them."""
    faults = world_of(request).faults
    text = request.match_info.get("fault_id", "")
    if not text:
        faults.clear()
    elif not text.isdecimal() or faults.remove(int(text)) is None:
        return json_response({"error": "no such fault"}, 404)
    return json_response({"faults": faults.all()})


def _bad(message: str) -> web.Response:
    return json_response({"error": message}, 400)


def routes() -> list[web.RouteDef]:
    """The admin routes."""
    return [
        web.get("/_sim/ledger", ledger),
        web.get("/_sim/stats", stats),
        web.get("/_sim/channels", channels),
        web.get("/_sim/conversations", conversations),
        web.get("/_sim/violations", violations),
        web.delete("/_sim/violations", violations),
        web.post("/_sim/frames", frames),
        web.post("/_sim/control", control),
        web.get("/_sim/faults", list_faults),
        web.post("/_sim/faults", add_fault),
        web.delete("/_sim/faults", remove_fault),
        web.delete("/_sim/faults/{fault_id}", remove_fault),
        web.get("/_sim", index),
    ]
