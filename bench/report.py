"""What every benchmark prints: where it ran, medians with their spread, and a table.

Measurements that are compared are taken in turn (`interleaved`), so that whatever else the machine
does disturbs all of them alike, and each is told with its spread: a median alone hides a noisy
machine.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

Subject = TypeVar("Subject")
Result = TypeVar("Result")

ROOT = Path(__file__).parents[1]


def conditions() -> str:
    """One line: processor, cores, Python, load, and the commit that was measured."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = (line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines())
        model = next((name for name in names if "GHz" in name or "EPYC" in name), model)
    return (
        f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"{platform.system()}, Python {platform.python_version()}, commit {commit()}"
    )


def commit() -> str:
    """The short id of what is checked out, `+` where files differ from it."""
    argv = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that a process has used, all threads (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Its resident memory, MB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def interleaved(
    subjects: Sequence[Subject],
    runs: int,
    measure: Callable[[Subject], Result],
    *,
    warm_up: Sequence[Subject] = (),
) -> dict[Subject, list[Result]]:
    """`runs` results of each subject, taken in turn; `warm_up` before them does not count, and lets
    what all share (a broker) get warm."""
    for subject in warm_up:
        measure(subject)
    results: dict[Subject, list[Result]] = {subject: [] for subject in subjects}
    for _ in range(runs):
        for subject in subjects:
            results[subject].append(measure(subject))
    return results


def middle(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """How far the runs lie apart: the whole range as a share of the median."""
    centre = statistics.median(values)
    return f"±{(max(values) - min(values)) / 2 / centre:.0%}" if centre else "-"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as they need to be; the first one left-aligned, the others right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
