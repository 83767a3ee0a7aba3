"""The aiohttp application of one org, and its background tasks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from simulator.routes import admin, conversations, directory, notifications, oauth, streaming
from simulator.routes.guard import guard
from simulator.world import WORLD, World

MAX_BODY_BYTES = 64 * 1024 * 1024


def make_app(world: World) -> web.Application:
    """All routes over one world; its tasks run while the application does."""
    app = web.Application(middlewares=[guard], client_max_size=MAX_BODY_BYTES)
    app[WORLD] = world
    for room in (oauth, notifications, directory, conversations, streaming, admin):
        app.add_routes(room.routes())
    app.cleanup_ctx.append(_background)
    app.on_shutdown.append(_close_sockets)
    return app


async def _background(app: web.Application) -> AsyncIterator[None]:
    world = app[WORLD]
    tasks = [
        asyncio.create_task(world.engine.run(), name="engine"),
        asyncio.create_task(world.watch_expiry(), name="expiry"),
        asyncio.create_task(world.replay_recorded(), name="replay"),
    ]
    for task in tasks:
        task.add_done_callback(_end_on_failure)
    yield
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)


async def _close_sockets(app: web.Application) -> None:
    await app[WORLD].hub.shut_down()


def _end_on_failure(task: asyncio.Task[None]) -> None:
    """A dead engine must not look like a quiet contact centre: hand the failure to the loop."""
    if not task.cancelled() and task.exception() is not None:
        task.get_loop().call_exception_handler(
            {"message": f"task {task.get_name()} failed", "exception": task.exception()}
        )
