"""`python -m janitor`: the same as `mirror janitor`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mirror.runtime.command import program, run

if TYPE_CHECKING:
    from mirror.settings import Settings


@program("janitor")
def janitor(settings: Settings) -> int:
    """Verify conversations that stay active too long; fill gaps."""
    from janitor.program import main

    return main(settings)


if __name__ == "__main__":
    sys.exit(run(janitor, sys.argv[1:], "mirror janitor"))
