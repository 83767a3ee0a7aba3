"""A process that waits for its end by `mirror.runtime.signals`, stopped and continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from mirror.runtime import signals

WAITS_SECONDS = 0.2
# A test run in the background may have been told to ignore some, and its children inherit that.
HEARS = """
import signal
from mirror.runtime import signals
for one in signals.SIGNALS:
    signal.signal(one, signal.SIG_DFL)
"""
WAITING = f"""
from mirror.runtime import signals
signals.block()
print("waits", flush=True)
while (name := signals.wait({WAITS_SECONDS})) is None:
    pass
print(name, flush=True)
"""
PROGRAM = HEARS + WAITING


WATCHES = f"""{HEARS}
import threading
stop = threading.Event()
names = []
signals.watch(lambda name: (names.append(name), stop.set()))
print("waits", flush=True)
stop.wait()
print(names[0], flush=True)
input()
"""
ENDING = {signals.name_of(number): number for number in sorted(signals.SIGNALS)}
#: Those of faults, those that nobody can catch, and those that by default end nothing.
OTHERS = {
    *(signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE),
    *(signal.SIGSEGV, signal.SIGSYS, signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE),
    *(signal.SIGXFSZ, signal.SIGCHLD, signal.SIGCONT, signal.SIGTSTP, signal.SIGTTIN),
    *(signal.SIGTTOU, signal.SIGURG, signal.SIGWINCH),
}


def test_no_signal_is_forgotten() -> None:
    """Each that this system has is heard, or is known to be another's."""
    assert signal.valid_signals() == signals.SIGNALS | OTHERS
    assert not signals.SIGNALS & OTHERS
    assert {"SIGTERM", "SIGPROF", "SIGRTMIN", "SIGRTMIN+3"} <= set(ENDING)


@pytest.mark.parametrize("program", [PROGRAM, WATCHES], ids=["wait", "watch"])
@pytest.mark.parametrize(
    "name", [name for name in ENDING if "+" not in name or name == "SIGRTMIN+3"]
)
def test_each_signal_that_would_end_it_is_heard(program: str, name: str) -> None:
    """Whatever a supervisor, a terminal or a limit sends: the process ends in order."""
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(ENDING[name])
        assert process.stdout.readline() == f"{name}\n"
        process.communicate("\n")
    assert process.returncode == 0


@pytest.mark.parametrize("first", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("second", ["SIGTERM", "SIGQUIT"])
def test_the_second_that_insists_ends_it_at_once(first: str, second: str) -> None:
    """Whichever of them it is."""
    with started(WATCHES) as process:
        process.send_signal(signal.Signals[first])
        drains(process)
        process.send_signal(signal.Signals[second])
        process.wait(10)
    assert process.returncode == -signal.Signals[second]


def test_a_hangup_beside_the_first_is_no_second() -> None:
    """Some supervisors send SIGTERM and SIGHUP together; in which order they are heard is open."""
    with started(WATCHES) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGCONT)
        drains(process)
        process.send_signal(signal.SIGHUP)
        process.communicate("\n", 10)
    assert process.returncode == 0


def started(program: str) -> subprocess.Popen[str]:
    """The program, once it waits for signals."""
    argv = [sys.executable, "-c", program]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waits\n"
    return process


def drains(process: subprocess.Popen[str]) -> None:
    """Wait until the first signal was heard."""
    assert process.stdout is not None
    assert process.stdout.readline().startswith("SIG")


LOGS_FIRST = """
import sys
from mirror.base import log
from mirror.runtime import signals
log.configure("test")
log.logger("test").info("starting")
assert log.flush(10)
signals.block()
print("works", flush=True)
sys.stdin.readline()
print(signals.wait(5.0), flush=True)
"""


def test_a_line_that_is_logged_first_takes_no_signal() -> None:
    """The thread that writes the log was there before the signals were blocked."""
    argv = [sys.executable, "-c", LOGS_FIRST]
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        process.terminate()
        assert process.communicate("\n")[0] == "SIGTERM\n"
    assert process.returncode == 0


def test_what_is_ignored_from_the_start_stays_so() -> None:
    """`nohup mirror listener` goes on when its terminal is closed."""
    argv = ["/bin/sh", "-c", 'trap "" HUP; exec "$0" -c "$1"', sys.executable, WAITING]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "SIGTERM\n"
    assert process.returncode == 0


def test_a_stop_and_a_continue_end_nothing() -> None:
    """Also where the stop lasts longer than a wait; a signal then still ends it in order."""
    argv = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            time.sleep(2 * WAITS_SECONDS)
            process.send_signal(signal.SIGCONT)
            os.waitid(os.P_PID, process.pid, os.WCONTINUED)
        process.terminate()
        assert process.stdout.read() == "SIGTERM\n"
    assert process.returncode == 0
