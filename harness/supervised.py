"""The state of a sandbox under supervisord, seen from outside."""

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
    """Whether there is a leader and every seat is live, and none of them on the processes `gone`.

    Until the lease of a killed process lapses, Redis still says that it leads and holds its seats.
    """
    with redis.Redis.from_url(sandbox.settings.redis_url, decode_responses=True) as client:
        status = read(client, sandbox.settings)
    seats = [replica for shard in status.shards for replica in shard.replicas]
    holders = [status.leader or "", *(seat.listener or "" for seat in seats)]
    old = any(f"-{pid}-" in holder for holder in holders for pid in gone)
    return bool(status.leader and seats) and not old and all(s.state == "live" for s in seats)


def process_of(run_dir: Path, name: str) -> ProcessInfo:
    """supervisord's information on the process with this name."""
    return next(process for process in processes(run_dir) or [] if process.name == name)


def beats(run_dir: Path, name: str) -> bool:
    """Whether the process with this name beats."""
    heartbeat = read_heartbeat(run_dir, name)
    return heartbeat is not None and heartbeat.exit_code is None


def await_another(run_dir: Path, name: str, pid: int, seconds: float) -> float:
    """The seconds until a process with this name beats under another pid."""
    began = time.monotonic()

    def works() -> bool:
        now = process_of(run_dir, name)
        if now.pid == pid or now.state not in {"STARTING", "RUNNING"}:
            return False
        heartbeat = read_heartbeat(run_dir, name)
        return heartbeat is not None and (heartbeat.pid, heartbeat.exit_code) == (now.pid, None)

    wait_until(works, seconds, f"{name} works again")
    return time.monotonic() - began
