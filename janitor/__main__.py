"""`python -m janitor`: the same as `mirror janitor`."""

from __future__ import annotations

import sys

from console import run

if __name__ == "__main__":
    sys.exit(run(["janitor", *sys.argv[1:]]))
