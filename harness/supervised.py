"""The state of a sandbox under supervisord, seen from outside: beats and live seats."""

from __future__ import annotations

import time
from pathlib import Path

import redis

from harness.process import wait_until
from harness.sandbox import Sandbox
from mirror.fleet.status_reader import read
from mirror.supervision.heartbeat_file import read_heartbeat
from mirror.supervision.supervisord import ProcessInfo, processes


def whole(sandbox: Sandbox, gone: tuple[int, ...] = ()) -> bool:
    """Whether somebody leads and every seat is live, on none of the processes that are `gone`.

    Until its lease lapses Redis still says of a killed process that it holds its seats and leads.
    """
    with redis.Redis.from_url(sandbox.settings.redis_url, decode_responses=True) as client:
        status = read(client, sandbox.settings)
    seats = [replica for shard in status.shards for replica in shard.replicas]
    holders = [status.leader or "", *(seat.listener or "" for seat in seats)]
    old = any(f"-{pid}-" in holder for holder in holders for pid in gone)
    return bool(status.leader and seats) and not old and all(s.state == "live" for s in seats)


def process_of(run_dir: Path, name: str) -> ProcessInfo:
    """supervisord's information on the process of that name."""
    return next(process for process in processes(run_dir) or [] if process.name == name)


def beats(run_dir: Path, name: str) -> bool:
    """Whether the process of that name beats."""
    heartbeat = read_heartbeat(run_dir, name)
    return heartbeat is not None and heartbeat.exit_code is None


def await_another(run_dir: Path, name: str, pid: int, seconds: float) -> float:
    """How long until a process of that name beats under another pid."""
    began = time.monotonic()

    def works() -> bool:
        now = process_of(run_dir, name)
        if now.pid == pid or now.state not in {"STARTING", "RUNNING"}:
            return False
        heartbeat = read_heartbeat(run_dir, name)
        return heartbeat is not None and (heartbeat.pid, heartbeat.exit_code) == (now.pid, None)

    wait_until(works, seconds, f"{name} works again")
    return time.monotonic() - began
