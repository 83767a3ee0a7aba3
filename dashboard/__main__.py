"""`python -m dashboard`: the same as `mirror dashboard`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from mirror.base.errors import MirrorError
from mirror.runtime.command import program, run

if TYPE_CHECKING:
    from mirror.settings import Settings


@program("dashboard")
def dashboard(settings: Settings) -> int:
    """Show the contact centre and the mirror in a browser, live."""
    try:
        from dashboard.program import main
    except ModuleNotFoundError as error:
        raise MirrorError(
            f"the dashboard needs the package {error.name}: "
            "pip install 'interaction-mirror[dashboard]'"
        ) from error
    return main(settings)


if __name__ == "__main__":
    sys.exit(run(dashboard, sys.argv[1:], "mirror dashboard"))
