"""Puts the table of a `make chaos` run into docs/proof.md.

    make chaos | tee chaos.log
    python -m docs.build.proof_table chaos.log COMMIT

Reads the last table of the log (`tests/chaos/trial.py` prints it) and replaces what stands between
the marks `chaos: begin` and `chaos: end` of the page. Problems below a row are left out: a row
that failed is shown as failed, and the page says by hand why.
"""

from __future__ import annotations

import re
import statistics
from pathlib import Path
from typing import Annotated, Final

import click
import msgspec

PAGE: Final = Path(__file__).parents[1] / "proof.md"
BEGIN: Final = "<!-- chaos: begin -->"
END: Final = "<!-- chaos: end -->"
COUNTS: Final = 12
_HEAD: Final = re.compile(r"^fault +events +missing ")
_ROW: Final = re.compile(
    rf"^(?P<fault>\S.*?) +(?P<counts>\d+(?: +\d+){{{COUNTS - 1}}})"
    r" +(?P<lasted>[\d.]+) s +(?P<recovery>[\d.]+) s +(?P<verdict>\w+)$"
)

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Trial(msgspec.Struct, frozen=True):
    """One row: counts as the run printed them, times in seconds."""

    fault: str
    events: int
    missing: int
    invented: int
    altered: int
    disordered: int
    late: int
    copies: int
    window: int
    unprojected: int
    twice: int
    views: int
    gaps: int
    lasted: Seconds
    recovery: Seconds
    verdict: str


def trials(log: str) -> list[Trial]:
    """The rows of the last table in a log. Raises `ValueError` if the log has no table."""
    found: list[Trial] | None = None
    for line in log.splitlines():
        if _HEAD.match(line):
            found = []
        elif found is not None and (match := _ROW.match(line)):
            counts = dict(zip(Trial.__struct_fields__[1:], match["counts"].split(), strict=False))
            found.append(msgspec.convert(counts | match.groupdict(), Trial, strict=False))
    if not found:
        raise ValueError("no table of faults in it: give the output of `make chaos`")
    return found


def wrong(trial: Trial) -> str:
    """What must be 0, in words where it is not."""
    counts = {
        "missing": trial.missing,
        "invented": trial.invented,
        "altered": trial.altered,
        "out of order": trial.disordered,
        "not projected": trial.unprojected,
        "projected twice": trial.twice,
        "wrong views": trial.views,
    }
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "0"


def block(found: list[Trial], commit: str) -> str:
    """What stands between the marks: a summary and the table."""
    recoveries = sorted(trial.recovery for trial in found)
    failed = sum(trial.verdict != "ok" for trial in found)
    sums = {
        name: sum(getattr(trial, name) for trial in found)
        for name in Trial.__struct_fields__[1 : COUNTS + 1]
    }
    summary = (
        f"Commit {commit}: {len(found)} faults, {failed} failed."
        f" Of {sums['events']:,} events {sums['missing']} were missing,"
        f" {sums['invented']} invented, {sums['altered']} altered"
        f" and {sums['disordered']} out of order;"
        f" {sums['late']} came late, and {sums['window']} were lost while no socket received them."
        f" {sums['unprojected']} were not in the once topic, {sums['twice']} were in it twice,"
        f" and {sums['views']} views were wrong."
        f" Recovery: half within {statistics.median(recoveries):.1f} s,"
        f" the longest {recoveries[-1]:.1f} s."
    )
    lines = [
        BEGIN,
        summary,
        "",
        "| fault | events | wrong | late | window | gaps | lasted | recovery | |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    lines += [
        f"| {trial.fault} | {trial.events:,} | {wrong(trial)} | {trial.late} | {trial.window}"
        f" | {trial.gaps} | {trial.lasted:.1f} s | {trial.recovery:.1f} s | {trial.verdict} |"
        for trial in found
    ]
    return "\n".join([*lines, END])


def replaced(page: str, text: str) -> str:
    """The page with another block between its marks. Raises `ValueError` where they are not."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"the page needs {BEGIN} and {END}, once each")
    return page[: page.index(BEGIN)] + text + page[page.index(END) + len(END) :]


@click.command()
@click.argument("log", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("commit")
def main(log: Path, commit: str) -> None:
    """Put the table of LOG, measured at COMMIT, into docs/proof.md."""
    text = log.read_text(encoding="utf-8")
    try:
        page = replaced(PAGE.read_text(encoding="utf-8"), block(trials(text), commit))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
