"""The WebSocket of a channel (docs/protocol.md, "Sockets"): `/channels/{id}`. The channel id itself
is the secret."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from simulator.channels import Channel
from simulator.errors import BY_STATUS, ApiError, error_body, json_response
from simulator.frames import pong, ws_frame
from simulator.hub import Socket
from simulator.routes.notifications import subscribe
from simulator.rules import shortened
from simulator.world import World, world_of

SWITCHING_PROTOCOLS = 101
MAX_CLIENT_FRAME_BYTES = 1024 * 1024


async def connect(request: web.Request) -> web.StreamResponse:
    """Serve one socket until either side ends it."""
    world = world_of(request)
    channel = world.channels.get(request.match_info["channel_id"])
    refusal = world.faults.handshake(
        request.match_info["channel_id"], channel.client_id if channel else None, time.monotonic()
    )
    if refusal is not None:
        await asyncio.sleep((refusal.ms or 0) / 1000)
        status = refusal.status or 401
        return json_response(error_body(BY_STATUS.get(status, "bad.request")), status)
    if channel is None:
        world.rules.broken("unknown_channel", _wall_ms(), None, "socket")
        return await _turn_away(request, world.quirks.dead_channel)
    if channel.socket is not None:
        world.rules.broken("socket_replaced", _wall_ms(), channel.client_id, shortened(channel.id))
    ws = web.WebSocketResponse(
        autoping=False, compress=False, max_msg_size=MAX_CLIENT_FRAME_BYTES, timeout=2.0
    )
    await ws.prepare(request)
    transport = request.transport
    if transport is None:  # the peer left during the handshake
        return ws
    socket = world.hub.open(channel, ws, transport)
    beats = asyncio.ensure_future(_beat(world, socket))
    try:
        async for message in ws:
            if message.type is WSMsgType.PING and not socket.stalled:
                await ws.pong(message.data)
            elif message.type is WSMsgType.TEXT and not socket.stalled:
                answer = answer_text(world, channel, message.data)
                if answer is not None:
                    world.hub.write(socket, ws_frame(answer))
    finally:
        beats.cancel()
        world.hub.gone(socket)
    return ws


async def _turn_away(request: web.Request, status: int) -> web.StreamResponse:
    """Refuse the socket of a dead channel with a status, or open it, send the error, and close
    it."""
    if status != SWITCHING_PROTOCOLS:
        return json_response(error_body(BY_STATUS.get(status, "not.found")), status)
    ws = web.WebSocketResponse(timeout=2.0)
    await ws.prepare(request)
    await ws.send_json({"result": "404", "message": "channel not found"})
    await ws.close(code=1000)
    return ws


def answer_text(world: World, channel: Channel, text: str) -> bytes | None:
    """The answer to a text frame of the client.

    Unknown text is tolerated, because the official command line tool sends some (docs/protocol.md,
    "Sockets").
    """
    try:
        order = msgspec.json.decode(text)
    except msgspec.DecodeError:
        order = None
    if not isinstance(order, dict):
        world.rules.broken("bad_client_frame", _wall_ms(), channel.client_id, text[:80])
        return msgspec.json.encode({"result": "400", "status": "error", "message": "not JSON"})
    verb = order.get("message")
    if verb == "ping":
        return pong()
    if verb in ("subscribe", "unsubscribe"):
        return msgspec.json.encode(_change_topics(world, channel, str(verb), order))
    return msgspec.json.encode({"result": "400", "status": "error", "message": "unknown message"})


def _change_topics(
    world: World, channel: Channel, verb: str, order: dict[str, Any]
) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    if "correlationId" in order:
        answer["correlationId"] = order["correlationId"]
    topics = order.get("topics")
    if world.channels.get(channel.id) is None:
        return {"result": "404", "status": "failure", "message": "channel not found", **answer}
    if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
        return {"result": "400", "status": "failure", "message": "topics must be a list", **answer}
    if verb == "unsubscribe":
        world.channels.unsubscribe(channel, topics, world.clock.now_ms())
        return {"result": "200", "status": "unsubscribed", "topics": topics, **answer}
    try:
        subscribe(world, channel, topics, "WS", ignore_errors=False)
    except ApiError as error:
        body = error_body(error.code, error.parameter)
        status = str(body["status"])
        return {"result": status, "status": "failure", "message": body["message"], **answer}
    return {"result": "200", "status": "subscribed", "topics": topics, **answer}


async def _beat(world: World, socket: Socket) -> None:
    while not socket.closing:
        await asyncio.sleep(world.settings.heartbeat)
        world.hub.beat(socket)


def _wall_ms() -> int:
    return int(time.time() * 1000)


def routes() -> list[web.RouteDef]:
    """The socket routes."""
    return [web.get("/channels/{channel_id}", connect, allow_head=False)]
