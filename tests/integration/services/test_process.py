"""A process that a test starts is waited for, reported on and never left behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.process import ManagedProcess, ServiceError, wait_until

Start = Callable[[ManagedProcess], ManagedProcess]


def script(text: str, folder: Path, **environment: str | None) -> ManagedProcess:
    """Return a Python program of this text, not started."""
    return ManagedProcess([sys.executable, "-u", "-c", text], folder, env=environment)


def alive(pid: int) -> bool:
    """Whether that process runs; a zombie that nobody has waited for yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_output_and_exit_code(start_process: Start, tmp_path: Path) -> None:
    """Both streams are kept apart and the exit code is told."""
    text = "import sys; print('data'); print('message', file=sys.stderr); sys.exit(3)"
    process = start_process(script(text, tmp_path))
    assert process.wait(10) == 3
    assert (process.stdout, process.stderr) == ("data\n", "message\n")


def test_environment_is_added_to_and_taken_from(
    start_process: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of None is absent in the process, others reach it."""
    monkeypatch.setenv("TAKEN", "away")
    text = "import os; print(os.environ.get('GIVEN'), os.environ.get('TAKEN'))"
    process = start_process(script(text, tmp_path, GIVEN="yes", TAKEN=None))
    process.wait(10)
    assert process.stdout == "yes None\n"


def test_waiting_ends_when_the_process_does(start_process: Start, tmp_path: Path) -> None:
    """A process that ends before it is ready fails the wait at once, with what it said."""
    process = start_process(script("raise SystemExit('no such database')", tmp_path))
    with pytest.raises(ServiceError, match=r"ended with 1 before: listens(.|\n)*no such database"):
        process.wait_for(lambda: False, 60, "listens")


def test_waiting_ends_at_its_deadline(start_process: Start, tmp_path: Path) -> None:
    """A process that never gets ready fails the wait when the time is up."""
    process = start_process(script("import time; time.sleep(60)", tmp_path))
    with pytest.raises(ServiceError, match=r"listens: not within 0\.2 s"):
        process.wait_for(lambda: False, 0.2, "listens")


def test_stubborn_process_and_its_children_are_killed(tmp_path: Path) -> None:
    """One that ignores SIGTERM is killed, and so is the child that it leaves."""
    text = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid)\n"
        "time.sleep(60)\n"
    )
    process = script(text, tmp_path).start()
    process.wait_for(lambda: process.stdout.endswith("\n"), 10, "tells its child")
    child = int(process.stdout)
    assert process.stop(timeout=0.2) == -9
    wait_until(lambda: not alive(child), 10, "the child is gone")


def test_restart_appends_to_what_was_printed(start_process: Start, tmp_path: Path) -> None:
    """A second start of the same process keeps the output of the first."""
    process = start_process(script("print('run')", tmp_path))
    process.wait(10)
    process.start().wait(10)
    assert process.stdout == "run\nrun\n"
