"""How many machine instructions a frame costs a listener: `python -m bench.instructions`.

What is counted, and how, stands in `harness/instructions.py`; a test holds the ratio of both.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from bench.report import conditions, table
from harness.instructions import CONVERSATIONS, SIZE, Cost, costs, is_possible
from harness.traffic import KINDS


def rows(found: Sequence[Cost]) -> Iterator[tuple[str, ...]]:
    """The table's lines."""
    for cost in found:
        native = "-" if cost.native is None else f"{cost.native:,.0f}"
        told = f"{cost.decode:,.0f}", f"{cost.listener:,.0f}", f"{cost.ratio:.2f}", native
        yield cost.traffic, *told


def main() -> None:
    """Count and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS)
    parser.add_argument("--traffic", default=",".join(KINDS))
    options = parser.parse_args()
    if not is_possible():
        sys.exit("valgrind is not here: on Debian, install valgrind")
    print(conditions())
    print(f"{options.conversations} conversations, frames of {SIZE} B; instructions a frame")
    kinds = [kind for kind in KINDS if kind in options.traffic.split(",")]
    found = costs(kinds, options.conversations)
    print(table(("traffic", "decode", "listener", "ratio", "native"), rows(found)))


if __name__ == "__main__":
    main()
