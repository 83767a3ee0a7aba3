"""`python -m projector`: the same as `mirror projector`."""

from __future__ import annotations

import sys

from console import run

if __name__ == "__main__":
    sys.exit(run(["projector", *sys.argv[1:]]))
