"""Guards the page: who may see it, and the headers of every answer.

On loopback, everybody on this machine may see the page. The request's Host header must name this
machine. That refuses a website whose name was made to point here (DNS rebinding). With
`MIRROR_DASHBOARD_TOKEN`, everybody must show the token: on the login page, which sets a signed
cookie, or as `Authorization: Bearer`. With `MIRROR_DASHBOARD_AUTH_HEADER`, a reverse proxy signs
people in and says so in that header. The proxy must remove the header from requests that come from
outside.

The cookie contains its expiry time and a MAC under the token. So every dashboard with this token
accepts it, also after a restart. A new token ends all cookies.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mirror.base.errors import SettingsError
from mirror.settings import Settings

Clock = Callable[[], float]

COOKIE: Final = "mirror_dashboard"
SESSION_SECONDS: Final = 12 * 3600
LEAST_TOKEN: Final = 16
WRONG_A_MINUTE: Final = 20  # log-ins with a wrong token, by all visitors together

_OPEN_PATHS: Final = (
    "/login",
    "/healthz",
    "/static/css/",
    "/static/js/theme.js",
    "/static/icon.svg",
)
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With no-referrer, browsers would send forms with `Origin: null`, like forms of other sites.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def is_loopback(host: str) -> bool:
    """Whether a name or address is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check(settings: Settings) -> None:
    """Refuse settings that would show the page to everybody. Raises `SettingsError`."""
    token, header = settings.dashboard_token, settings.dashboard_auth_header
    if token and len(token) < LEAST_TOKEN:
        raise SettingsError(
            f"MIRROR_DASHBOARD_TOKEN is too short: it takes at least {LEAST_TOKEN} characters "
            "that nobody can guess"
        )
    if not is_loopback(settings.dashboard_host) and not (token or header):
        raise SettingsError(
            f"MIRROR_DASHBOARD_TOKEN is not set: on {settings.dashboard_host} others can reach the "
            "page, so it takes a token, or MIRROR_DASHBOARD_AUTH_HEADER the header of a reverse "
            "proxy that signs people in; MIRROR_DASHBOARD_HOST=127.0.0.1 keeps it to this machine"
        )


class Sessions:
    """Checks tokens and their cookies, and counts wrong tokens. `now` is epoch seconds."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._key = hashlib.sha256(b"interaction-mirror dashboard\0" + self._token).digest()
        self._minute = 0
        self._wrong = 0

    def is_token(self, given: str) -> bool:
        """Whether `given` is the token, in constant time."""
        return hmac.compare_digest(given.encode(), self._token)

    def may_try(self, now: float) -> bool:
        """Whether another log-in may be tried: wrong log-ins are limited."""
        if int(now // 60) != self._minute:
            self._minute, self._wrong = int(now // 60), 0
        return self._wrong < WRONG_A_MINUTE

    def note_wrong(self) -> None:
        """Note a wrong token."""
        self._wrong += 1

    def cookie(self, now: float) -> str:
        """The value of a cookie that is valid for `SESSION_SECONDS`."""
        lapses = str(int(now) + SESSION_SECONDS)
        return f"{lapses}.{self._mac(lapses)}"

    def is_cookie(self, value: str, now: float) -> bool:
        """Whether `value` is a valid cookie of this dashboard."""
        lapses, _, mac = value.partition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(lapses).encode()):
            return False
        return lapses.isdecimal() and now < int(lapses)

    def _mac(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


class Guard:
    """Middleware around the whole application."""

    def __init__(
        self, app: ASGIApp, settings: Settings, sessions: Sessions | None, clock: Clock
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._header = settings.dashboard_auth_header
        self._is_local = is_loopback(settings.dashboard_host)
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_guarded(sent: Message) -> None:
            if sent["type"] == "http.response.start":
                answer = MutableHeaders(scope=sent)
                for name, value in HEADERS.items():
                    answer[name] = value
                if "cache-control" not in answer:
                    is_static = scope["path"].startswith("/static/")
                    answer["Cache-Control"] = "no-cache" if is_static else "no-store"
            await send(sent)

        refusal = self._refusal(scope, headers)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        path = scope["path"]
        host = headers.get("host", "")
        if self._is_local and not is_loopback(_split(f"//{host}").hostname or ""):
            return PlainTextResponse("This page answers to the name of its machine only.\n", 421)
        if scope["method"] not in {"GET", "HEAD"} and not _is_same_origin(headers, host):
            return PlainTextResponse("From another site.\n", 403)
        if path.startswith(_OPEN_PATHS) or self._is_known(headers):
            return None
        if path == "/" and self._sessions is not None:
            return RedirectResponse("/login", 303)
        return PlainTextResponse("Sign in first.\n", 401, {"WWW-Authenticate": "Bearer"})

    def _is_known(self, headers: Headers) -> bool:
        if self._header and headers.get(self._header):
            return True
        if self._sessions is None:
            return not self._header
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._sessions.is_token(given.strip())
        return self._sessions.is_cookie(_cookie(headers), self._clock())


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _is_same_origin(headers: Headers, host: str) -> bool:
    """Browsers send the origin of a form. A client that sends no origin is not a browser, and has
    no cookie of ours."""
    origin = headers.get("origin")
    return origin is None or _split(origin).netloc == host


def _split(url: str) -> SplitResult:
    """The parts of a URL from outside; those of an empty URL if it is invalid."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
