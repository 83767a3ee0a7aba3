"""Procfile and supervisord.conf run the same processes, and the console has them all."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import supervise
from mirror.cli import cli
from mirror.errors import SettingsError

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
    numbers = "{'watchdog': 1, 'coordinator': 1, 'listener': 3, 'janitor': 1, 'dashboard': 1}"
    assert result.stdout.strip() == numbers


def test_a_run_directory_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    """supervisord's own words for it name neither the variable nor the cure."""
    with pytest.raises(SettingsError, match="MIRROR_RUN_DIR"):
        supervise.environment({"MIRROR_RUN_DIR": str(tmp_path / ("x" * 80))})
