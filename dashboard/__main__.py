"""`python -m dashboard`: the same as `mirror dashboard`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mirror.base.extras import needed_for
from mirror.runtime.command import program, run

if TYPE_CHECKING:
    from mirror.settings import Settings


@program("dashboard")
def dashboard(settings: Settings) -> int:
    """Show the contact centre and the mirror in a browser, live."""
    with needed_for("the dashboard", "dashboard"):
        from dashboard.program import main
    return main(settings)


if __name__ == "__main__":
    sys.exit(run(dashboard, sys.argv[1:], "mirror dashboard"))
