"""The login host: `POST /oauth/token` with client credentials (docs/protocol.md, "Tokens")."""

from __future__ import annotations

from aiohttp import web

from simulator.errors import ApiError, error_body, json_response
from simulator.oauth import basic_credentials
from simulator.routes.guard import misbehave, token_of
from simulator.world import world_of


async def issue_token(request: web.Request) -> web.Response:
    """A token for Basic credentials, or for `client_id` and `client_secret` in the body."""
    world = world_of(request)
    world.requests["POST /oauth/token"] = world.requests.get("POST /oauth/token", 0) + 1
    try:
        await misbehave(request, None)
    except ApiError as fault:
        body = error_body(fault.code, fault.parameter)
        return json_response(body, body["status"], fault.headers)
    if "application/x-www-form-urlencoded" not in request.content_type:
        return _refuse("invalid_request", "The content type must be a form.", 415)
    form = await request.post()
    if form.get("grant_type") != "client_credentials":
        return _refuse("unsupported_grant_type", "Only client_credentials is simulated.", 400)
    given = basic_credentials(request.headers.get("Authorization", ""))
    if given is None:
        given = (str(form.get("client_id", "")), str(form.get("client_secret", "")))
    token = world.tokens.issue(*given, world.clock.now_ms())
    if token is None:
        return _refuse(
            "invalid_client", "The client credentials are invalid.", world.quirks.login_failure
        )
    ttl = world.tokens.clients[token.client_id].ttl_seconds
    return json_response(
        {
            "access_token": token.value,
            "token_type": "bearer",
            "expires_in": max(1, int(world.clock.wall_seconds(ttl))),
        }
    )


async def token_info(request: web.Request) -> web.Response:
    """`GET /api/v2/tokens/me` (class TokenInfo)."""
    world = world_of(request)
    token = token_of(request)
    if token.client_id not in world.tokens.clients:
        raise ApiError("not.found")
    organization = {"id": world.org.id, "name": "Simulated Contact Centre"}
    return json_response(
        {
            "organization": organization,
            "homeOrganization": organization,
            "authorizedScope": [],
            "OAuthClient": {"id": token.client_id, "organization": organization},
        }
    )


def _refuse(error: str, description: str, status: int) -> web.Response:
    body = {"error": error, "description": description, "error_description": description}
    return json_response(body, status)


def routes() -> list[web.RouteDef]:
    """The token routes."""
    return [
        web.post("/oauth/token", issue_token),
        web.get("/api/v2/tokens/me", token_info, allow_head=False),
    ]
