"""The aiohttp application of one org, and its background tasks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from aiohttp import web

from simulator.faults import Fault
from simulator.routes import (
    admin,
    analytics,
    conversations,
    directory,
    notifications,
    oauth,
    streaming,
)
from simulator.routes.guard import guard
from simulator.saboteur import SABOTEUR, Saboteur
from simulator.world import WORLD, World

MAX_BODY_BYTES = 64 * 1024 * 1024


def make_app(world: World, faults: Sequence[Fault] = ()) -> web.Application:
    """All routes of a world. The world's tasks run as long as the application."""
    app = web.Application(middlewares=[guard], client_max_size=MAX_BODY_BYTES)
    app[WORLD] = world
    app[SABOTEUR] = Saboteur(world)
    for fault in faults:
        app.on_startup.append(_apply(fault))
    for room in (oauth, notifications, directory, analytics, conversations, streaming, admin):
        app.add_routes(room.routes())
    app.cleanup_ctx.append(_background)
    app.on_shutdown.append(_close_sockets)
    return app


def _apply(fault: Fault) -> Callable[[web.Application], Awaitable[None]]:
    async def apply(app: web.Application) -> None:
        app[SABOTEUR].apply(fault)

    return apply


async def _background(app: web.Application) -> AsyncIterator[None]:
    world = app[WORLD]
    if world.settings.load is not None:
        world.load.start(world.settings.load, world.settings.lanes, None)
    tasks = [
        asyncio.create_task(world.engine.run(), name="engine"),
        asyncio.create_task(world.watch_expiry(), name="expiry"),
        asyncio.create_task(world.replay_recorded(), name="replay"),
        asyncio.create_task(app[SABOTEUR].run(), name="faults"),
        asyncio.create_task(world.load.run(), name="load"),
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
    """Hand a task's failure to the loop: a dead engine must not look like a quiet contact
    centre."""
    if not task.cancelled() and task.exception() is not None:
        task.get_loop().call_exception_handler(
            {"message": f"task {task.get_name()} failed", "exception": task.exception()}
        )
