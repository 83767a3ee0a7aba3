"""`python -m janitor`: the same as `mirror janitor`."""

from __future__ import annotations

import sys

from janitor.service import main
from mirror.errors import MirrorError
from mirror.settings import load


def run() -> int:
    """Exit code of a janitor with the environment's settings."""
    try:
        return main(load())
    except MirrorError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(run())
