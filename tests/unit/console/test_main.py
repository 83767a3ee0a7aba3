"""The console: quick help, one line for each failure, the right exit code."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from listeners.receive.native_reader import MODULE
from tests.unit.console.environ import ENVIRON

ENVIRON["MIRROR_STARTUP_TIMEOUT"] = "1s"
# Its port may be taken on this machine.
NO_PAGE = {"GENESYS_CLIENTS": "a:b", "MIRROR_DASHBOARDS": "0"}


def _mirror(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from console import main; main()", *arguments],
        env={**ENVIRON, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_the_commands() -> None:
    """Every command has a line that says what it is for, whole in 80 columns."""
    result = _mirror("--help")
    assert result.returncode == 0
    for command in ("listener", "coordinator", "janitor", "up", "sandbox", "simulator", "status"):
        assert f"  {command} " in result.stdout
    commands = result.stdout.partition("Commands:\n")[2].splitlines()
    assert [line for line in commands if line.endswith("...")] == []


def test_without_a_command_the_help_is_shown() -> None:
    """As many lines as it has, on stderr, since nothing was asked for; wrong usage all the same."""
    result = _mirror()
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == _mirror("-h").stdout


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_simulator_has_the_help_of_every_command(option: str) -> None:
    """Though it hands its arguments on."""
    result = _mirror("simulator", option)
    assert result.returncode == 0
    assert "--time-scale" in result.stdout
    assert "-h, --help" in result.stdout


def test_help_imports_no_service_library() -> None:
    """What makes help slow is imported when a command runs, not before."""
    probe = (
        "import sys; from console import cli; "
        "print([m for m in ('redis', 'confluent_kafka', 'msgspec', 'urllib3', 'structlog') "
        "if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], env=ENVIRON, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_help_is_there_at_once() -> None:
    """Under 150 ms of CPU: the best of five, since a busy machine is no slow program."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert _mirror("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 0.15


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "words"),
    [
        (["foo"], {}, 2, "No such command"),
        (["status", "--loud"], {}, 2, "--loud"),
        (["backfill", "--since", "1h", "--until", "2h"], {}, 2, "the interval is empty"),
        (["conversations", "5b91", "--since", "soon"], {}, 2, "or an age such as 2h or 7d"),
        (["sandbox"], {"MIRROR_REPLICAS": "x"}, 2, "MIRROR_REPLICAS is 'x'"),
        (["doctor"], {"KAFKA_CONF_LINGER_MS": "abc"}, 2, "KAFKA_CONF_LINGER_MS is 'abc'"),
        (["doctor", "--settings"], {"HTTPS_PROXY": "socks5://x:1"}, 2, "HTTPS_PROXY holds"),
        (["sandbox", "--seconds", "5"], {}, 2, "--seconds needs --demo"),
        (["dlq"], {}, 2, "Missing command"),
        (["up"], {}, 2, "GENESYS_CLIENT_ID is not set"),
        (["up"], {"GENESYS_CLIENTS": "a:b", "MIRROR_HANG_AFTER": "soon"}, 2, "MIRROR_HANG_AFTER"),
        (["up"], {"GENESYS_CLIENTS": "a:b", "KAFKA_CONF_NOSUCH": "1"}, 2, "nosuch"),
        (["up"], {"GENESYS_CLIENTS": "a:b", "MIRROR_DASHBOARD_HOST": "::"}, 2, "DASHBOARD_TOKEN"),
        (["up"], {**NO_PAGE, "MIRROR_METRICS_PORT": "65500"}, 2, "METRICS_PORT"),
        (["up"], {"GENESYS_CLIENTS": "a:b", "HTTPS_PROXY": "socks5://x:1"}, 2, "HTTPS_PROXY"),
        (["up"], {**NO_PAGE, "MIRROR_SPOOL_DIR": "/proc/nope"}, 2, "MIRROR_SPOOL_DIR is"),
        (["up"], {**NO_PAGE, "MIRROR_USER": "nobody-here"}, 2, "MIRROR_USER is"),
        (["up"], {**NO_PAGE, "MIRROR_USER": "\u00b2"}, 2, "MIRROR_USER is"),
        (["up"], {**NO_PAGE, "MIRROR_PYTHON": "/nope"}, 2, "MIRROR_PYTHON is"),
        (["up", "status"], {"MIRROR_RUN_DIR": "/tmp/nobody"}, 1, "`mirror up` does not run here"),
        (["tail", "--type", "nosuch"], {}, 2, "answer"),
        (["tail", "--agents", "--type", "answer"], {}, 2, "presence, routing_status"),
        (["tail", "--agents", "--once"], {}, 2, "leave out --once"),
        (["tail", "--agents", "--queue", "q"], {}, 2, "leave out --once"),
        (["tail", "--since", "soon"], {}, 2, "or an age such as 2h or 7d"),
        (["tail", "--since", "2h", "--from", "beginning"], {}, 2, "give one"),
        (["status"], {"MIRROR_REPLICAS": "x"}, 2, "MIRROR_REPLICAS is 'x'"),
        (["listener"], {"MIRROR_LEASE": "1s"}, 2, "MIRROR_LEASE"),
        (["tail"], {"KAFKA_CONF_NOSUCH": "1"}, 2, "nosuch"),
        (["init"], {"KAFKA_CONF_NOSUCH": "1"}, 2, "nosuch"),
        (["status"], {"REDIS_URL": "redis://127.0.0.1:1/x"}, 2, "REDIS_URL"),
        (["gaps"], {"REDIS_URL": "redis://127.0.0.1:1/0"}, 3, "127.0.0.1:1"),
        (["status"], {"REDIS_URL": "redis://:hunter2@127.0.0.1:1/0"}, 3, "127.0.0.1:1"),
        (["init"], {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 3, "127.0.0.1:1"),
        (["tail"], {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 3, "127.0.0.1:1"),
    ],
)
def test_a_failure_is_one_line_and_a_code(
    arguments: list[str], environ: dict[str, str], code: int, words: str
) -> None:
    """What failed, where, and what to do: on stderr, without traceback and without secrets."""
    result = _mirror(*arguments, **environ)
    assert result.returncode == code
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert words in result.stderr
    assert "hunter2" not in result.stderr


def test_up_refuses_a_native_reader_that_is_required_and_missing(tmp_path: Path) -> None:
    """As its listeners would."""
    (tmp_path / f"{MODULE}.py").write_text("raise ImportError('none here')\n")
    result = _mirror("up", **NO_PAGE, MIRROR_NATIVE="require", PYTHONPATH=str(tmp_path))
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "MIRROR_NATIVE is require" in result.stderr


def test_settings_in_force_are_printed() -> None:
    """Nothing is asked of a service for it: none runs here."""
    result = _mirror("doctor", "--settings", KAFKA_CONF_LINGER_MS="20")
    assert (result.returncode, result.stderr) == (0, "")
    assert "KAFKA_CONF_LINGER_MS=20" in result.stdout.splitlines()


def test_a_closed_stdout_is_said() -> None:
    """What a command found and cannot write is no success."""
    result = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "from console import main; main()" schema >&-', sys.executable],
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("mirror: stdout is closed: ")
