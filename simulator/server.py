"""Runs an org on a port until a signal stops it."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import time
from collections.abc import Sequence
from typing import Any

import click
from aiohttp import web

from simulator.app import make_app
from simulator.faults import Fault
from simulator.settings import Settings
from simulator.world import World

SHUTDOWN_SECONDS = 3.0


def log(event: str, **fields: Any) -> None:
    """One JSON line on stderr."""
    record = {"ts": round(time.time(), 3), "event": event, **fields}
    click.echo(json.dumps(record, default=str), err=True)


async def serve(
    settings: Settings,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    replay: list[dict[str, Any]] | None = None,
    faults: Sequence[Fault] = (),
) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code. Prints the address when ready."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    failed: list[str] = []

    def on_failure(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        log("task_failed", message=context.get("message"), error=repr(context.get("exception")))
        if "task engine failed" in str(context.get("message")):
            failed.append("engine")
            stop.set()

    loop.set_exception_handler(on_failure)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    world = World(settings)
    world.take_recording(replay or [])
    runner = web.AppRunner(
        make_app(world, faults),
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
        handler_cancellation=True,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls, backlog=1024)
        await site.start()
        address = runner.addresses[0]
        scheme = "https" if tls else "http"
        ready = {"url": f"{scheme}://{host}:{address[1]}", "port": address[1]}
        click.echo(json.dumps(ready))
        log("ready", **ready, users=settings.users, queues=settings.queues)
        await stop.wait()
        log("stopping", conversations=world.engine.stats())
    finally:
        await runner.cleanup()
    log("stopped")
    return 1 if failed else 0
