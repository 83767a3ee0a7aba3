"""`python -m listeners`: the same as `mirror listener`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mirror.runtime.command import program, run

if TYPE_CHECKING:
    from mirror.settings import Settings


@program("listener")
def listener(settings: Settings) -> int:
    """Hold channels and produce their events to Kafka."""
    from listeners.program import main

    return main(settings)


if __name__ == "__main__":
    sys.exit(run(listener, sys.argv[1:], "mirror listener"))
