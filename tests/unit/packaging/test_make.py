"""The Makefile: what the README tells people to type exists, and failures are one clear line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TARGETS = ("demo", "test", "lint", "kafka", "bench", "chaos", "fuzz", "clean", "help")


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run make in `folder` and return what it said."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what make needs, and no environment in it."""
    for name in ("Makefile", "setup.cfg", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_bare_make_lists_every_target() -> None:
    """`make` alone changes nothing and names each target with a line on it."""
    answer = make()
    assert answer.returncode == 0
    listed = dict(re.findall(r"^  make ([a-z-]+) +(.+)$", answer.stdout, re.MULTILINE))
    assert set(TARGETS) <= set(listed)
    assert all(listed.values())


def test_demo_hands_over_its_seconds() -> None:
    """`make demo SECONDS=20` runs the sandbox for 20 seconds, without the word until Ctrl-C."""
    assert "mirror sandbox --demo --seconds 20\n" in make("-n", "demo", "SECONDS=20").stdout
    assert "mirror sandbox --demo \n" in make("-n", "demo").stdout


def test_environment_is_made_once(checkout: Path) -> None:
    """With the stamps newer than what they depend on, there is nothing to do; older, there is."""
    environment = checkout / ".venv"
    environment.mkdir()
    for stamp in (".created", ".ready-demo", ".ready-dev"):
        (environment / stamp).touch()
    assert make("-q", ".venv/.ready-dev", folder=checkout).returncode == 0
    later = (environment / ".ready-dev").stat().st_mtime_ns + 10**9
    os.utime(checkout / "constraints.txt", ns=(later, later))
    assert make("-q", ".venv/.ready-dev", folder=checkout).returncode == 1


def test_without_python_it_says_so(checkout: Path) -> None:
    """No interpreter that is new enough: one line with the cure, and nothing made."""
    answer = make("demo", "PYTHON=", folder=checkout)
    assert answer.returncode != 0
    assert "no Python 3.11 or newer found" in answer.stderr
    assert not (checkout / ".venv").exists()


def test_without_the_venv_module_it_says_so(checkout: Path, tmp_path: Path) -> None:
    """Debian's Python without python3-venv: one line that names the package."""
    python = tmp_path / "python-without-venv"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    answer = make("demo", f"PYTHON={python}", folder=checkout)
    assert answer.returncode != 0
    assert "on Debian install python3-venv" in answer.stderr


def test_tests_and_chaos_fetch_kafka_first() -> None:
    """On a fresh machine the tests that need Kafka run, and one without network still tests."""
    for words, runs in ((["test"], 3), (["test", "ARGS=-k spool"], 1), (["chaos"], 1)):
        fetch, *rest = make("-n", *words).stdout.splitlines()[-1 - runs :]
        assert fetch.endswith("-m harness.kafka_install --or-skip")
        assert all(" -m pytest" in run for run in rest)


def test_each_test_runs_in_one_stage() -> None:
    """`make test` runs unit tests, then all integration tests in two parts, each of which runs
    again what failed in it."""
    unit, *parts = make("-n", "test").stdout.splitlines()[-3:]
    assert unit.endswith(" -m pytest tests/unit -n auto")
    first, again = zip(*(part.split(" || ") for part in parts), strict=True)
    assert first[0].endswith(' -m pytest tests/integration -n 3 --dist loadfile -m "not alone"')
    assert first[1].endswith(" -m pytest tests/integration -m alone")
    assert all(" tests/integration --last-failed " in run for run in again)
    assert again[0].endswith(' -m "not alone"; }')
    assert again[1].endswith(" -m alone; }")


STAGE = """
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone


def test_of_a_first_run() -> None:
    assert not Path("first").exists()


def test_that_breaks_off() -> None:
    if Path("breaks").exists():
        os._exit(139)
"""


@pytest.mark.slow
def test_a_run_that_breaks_off_fails(tmp_path: Path) -> None:
    """Although the tests that failed in an earlier run, and only those are known, pass by now."""
    command = make("-n", "test").stdout.splitlines()[-1].partition(" -m pytest ")[2]
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    stage = tmp_path / "tests" / "integration" / "test_stage.py"
    stage.parent.mkdir(parents=True)
    stage.write_text(STAGE)

    def code(*files: str) -> int:
        """The exit code of the stage while these files exist."""
        for name in ("first", "breaks"):
            (tmp_path / name).unlink(missing_ok=True)
        for name in files:
            (tmp_path / name).touch()
        line = f".venv/bin/python -m pytest {command}"
        return subprocess.run(["sh", "-c", line], cwd=tmp_path, check=False, timeout=60).returncode

    assert code() == 0
    assert code("first") != 0
    assert code("breaks") != 0
    assert code() == 0


def test_only_the_folder_marks_tests_as_chaos() -> None:
    """`make test` runs no test with this mark, and `make chaos` runs only its own folder."""
    mark = "mark." + "chaos"
    marked = [path for path in (ROOT / "tests").rglob("*.py") if mark in path.read_text("utf-8")]
    assert not [path for path in marked if path.parent.name != "chaos"]
