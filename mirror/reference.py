"""Pages of the documentation that are made from code: `python -m mirror.reference` writes them.

A test holds each page to what this makes, so that none can fall behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from mirror.metrics import ALL, Described

DOCS: Final = Path(__file__).parent.parent / "docs"


def metrics_page() -> str:
    """docs/metrics.md: every metric with its labels and meaning."""
    lines = [
        "# Metrics",
        "",
        "Made from `mirror/metrics.py` by `python -m mirror.reference`. Each process serves",
        "`/metrics` and `/healthz` on `MIRROR_METRICS_PORT`; under `mirror up` each adds its own",
        "offset to it (docs/settings.md). Counters begin at zero with the process. What a",
        "coordinator tells of the fleet is the leader's; the others tell 0: take `max` over them.",
        "The usual `process_…` metrics (CPU, memory, open files, start) are there too.",
    ]
    for heading, metrics in ALL.items():
        lines += [
            "",
            f"## {heading}",
            "",
            "| metric | kind | labels | meaning |",
            "|---|---|---|---|",
        ]
        lines += [_row(metric) for metric in metrics]
    return "\n".join(lines) + "\n"


def _row(metric: Described) -> str:
    labels = "; ".join(
        f"`{name}`: {', '.join(value for value in values)}" for name, values in metric.labels
    )
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |"


PAGES: Final[Mapping[str, Callable[[], str]]] = {"metrics.md": metrics_page}


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
