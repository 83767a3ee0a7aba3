"""The life of a process from outside: exit codes, lines, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HEAD = """
import sys, threading, time
from mirror.base.errors import KafkaUnavailable
from mirror.runtime.command import program, run
from mirror.runtime.process import Process, Program

class Work(Program):
    name = "work"
    def start(self, process):
        self.process = process
    def stop(self):
        print("stop", flush=True)
    def summary(self):
        return {"done": 7}
"""
TAIL = """
@program("work")
def command(settings):
    "Work."
    return Process(settings, worker="w-1").run(Made())

sys.exit(run(command, sys.argv[1:], "mirror work"))
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process of a program whose class `Made` is given."""
    made: list[subprocess.Popen[str]] = []

    def begin(text: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HEAD + text + TAIL, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        made.append(process)
        return process

    yield begin
    for process in made:
        process.kill()
        process.communicate()


def lines(stderr: str) -> list[dict[str, Any]]:
    """The log."""
    return [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]


def events(stderr: str) -> list[str]:
    """The names of its events."""
    return [line["event"] for line in lines(stderr)]


def test_a_signal_ends_it_in_order(start: Start) -> None:
    """Exit code 0; the log says who it was and what it did."""
    process = start(
        "class Made(Work):\n  def turn(self):\n    print('turns', flush=True)\n    return 60.0\n"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "turns\n"
    # Under nohup a hang-up ends nothing.
    is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    process.send_signal(signal.SIGTERM if is_ignored else signal.SIGHUP)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert out == "stop\n"
    assert events(err) == ["starting", "started", "stopping", "stopped"]
    last = lines(err)[-1]
    assert (last["worker"], last["done"], last["part"]) == ("w-1", 7, "work")


def test_a_crash_ends_it_in_order_with_exit_code_1(start: Start) -> None:
    """Logged once, by the thread's name; what it holds is put in order all the same."""
    process = start(
        "class Made(Work):\n"
        "  def start(self, process):\n"
        "    process.thread('loop', lambda: 1 / 0).join()\n"
        "    time.sleep(0.3)\n"  # the crash is known before the start is done
    )
    out, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert out == "stop\n"
    (failed,) = [line for line in lines(err) if line["event"] == "thread_failed"]
    assert failed["thread"] == "loop"
    assert "ZeroDivisionError" in failed["error"]
    assert events(err)[-1] == "stopped"


def test_a_crash_of_the_main_thread_is_one_too(start: Start) -> None:
    """Its name is `main`; so is a crash while it stops."""
    process = start(
        "class Made(Work):\n  def turn(self):\n    1 / 0\n  def stop(self):\n    [][0]\n"
    )
    _, err = process.communicate(timeout=10)
    assert process.returncode == 1
    failed = [line for line in lines(err) if line["event"] == "thread_failed"]
    assert [line["thread"] for line in failed] == ["main", "main"]


def test_a_start_that_fails_is_one_line_and_its_exit_code(start: Start) -> None:
    """Nothing is stopped that was not started, and nobody is told that it started."""
    process = start(
        "class Made(Work):\n"
        "  def start(self, process):\n"
        "    process.thread('web', process.stopping.wait)\n"
        "    raise KafkaUnavailable('Kafka at x does not answer')\n"
    )
    out, err = process.communicate(timeout=10)
    assert process.returncode == 3
    assert out == ""
    assert err.splitlines()[-1] == "mirror: Kafka at x does not answer"
    assert events(err) == ["starting"]


def test_a_signal_ends_a_start_that_waits(start: Start) -> None:
    """At once and with exit code 0, whatever it waits for: it holds nothing yet."""
    process = start(
        "class Made(Work):\n"
        "  def start(self, process):\n"
        "    print('waits', flush=True)\n"
        "    time.sleep(600)\n"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n"
    began = time.monotonic()
    process.terminate()
    out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert time.monotonic() - began < 5
    assert out == ""
    assert events(err) == ["starting", "stopping", "stopped"]


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    """By the signal itself, though the stop has not come to its end."""
    process = start(
        "class Made(Work):\n"
        "  def turn(self):\n"
        "    print('turns', flush=True)\n"
        "    return 60.0\n"
        "  def stop(self):\n"
        "    print('stop', flush=True)\n"
        "    time.sleep(600)\n"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "turns\n"
    process.terminate()
    assert process.stdout.readline() == "stop\n"
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    "package", ["listeners", "coordinator", "janitor", "projector", "dashboard"]
)
def test_a_package_is_its_command(package: str) -> None:
    """`python -m` says the same as `mirror`, and does not load the console."""
    name = {"listeners": "listener"}.get(package, package)
    asked = [
        subprocess.run(  # words of this file
            [*start, *arguments], capture_output=True, text=True, check=False
        )
        for arguments in (["--help"], ["--wrong"])
        for start in (
            [sys.executable, "-m", package],
            [sys.executable, "-c", "from console import main; main()", name],
        )
    ]
    helped, helped_too, wrong, wrong_too = [(a.returncode, a.stdout, a.stderr) for a in asked]
    assert helped == helped_too
    assert helped[0] == 0
    assert f"Usage: mirror {name}" in helped[1]
    assert wrong == wrong_too
    assert wrong[0] == 2
    loaded = f"import sys, {package}.__main__; sys.exit('console' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0


@pytest.mark.parametrize(
    ("program", "setting"),
    [
        ("listeners", {"KAFKA_CONF_RETRIES": "0"}),
        ("janitor", {"KAFKA_CONF_RETRIES": "0"}),
        ("coordinator", {"KAFKA_CONF_GROUP_PROTOCOL": "consumer"}),
        ("projector", {"KAFKA_CONF_LINGER_MS": "20000"}),
        ("dashboard", {"KAFKA_CONF_FETCH_MAX_BYTES": "10"}),
    ],
)
def test_kafka_settings_with_which_no_client_can_be_made_end_the_start(
    program: str, setting: dict[str, str], tmp_path: Path
) -> None:
    """Exit code 2 at once and one line, though no service answers either, and though a
    file is away."""
    done = run_without_services(program, setting, tmp_path)
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == 2, line
    assert next(iter(setting)) in line
    assert "started" not in events(done.stderr)


@pytest.mark.parametrize("program", ["listeners", "janitor", "projector"])
def test_a_file_that_is_away_is_waited_for(program: str, tmp_path: Path) -> None:
    """It may come with the next rotation: the start waits, and ends like that of an outage."""
    done = run_without_services(program, {}, tmp_path)
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == 3, line
    assert "away.pem" in line


def run_without_services(
    program: str, setting: dict[str, str], tmp_path: Path
) -> subprocess.CompletedProcess[str]:
    """A program for which nothing answers, and whose CA's file is away."""
    if program == "dashboard":
        pytest.importorskip("starlette", reason="needs the extra 'dashboard'")
    environ = {
        **{name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH"}},
        "HOME": str(tmp_path),
        "GENESYS_CLIENTS": "a:b",
        "GENESYS_API_URL": "http://127.0.0.1:1",
        "REDIS_URL": "redis://127.0.0.1:1",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "KAFKA_CONF_SSL_CA_LOCATION": str(tmp_path / "away.pem"),
        "MIRROR_STARTUP_TIMEOUT": "3s",
        "MIRROR_DASHBOARD_PORT": "0",
        **setting,
    }
    return subprocess.run(
        [sys.executable, "-m", program],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
