"""`python -m coordinator`: the same as `mirror coordinator`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mirror.runtime.command import program, run

if TYPE_CHECKING:
    from mirror.settings import Settings


@program("coordinator")
def coordinator(settings: Settings) -> int:
    """Share out channels, watch listeners, track conversations."""
    from coordinator.program import main

    return main(settings)


if __name__ == "__main__":
    sys.exit(run(coordinator, sys.argv[1:], "mirror coordinator"))
