"""`make audit`: does a package that the mirror ships with have a known vulnerability?

Asks pip-audit about the installed version of everything that `interaction-mirror[sandbox,
dashboard]` brings in; tools of developers are left out, they see no customer data.

Exit codes: 0 nothing known, or nobody could be asked, which is said and must not stop a build ·
1 a known vulnerability that tests/audit-exceptions.txt does not accept until a later day · 2 that
file is not what it should be.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "interaction-mirror"
EXTRAS = ("sandbox", "dashboard")
EXCEPTIONS = Path(__file__).with_name("audit-exceptions.txt")
TIMEOUT_SECONDS = 120.0


class Verdict(NamedTuple):
    """What an audit found: accepted and other vulnerabilities, and who could not be asked about."""

    known: list[str]
    accepted: list[str]
    unasked: list[str]


def shipped(project: str = PROJECT, extras: Iterable[str] = EXTRAS) -> dict[str, str]:
    """Name → installed version of all that an installation brings in, itself left out."""
    found: dict[str, str] = {}
    todo: list[tuple[str, frozenset[str]]] = [(project, frozenset(extras))]
    seen = set(todo)
    while todo:
        name, wanted = todo.pop()
        for text in importlib.metadata.requires(name) or ():
            requirement = Requirement(text)
            marker = requirement.marker
            if marker and not any(marker.evaluate({"extra": extra}) for extra in ("", *wanted)):
                continue
            needed = canonicalize_name(requirement.name)
            found[needed] = importlib.metadata.version(needed)
            step = (needed, frozenset(requirement.extras))
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return found


def exceptions(text: str, today: dt.date) -> set[str]:
    """Ids that are accepted today, from lines of id, last day and reason.

    Raises `ValueError` for a line of another form. One whose day is over accepts nothing.
    """
    accepted = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(maxsplit=2)
        if len(words) < 3:
            raise ValueError(f"line {number}: an id, the last day (YYYY-MM-DD) and the reason")
        if dt.date.fromisoformat(words[1]) >= today:
            accepted.add(words[0])
    return accepted


def judge(report: Any, accepted: set[str]) -> Verdict:
    """pip-audit's JSON report against the exceptions."""
    verdict = Verdict([], [], [])
    for package in report["dependencies"]:
        if "skip_reason" in package:
            verdict.unasked.append(package["name"])
        for vulnerability in package.get("vulns", ()):
            line = (
                f"{package['name']} {package['version']}: {vulnerability['id']}, "
                f"fixed in {', '.join(vulnerability['fix_versions']) or 'no release yet'}"
            )
            is_accepted = accepted & {vulnerability["id"], *vulnerability.get("aliases", ())}
            (verdict.accepted if is_accepted else verdict.known).append(line)
    return verdict


def ask(packages: dict[str, str], options: Sequence[str]) -> Any | None:
    """pip-audit's report, None where it could not make one; its words go to stderr then."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "requirements.txt"
        pins.write_text("".join(f"{name}=={version}\n" for name, version in packages.items()))
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(pins), "--no-deps"]
        command += ["--disable-pip", "--format", "json", "--progress-spinner", "off", *options]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
            )
        except subprocess.TimeoutExpired:
            print(f"pip-audit took over {TIMEOUT_SECONDS:g} s", file=sys.stderr)
            return None
    try:
        return json.loads(ended.stdout)
    except ValueError:
        print("\n".join(ended.stderr.strip().splitlines()[-1:]), file=sys.stderr)
        return None


def main(options: Sequence[str]) -> int:
    """Audit, say what was found, and return the exit code. `options` go to pip-audit."""
    try:
        accepted = exceptions(EXCEPTIONS.read_text(), dt.datetime.now(dt.UTC).date())
    except ValueError as error:
        print(f"{EXCEPTIONS.name}: {error}", file=sys.stderr)
        return 2
    packages = shipped()
    report = ask(packages, options)
    if report is None:
        print(f"NOT AUDITED: no answer about {len(packages)} packages")
        return 0
    verdict = judge(report, accepted)
    for line in verdict.known:
        print(f"VULNERABLE {line}")
    for line in verdict.accepted:
        print(f"accepted {line}")
    if verdict.unasked:
        print(f"NOT AUDITED: no answer about {', '.join(sorted(verdict.unasked))}")
    print(f"{len(packages) - len(verdict.unasked)} of {len(packages)} packages audited")
    return 1 if verdict.known else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
