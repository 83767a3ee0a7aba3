"""Procfile and supervisord.conf run the same processes, and the console has them all."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from console import cli
from mirror.base.errors import SettingsError
from mirror.supervision import supervise

ROOT = Path(__file__).parents[3]


def _procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}


def _programs() -> dict[str, str]:
    conf = configparser.RawConfigParser()
    conf.read(supervise.CONF)
    return {
        section.partition(":")[2]: conf[section]["command"]
        for section in conf.sections()
        if section.startswith("program:")
    }


def test_procfile_and_supervisord_name_the_same_processes() -> None:
    """A process added to one is added to the other."""
    called = {"web": "dashboard"}  # platforms route to the process of that name
    processes = {called.get(name, name) for name in _procfile() if name != "release"}
    assert processes == set(_programs()) == set(supervise.PROGRAMS)


def test_procfile_runs_commands_that_exist() -> None:
    """Every line is a command of the console."""
    for command in _procfile().values():
        words = command.split()
        assert words[0] == "mirror"
        assert words[1] in cli.commands


def test_supervisord_reads_its_file(tmp_path: Path) -> None:
    """Every variable of the file has a value, and the numbers of processes come from them."""
    environ = supervise.environment(
        {
            **os.environ,
            "XDG_STATE_HOME": str(tmp_path),
            "MIRROR_RUN_DIR": "/tmp",  # parsing writes nothing there
            "MIRROR_LISTENERS": "3",
            "MIRROR_DASHBOARDS": "1",
        }
    )
    probe = (
        "from supervisor.options import ServerOptions; o = ServerOptions(); "
        f"o.realize(args=['-c', {str(supervise.CONF)!r}]); "
        "print({c.name: len(c.process_configs) for c in o.process_group_configs})"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", probe],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    numbers = "{'watchdog': 1, 'coordinator': 1, 'listener': 3, 'janitor': 1, "
    numbers += "'dashboard': 1, 'projector': 1}"
    assert result.stdout.strip() == numbers


def test_a_run_directory_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    """supervisord's own words for it name neither the variable nor the cure."""
    with pytest.raises(SettingsError, match="MIRROR_RUN_DIR"):
        supervise.environment({"MIRROR_RUN_DIR": str(tmp_path / ("x" * 80))})


@pytest.mark.parametrize(
    ("name", "held", "takes"),
    [
        ("MIRROR_LISTENERS", "two", "a whole number from 0 to 100"),
        ("MIRROR_COORDINATORS", "101", "a whole number from 0 to 100"),
        ("MIRROR_STARTSECS", "5s", "a whole number from 0 to 3600"),
        ("MIRROR_AUTOSTART", "yes", "one of true, false"),
        ("MIRROR_HANG_AFTER", "20", "a duration"),
    ],
)
def test_a_wrong_number_is_told_before_supervisord_starts(
    name: str, held: str, takes: str, tmp_path: Path
) -> None:
    """One line and exit code 2, instead of supervisord's own words."""
    with pytest.raises(SettingsError, match=f"{name} is {held!r}: it takes {takes}"):
        supervise.environment({"XDG_STATE_HOME": str(tmp_path), name: held})


def test_what_supervisord_reads_comes_as_settings_do(tmp_path: Path) -> None:
    """From a file or with white space around it; the file's variable is gone then."""
    (tmp_path / "number").write_text("3\n", encoding="utf-8")
    complete = supervise.environment(
        {
            "MIRROR_RUN_DIR": "/tmp",  # exists
            "MIRROR_LOG_DIR": str(tmp_path),
            "MIRROR_LISTENERS_FILE": str(tmp_path / "number"),
            "MIRROR_JANITORS": " 4\n",
        }
    )
    assert (complete["MIRROR_LISTENERS"], complete["MIRROR_JANITORS"]) == ("3", "4")
    assert "MIRROR_LISTENERS_FILE" not in complete


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """As under a user id without a home: the line names the variable that mends it."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"MIRROR_LOG_DIR is .* cannot be made"):
        supervise.environment(
            {"MIRROR_RUN_DIR": "/tmp", "MIRROR_LOG_DIR": str(tmp_path / "file" / "x")}
        )


def test_a_user_is_named_only_where_one_is_set() -> None:
    """A container may run under a number without a name; root is named, as supervisord wants."""
    named = supervise.command({"MIRROR_USER": "mirror"})
    assert named[-2:] == ["-u", "mirror"]
    unnamed = supervise.command({})
    assert unnamed[-2:] == (["-u", "root"] if os.getuid() == 0 else ["-c", str(supervise.CONF)])


@pytest.mark.skipif(os.getuid() != 0, reason="only root may take another user id")
def test_supervisord_runs_under_a_number_without_a_name(tmp_path: Path) -> None:
    """As OpenShift assigns them: neither USER, LOGNAME nor an entry in passwd."""
    folder = Path(tempfile.mkdtemp(prefix="mirror-", dir="/tmp"))  # pytest's own is root's alone
    folder.chmod(0o777)
    nobody = 1_000_770_000
    # All that is imported is imported as root, which may be alone in reading it.
    code = (
        "import os; from mirror.supervision.supervise import command, environment; "
        "import supervisor.rpcinterface; from supervisor.options import ServerOptions; "
        f"os.setgroups([]); os.setgid({nobody}); os.setuid({nobody}); "
        "environ = environment(os.environ); os.environ.update(environ); "
        "o = ServerOptions(); o.realize(args=command()[3:]); print(o.uid, os.getuid())"
    )
    try:
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env={
                "PATH": os.environ["PATH"],
                "HOME": "/",
                "MIRROR_RUN_DIR": str(folder / "run"),
                "MIRROR_LOG_DIR": str(folder / "log"),
            },
            cwd=Path(supervise.__file__).parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    assert (result.returncode, result.stdout.split()) == (0, ["None", str(nobody)]), result.stderr
