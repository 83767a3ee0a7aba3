"""Shell completion: the script is one that its shell takes, and it completes our words."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.console import environ

BIN = Path(sys.executable).parent
ENVIRON = environ.ENVIRON | {"PATH": f"{BIN}:{environ.ENVIRON['PATH']}"}


def _run(*words: str, **environ: str) -> str:
    result = subprocess.run(
        words, env={**ENVIRON, **environ}, capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_of_its_shell(shell: str) -> None:
    """It asks the console script by the variable that click answers to."""
    script = _run("mirror", "completion", shell)
    assert f"_MIRROR_COMPLETE={shell}_complete" in script
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script, text=True, check=True, timeout=60)


def test_bash_completes_commands_and_options() -> None:
    """A real bash sources the script and gets what fits."""
    ask = (
        'source <(mirror completion bash); COMP_WORDS=(mirror "$1" "$2"); COMP_CWORD=$3; '
        '_mirror_completion mirror; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    assert _run("bash", "-c", ask, "bash", "sta", "", "1").split() == ["status"]
    assert "--dedupe" in _run("bash", "-c", ask, "bash", "tail", "--d", "2").split()
