"""`python -m listeners`: the same as `mirror listener`."""

from __future__ import annotations

import sys

from listeners.service import main
from mirror.errors import MirrorError
from mirror.settings import load


def run() -> int:
    """Exit code of a listener with the environment's settings."""
    try:
        return main(load())
    except MirrorError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(run())
