"""How a process is, and what it tells supervisord."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from listeners import shutdown
from mirror.base.health import Health
from mirror.base.log import capture_logs
from mirror.base.thread_watch import PATIENCE_SECONDS, ThreadWatch
from mirror.runtime import process as runtime
from mirror.runtime.process import Process, Program
from mirror.runtime.serving import _JOIN_SECONDS as TELEMETRY_SECONDS
from mirror.settings import load


class Work(Program):
    """A program that is as a test has it."""

    name = "work"

    def __init__(self) -> None:
        self.known = Health("ok")
        self.stuck: tuple[str, ...] = ()

    def health(self) -> Health:
        return self.known

    def hung(self) -> tuple[str, ...]:
        return self.stuck


@pytest.fixture
def work() -> Work:
    """A program."""
    return Work()


@pytest.fixture
def process(work: Work) -> Process:
    """A process of it, as if its start were done."""
    process = Process(load({}))
    process._program = work
    process._started = True
    return process


def test_health_is_the_program_s(process: Process, work: Work) -> None:
    """As long as all of its threads turn."""
    assert process.health() == Health("ok")
    work.known = Health.of(("slow",))
    assert process.health() == Health("degraded", ("slow",))
    work.known = Health.of((), ("nothing may be written",))
    assert process.health() == Health("down", ("nothing may be written",))


def test_a_start_that_waits_is_not_ok(process: Process, work: Work) -> None:
    """Health says what it waits for, once, although the program finds nothing wrong."""
    process._started = False
    assert process.health() == Health("degraded", ("it is still starting",))
    process._waits_for = "Kafka has no topic"
    assert process.health() == Health("degraded", ("the start waits: Kafka has no topic",))
    work.known = Health.of((), ("Kafka has no topic",))
    assert process.health() == Health("down", ("Kafka has no topic",))


def test_a_thread_that_hangs_is_down(process: Process, work: Work) -> None:
    """Before what else is wrong, be it known to the turns or to the program."""
    now = 0.0
    process.thread_watch = ThreadWatch(clock=lambda: now)
    process.thread_watch.of("beats")()
    now = PATIENCE_SECONDS + 1
    work.known = Health.of(("slow",))
    hangs = "the thread beats hangs: no progress for 901s"
    assert process.health() == Health("down", (hangs, "slow"))
    work.stuck = ("the loop hangs",)
    assert process.health() == Health("down", (hangs, "the loop hangs", "slow"))


def test_a_crash_is_down_and_logged_once(process: Process) -> None:
    """By the name of its thread; the process is to stop."""

    def crash() -> None:
        raise ValueError("no such thing")

    with capture_logs() as lines:
        process.thread("loop", crash).join()
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert (line["event"], line["thread"]) == ("thread_failed", "loop")
    assert process.stopping.is_set()
    assert process.health().health == "down"
    assert process.health().reasons == ("the thread loop has crashed: the process stops",)


def test_a_process_beats_while_no_thread_hangs(
    process: Process, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that is down for want of something else beats: a restart cures nothing."""
    monkeypatch.setenv("MIRROR_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("SUPERVISOR_PROCESS_NAME", "work")
    beating, hanging = Process(load({})), Process(load({}))
    beating._program = hanging._program = work
    heartbeat = tmp_path / "heartbeats" / "work"
    work.stuck = ("the loop hangs",)
    hanging.beat()
    assert not heartbeat.exists()
    work.stuck = ()
    work.known = Health.of((), ("nothing may be written",))
    beating.beat()
    assert heartbeat.exists()


def test_a_stop_takes_less_than_supervisors_grant() -> None:
    """The listener's steps have the longest deadlines of all programs."""
    steps = (
        shutdown.DRAIN_SECONDS,
        shutdown.CLOSE_SECONDS,
        shutdown.JOIN_SECONDS,
        shutdown.FLUSH_SECONDS,
        shutdown.RELEASE_SECONDS,
        shutdown.DEREGISTER_SECONDS,
    )
    assert sum(steps) <= runtime.PROGRAM_STOP_SECONDS
    most = max(runtime.PROGRAM_STOP_SECONDS, runtime.JOIN_SECONDS)
    assert most + TELEMETRY_SECONDS < runtime.STOP_SECONDS


def test_threads_are_joined_by_one_deadline(process: Process) -> None:
    """Each that watches `stopping` ends by it."""
    ended = threading.Event()

    def work() -> None:
        process.stopping.wait()
        ended.set()

    thread = process.thread("waits", work)
    process.stopping.set()
    thread.join()
    assert ended.is_set()


def test_a_certificate_of_redis_that_cannot_be_used_ends_no_wait(
    work: Work, tmp_path: Path
) -> None:
    """A projector needs no Redis. It waits for Kafka, without a note."""
    url = f"rediss://127.0.0.1:1/0?ssl_ca_certs={tmp_path / 'none.pem'}"
    process = Process(load({"REDIS_URL": url}))
    process._program = work
    process._waits("no topic")
    process._waits_no_more()
