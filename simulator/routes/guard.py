"""The middleware of every REST request: correlation id, bearer token, limits, error bodies."""

from __future__ import annotations

import asyncio
import time
import uuid

from aiohttp import web
from aiohttp.typedefs import Handler

from simulator.errors import BY_STATUS, ApiError, error_body, json_response
from simulator.oauth import OAuthClient, Token
from simulator.world import World, world_of

#: Statuses with a special meaning in a `rest` fault.
CUT_CONNECTION = -1
TOO_MANY = 429
#: Genesys' `request.bytes.max`.
MAX_REQUEST_BYTES = 512_000
_TOKEN = "simulator.token"  # noqa: S105  # the name of a request field


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Authenticate and meter `/api/...`, and turn refusals into ErrorBodies. Other paths pass."""
    if not request.path.startswith("/api/"):
        return await handler(request)
    world = world_of(request)
    correlation = str(uuid.uuid4())
    headers = {"ININ-Correlation-Id": correlation}
    name = f"{request.method} {_route_of(request)}"
    world.requests[name] = world.requests.get(name, 0) + 1
    try:
        request[_TOKEN] = token = _authenticate(world, request)
        if world.bars.is_early(token.client_id, time.monotonic()):
            world.rules.broken("early_retry", _wall_ms(), token.client_id, name)
        await misbehave(request, token.client_id)
        verdict = world.limiter.hit(token.value, time.monotonic())
        if verdict.allowed:
            of_client = world.client_limiter.hit(token.client_id, time.monotonic())
            verdict = verdict if of_client.allowed else of_client
        headers.update(verdict.headers())
        if not verdict.allowed:
            rule = "early_retry" if verdict.early_retry else "rate_limit_exceeded"
            world.rules.broken(rule, _wall_ms(), token.client_id, name)
            raise ApiError("too.many.requests", str(verdict.reset_seconds))
        whole = world.org_limiter.hit(request.path, token.client_id, time.monotonic())
        if whole is not None:
            if whole.early_retry:
                world.rules.broken("early_retry", _wall_ms(), token.client_id, name)
            headers.update(whole.headers())
            raise ApiError("too.many.requests", str(whole.reset_seconds))
        _check_body(request)
        response = await handler(request)
    except ApiError as refusal:
        response = refuse(refusal.code, refusal.parameter, correlation)
        headers.update(refusal.headers)
    except Foreign as answer:
        response = web.Response(status=answer.status, text=answer.body, content_type=answer.kind)
    except web.HTTPMethodNotAllowed:
        response = refuse("method.not.allowed", "", correlation)
    except web.HTTPNotFound:
        response = refuse("not.found", "", correlation)
    if not response.prepared:
        response.headers.update(headers)
    return response


class Foreign(Exception):
    """An answer that does not come from Genesys: the page of a gateway, or other JSON."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.kind = "application/json" if body[:1] in "[{" else "text/html"


async def misbehave(request: web.Request, client: str | None) -> None:
    """Let a `rest` fault answer instead, or delay the answer. Raises `ApiError`."""
    world = world_of(request)
    fault = world.faults.rest(request.method, request.path, client, time.monotonic())
    if fault is None:
        return
    if fault.ms:
        await asyncio.sleep(fault.ms / 1000)
    if fault.status == CUT_CONNECTION:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError
    if fault.body is not None:
        raise Foreign(fault.status or 200, fault.body)
    if fault.status:
        seconds = 1 if fault.retry_after is None else fault.retry_after
        code = BY_STATUS.get(fault.status, "internal.server.error")
        if fault.status != TOO_MANY:
            raise ApiError(code)
        if client is not None and isinstance(seconds, int):
            world.bars.tell(client, seconds, time.monotonic())
        raise ApiError(code, str(seconds), {"Retry-After": str(seconds)})


def refuse(code: str, parameter: str, correlation: str) -> web.Response:
    """An error answer."""
    body = error_body(code, parameter, correlation)
    return json_response(body, body["status"])


def token_of(request: web.Request) -> Token:
    """The token that this request carries."""
    token: Token = request[_TOKEN]
    return token


def client_of(request: web.Request) -> OAuthClient:
    """The OAuth client whose token this request carries."""
    return world_of(request).tokens.clients[token_of(request).client_id]


def need_permission(request: web.Request, *any_of: str) -> None:
    """Refuse with 403 unless the client has one of these permissions in any division."""
    if not client_of(request).rights.intersection(any_of):
        code = "missing.permissions" if len(any_of) == 1 else "missing.any.permissions"
        raise ApiError(code, ", ".join(any_of))


def _authenticate(world: World, request: web.Request) -> Token:
    header = request.headers.get("Authorization", "")
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise ApiError("authentication.required")
    token = world.tokens.find(value.strip())
    if token is None:
        world.rules.broken("unknown_token", _wall_ms(), None, request.path)
        raise ApiError("bad.credentials")
    if token.expires_ms <= world.clock.now_ms():
        world.rules.broken("expired_token", _wall_ms(), token.client_id, request.path)
        raise ApiError("credentials.expired")
    return token


def _check_body(request: web.Request) -> None:
    """Refuse a body that is too large, or no JSON."""
    size = request.content_length or 0
    if size > MAX_REQUEST_BYTES:
        raise ApiError("request.entity.too.large", str(size))
    if size and request.content_type != "application/json":
        raise ApiError("unsupported.media.type")


def _route_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _wall_ms() -> int:
    return int(time.time() * 1000)
