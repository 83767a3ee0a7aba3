"""Genesys' error answers: ErrorBody with its codes (docs/protocol.md, "Tokens")."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

#: Code to status and message; `%s` takes the parameter.
KNOWN: dict[str, tuple[int, str]] = {
    "bad.request": (
        400,
        "The request could not be understood by the server due to malformed syntax.",
    ),
    "invalid.value": (400, "Value [%s] is not valid for this field."),
    "invalid.date": (400, "Dates must be specified as ISO-8601 strings: %s"),
    "notification.invalid.topic": (400, "The subscription topic is not valid."),
    "notification.subscription.too.many.subscriptions": (400, "Too many subscriptions"),
    "max.user.ids": (400, "Only 100 users can be requested at a time"),
    "authentication.required": (
        401,
        "No authentication bearer token specified in authorization header.",
    ),
    "bad.credentials": (401, "Invalid login credentials."),
    "credentials.expired": (401, "The supplied credentials are expired and cannot be used."),
    "missing.permissions": (
        403,
        "Unable to perform the requested action. You are missing the following permission(s): %s",
    ),
    "missing.any.permissions": (
        403,
        (
            "Unable to perform the requested action. You must have at least one of the following "
            "permissions assigned: %s"
        ),
    ),
    "not.authorized": (403, "You are not authorized to perform the requested action."),
    "not.found": (404, "The requested resource was not found."),
    "method.not.allowed": (405, "The requested method is not allowed on this resource."),
    "conflict": (409, "The request conflicts with the current state of the resource."),
    "request.entity.too.large": (
        413,
        "The request is over the size limit. Content-Length: %s, Maximum bytes: 512000",
    ),
    "unsupported.media.type": (
        415,
        "Unsupported Media Type - Unsupported or incorrect media type.",
    ),
    "too.many.requests": (
        429,
        "Rate limit exceeded the maximum. Retry the request in [%s] seconds",
    ),
    "internal.server.error": (500, "The server encountered an unexpected condition."),
    "bad.gateway": (502, "Bad gateway."),
    "service.unavailable": (503, "Service Unavailable - The server is currently unavailable."),
    "request.timeout": (504, "The request timed out."),
}
BY_STATUS = {
    400: "bad.request",
    401: "bad.credentials",
    403: "not.authorized",
    404: "not.found",
    405: "method.not.allowed",
    409: "conflict",
    413: "request.entity.too.large",
    415: "unsupported.media.type",
    429: "too.many.requests",
    500: "internal.server.error",
    502: "bad.gateway",
    503: "service.unavailable",
    504: "request.timeout",
}


class ApiError(Exception):
    """A request is refused with one of the known codes."""

    def __init__(
        self, code: str, parameter: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.parameter = parameter
        self.headers = headers or {}


def error_body(code: str, parameter: str = "", context_id: str = "") -> dict[str, Any]:
    """An ErrorBody; `contextId` is the correlation id of the answer."""
    status, text = KNOWN[code]
    return {
        "message": text.replace("%s", parameter),
        "code": code,
        "status": status,
        "messageWithParams": text.replace("%s", "{parameter}"),
        "messageParams": {"parameter": parameter} if parameter else {},
        "contextId": context_id,
        "details": [],
        "errors": [],
    }


def json_response(
    body: Any, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A JSON answer encoded by msgspec."""
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )
