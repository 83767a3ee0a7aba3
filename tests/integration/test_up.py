"""`mirror up` as a process: what it says, what it refuses, and how it is looked at and ended.

A janitor alone runs, without Kafka: it waits for it and is RUNNING meanwhile.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from harness.process import ManagedProcess, free_ports, wait_until
from harness.redis import find_server
from mirror.supervision.supervisord import Supervisord, SupervisordSilent

pytestmark = [pytest.mark.alone, pytest.mark.redis, pytest.mark.timeout(120)]

SECONDS = 40.0


@pytest.fixture
def env(redis_url: str, tmp_path: Path) -> Iterator[dict[str, str | None]]:
    """One janitor, in directories of this test. A run directory has a short path: it holds a
    socket."""
    with tempfile.TemporaryDirectory(prefix="up-", dir="/tmp") as run_dir:
        yield {
            "REDIS_URL": redis_url,
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "GENESYS_API_URL": "http://127.0.0.1:1",
            "GENESYS_CLIENTS": "a:b",
            "MIRROR_COORDINATORS": "0",
            "MIRROR_LISTENERS": "0",
            "MIRROR_DASHBOARDS": "0",
            "MIRROR_PROJECTORS": "0",
            "MIRROR_STARTSECS": "1",
            "MIRROR_RUN_DIR": run_dir,
            "MIRROR_LOG_DIR": str(tmp_path / "log"),
        }


@contextmanager
def up(tmp_path: Path, env: dict[str, str | None]) -> Iterator[ManagedProcess]:
    """`mirror up` whose janitor runs."""
    supervisord = Supervisord(Path(str(env["MIRROR_RUN_DIR"])))
    with ManagedProcess.mirror("up", folder=tmp_path, env=env, name="up") as process:

        def runs() -> bool:
            try:
                found = supervisord.processes()
            except SupervisordSilent:
                return False
            return "RUNNING" in {process.state for process in found if process.name == "janitor-0"}

        wait_until(runs, SECONDS, "the janitor runs")
        yield process


def ask(tmp_path: Path, env: dict[str, str | None], *arguments: str) -> ManagedProcess:
    """A command to its end."""
    name = f"ask-{time.monotonic_ns()}"
    process = ManagedProcess.mirror(*arguments, folder=tmp_path, env=env, name=name)
    with process:
        process.wait(SECONDS)
    return process


def test_it_says_what_runs_and_is_controlled_by_its_own_commands(
    tmp_path: Path, env: dict[str, str | None]
) -> None:
    """Status, restart, a second one that is refused, stop: none needs supervisorctl."""
    with ExitStack() as stack:
        process = stack.enter_context(up(tmp_path, env))
        assert "1 janitor" in process.stderr
        assert str(env["MIRROR_LOG_DIR"]) in process.stderr
        assert "one kind after the other, up to 28 s each" in process.stderr

        status = json.loads(ask(tmp_path, env, "up", "status", "--json").stdout)
        before = {process["name"]: process["pid"] for process in status["processes"]}
        assert (status["pid"], set(before)) == (process.pid, {"janitor-0", "watchdog"})
        assert "janitor-0" in ask(tmp_path, env, "up", "status").stdout

        second = ask(tmp_path, env, "up")
        assert second.returncode == 1
        (line,) = second.stderr.splitlines()
        assert f"pid {process.pid}, since 20" in line

        restarted = ask(tmp_path, env, "up", "restart", "janitor")
        assert restarted.returncode == 0, restarted.describe("restart")
        status = json.loads(ask(tmp_path, env, "up", "status", "--json").stdout)
        after = {process["name"]: process["pid"] for process in status["processes"]}
        assert after["janitor-0"] != before["janitor-0"]
        assert after["watchdog"] == before["watchdog"]
        assert ask(tmp_path, env, "up", "restart", "nosuch").returncode == 1

        stopped = ask(tmp_path, env, "up", "stop")
        assert (stopped.returncode, stopped.stdout) == (0, "")
        assert "one kind after the other, up to 28 s each" in stopped.stderr
        assert process.wait(SECONDS) == 0
    assert ask(tmp_path, env, "up", "status").returncode == 1


def test_one_that_was_killed_does_not_keep_the_next_from_starting(
    tmp_path: Path, env: dict[str, str | None]
) -> None:
    """Its socket is still there, and nobody listens on it."""
    with up(tmp_path, env) as process:
        janitor = next(
            process.pid
            for process in Supervisord(Path(str(env["MIRROR_RUN_DIR"]))).processes()
            if process.name == "janitor-0"
        )
        os.kill(process.pid, signal.SIGKILL)
        process.wait(SECONDS)
        os.kill(janitor, signal.SIGKILL)
    assert Supervisord(Path(str(env["MIRROR_RUN_DIR"]))).is_there
    assert ask(tmp_path, env, "up", "status").returncode == 1
    with up(tmp_path / "again", env) as process:
        assert ask(tmp_path, env, "up", "stop").returncode == 0
        assert process.wait(SECONDS) == 0


def test_it_says_what_the_processes_wait_for_and_when_it_answers(
    tmp_path: Path, env: dict[str, str | None]
) -> None:
    """A line for each service, with the reason; nobody has to look into a log."""
    (port,) = free_ports(1)
    env = env | {"REDIS_URL": f"redis://127.0.0.1:{port}/0"}
    with up(tmp_path, env) as process:
        redis, kafka = f"Redis at redis://127.0.0.1:{port}/0", "Kafka at 127.0.0.1:1 cannot be used"
        both = (f"Waits      {redis} does not answer", f"Waits      {kafka}")
        wait_until(lambda: all(line in process.stderr for line in both), SECONDS, "what it awaits")
        words = ["--bind", "127.0.0.1", "--port", str(port), "--save", ""]
        server = ManagedProcess([find_server(), *words], tmp_path, name="redis")
        with server:
            wait_until(lambda: f"Answers    {redis}\n" in process.stderr, SECONDS, "it answers")
        time.sleep(2.0)  # it is said once
        assert process.stderr.count(both[0]) == 1
        watching = children(process.pid, "console.awaited")
        assert len(watching) == 1
    wait_until(lambda: not Path(f"/proc/{watching[0]}").exists(), SECONDS, "it has ended too")


def children(pid: int, word: str) -> list[int]:
    """The children of a process whose command line has the word."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(pid) for pid in found if word in Path(f"/proc/{pid}/cmdline").read_text()]


def test_a_supervisord_that_runs_already_takes_it_as_a_program(
    tmp_path: Path, env: dict[str, str | None]
) -> None:
    """As docs/deployment.md says: its end ends all processes in order."""
    text = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```ini\n(.*?)```", text, re.DOTALL)
    block = re.sub(r"^(user|environment) = .*\n", "", block, flags=re.MULTILINE)
    mirror = Path(sys.executable).parent / "mirror"
    conf = tmp_path / "theirs.conf"
    conf.write_text(
        f"[supervisord]\npidfile = {tmp_path}/theirs.pid\nlogfile = {tmp_path}/theirs.log\n"
        + block.replace("/opt/mirror/bin/mirror", str(mirror)),
        encoding="utf-8",
    )
    supervisord = Supervisord(Path(str(env["MIRROR_RUN_DIR"])))
    words = ("-n", "-c", str(conf))
    theirs = ManagedProcess.python_module(
        "supervisor.supervisord", *words, folder=tmp_path, env=env, name="theirs"
    )
    with theirs:

        def runs() -> bool:
            with suppress(SupervisordSilent):
                return "janitor-0" in {
                    process.name
                    for process in supervisord.processes()
                    if process.state == "RUNNING"
                }
            return False

        wait_until(runs, SECONDS, "the janitor runs")
        inner = supervisord.pid()
        theirs.send(signal.SIGTERM)
        theirs.wait(SECONDS)
    assert not supervisord.is_there
    assert not Path(f"/proc/{inner}").exists()


@pytest.mark.parametrize("setting", ["MIRROR_METRICS_PORT", "MIRROR_DASHBOARD_PORT"])
def test_a_port_that_is_taken_ends_it_before_anything_runs(
    setting: str, tmp_path: Path, env: dict[str, str | None]
) -> None:
    """Exit code 2, as the process would end: the janitor's metrics are 200 above the setting."""
    pytest.importorskip("starlette", reason="needs the extra 'dashboard'")
    (port,) = free_ports(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        base = port - 200 if setting == "MIRROR_METRICS_PORT" else port
        more: dict[str, str | None] = {
            setting: str(base),
            "MIRROR_DASHBOARDS": "1",
            "MIRROR_METRICS_HOST": "127.0.0.1",
        }
        if setting == "MIRROR_METRICS_PORT":
            more["MIRROR_DASHBOARDS"] = "0"
        process = ask(tmp_path, env | more, "up")
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert setting in line
