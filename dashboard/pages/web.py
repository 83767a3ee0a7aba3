"""The web server: routes, streams, static files. Read-only: the one POST is the log-in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard.hub import Hub, Listener
from dashboard.pages.guard import COOKIE, SESSION_SECONDS, Guard, Sessions
from dashboard.reader.reader import Reader
from dashboard.reader.selection import STATES_TO_CHOOSE, Choice
from dashboard.reader.timeline import timeline
from mirror.base.health import Health
from mirror.base.log import logger
from mirror.settings import Settings

STATIC: Final = Path(__file__).with_name("static")
VIEWS: Final = {
    "floor": frozenset({"floor", "health"}),
    "mirror": frozenset({"mirror", "health"}),
}
SIGNED_IN: Final = "signed_in"
RETRY_MS: Final = 1_000  # until a browser connects again after its stream broke
LONGEST_FORM_BYTES: Final = 4_096
FORM_SECONDS: Final = 10.0
KEEP_ALIVE_SECONDS: Final = 15.0

_log = logger("dashboard.web")


def make_app(settings: Settings, hub: Hub, reader: Reader, health: Callable[[], Health]) -> ASGIApp:
    """The whole application, guarded."""
    sessions = Sessions(settings.dashboard_token) if settings.dashboard_token else None
    pages = _Pages(hub, reader, health, sessions)
    app = Starlette(
        routes=[
            Route("/", pages.index),
            Route("/login", pages.login, methods=["GET", "POST"]),
            Route("/logout", pages.logout, methods=["POST"]),
            Route("/stream", pages.stream),
            Route("/api/conversations", pages.conversations),
            Route("/api/conversations/{conversation_id}", pages.conversation),
            Route("/healthz", pages.healthz),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
    )
    return Guard(app, settings, sessions, time.time)


class EventStream:
    """The answer to `/stream`: an ASGI application that writes the hub's messages."""

    def __init__(self, hub: Hub, kinds: frozenset[str]) -> None:
        self._hub = hub
        self._kinds = kinds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write until the browser goes, is cut, or the process stops."""
        task = asyncio.current_task()
        assert task is not None
        listener = self._hub.join(self._kinds, task.cancel)
        if listener is None:
            busy = PlainTextResponse("Too many streams.\n", 503, {"Retry-After": "5"})
            await busy(scope, receive, send)
            return
        watching = asyncio.create_task(_until_gone(receive, task))
        try:
            await self._write(listener, send)
        except asyncio.CancelledError:
            # Cut, gone, or stopping. uvicorn closes the connection of an answer that breaks off.
            task.uncancel()
        finally:
            self._hub.leave(listener)
            watching.cancel()

    async def _write(self, listener: Listener, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        data: bytes | None = b"retry: %d\n\n" % RETRY_MS
        while data is not None:
            await send({"type": "http.response.body", "body": data, "more_body": True})
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    data = await listener.queue.get()
            except TimeoutError:
                data = b":\n\n"
            while data is not None and not listener.queue.empty():
                more = listener.queue.get_nowait()
                if more is None:
                    break
                data += more
        await send({"type": "http.response.body", "body": b""})


class _Pages:
    """The routes. Handlers that use the reader are plain functions, so they run in threads."""

    def __init__(
        self,
        hub: Hub,
        reader: Reader,
        health: Callable[[], Health],
        sessions: Sessions | None,
    ) -> None:
        self._hub = hub
        self._reader = reader
        self._health = health
        self._sessions = sessions

    async def index(self, _request: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    async def login(self, request: Request) -> Response:
        if self._sessions is None:
            return RedirectResponse("/", 303)
        if request.method != "POST":
            return FileResponse(STATIC / "login.html")
        now = time.time()
        if not self._sessions.may_try(now):
            return _login_page("Too many wrong tokens: try again in a minute.", 429)
        try:
            async with asyncio.timeout(FORM_SECONDS):
                token = await _form_token(request)
        except TimeoutError:
            return _login_page("The form did not arrive.", 408)
        if not self._sessions.is_token(token):
            self._sessions.note_wrong()
            _log.warning("login_refused", client=request.client.host if request.client else "")
            return _login_page("That is not the token.", 401)
        answer = RedirectResponse("/", 303)
        forwarded = request.headers.get("x-forwarded-proto", request.url.scheme)
        answer.set_cookie(
            COOKIE,
            self._sessions.cookie(now),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=forwarded == "https",
        )
        # The page may read this cookie. It only says that one can sign out.
        answer.set_cookie(SIGNED_IN, "1", max_age=SESSION_SECONDS, samesite="strict")
        return answer

    async def logout(self, _request: Request) -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        answer.delete_cookie(SIGNED_IN, samesite="strict")
        return answer

    async def stream(self, request: Request) -> Any:
        kinds = VIEWS.get(request.query_params.get("view", "floor"))
        if kinds is None:
            return PlainTextResponse("view is floor or mirror\n", 400)
        return EventStream(self._hub, kinds)

    def conversations(self, request: Request) -> Response:
        query = request.query_params
        choice = Choice(*(query.get(name) for name in Choice.__struct_fields__))
        page = query.get("page", "1")
        if choice.state not in {None, *STATES_TO_CHOOSE} or not page.isdecimal():
            return PlainTextResponse("state is one of its words, page a number\n", 400)
        with self._reader.lock:
            found = self._reader.feed.chosen(choice, int(page[:6]))
        return _json(found)

    def conversation(self, request: Request) -> Response:
        with self._reader.lock:
            known = self._reader.floor.known(request.path_params["conversation_id"])
            if known is None:
                return _json(
                    {"error": "not known here: no such conversation, or it ended long ago"},
                    404,
                )
            found = timeline(known.view, known.marks)
        found["adopted"] = known.adopted
        feed = self._reader.feed
        names = {leg["queue"]: feed.name(leg["queue"]) for leg in found["legs"]}
        names |= {leg["agent"]: feed.person(leg["agent"]) for leg in found["legs"]}
        return _json(
            found | {"names": {entity_id: name for entity_id, name in names.items() if name}}
        )

    async def healthz(self, _request: Request) -> Response:
        """The health in one word, for load balancers, without signing in."""
        word = self._health().health
        return _json({"health": word}, 503 if word == "down" else 200)


async def _until_gone(receive: Receive, task: asyncio.Task[Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()


async def _form_token(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM_BYTES:
            return ""
    return parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()


def _login_page(told: str, status: int) -> Response:
    page = (STATIC / "login.html").read_text(encoding="utf-8")
    return Response(page.replace("<!--told-->", told), status, media_type="text/html")


def _json(document: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")
