"""`python -m listeners`: the same as `mirror listener`."""

from __future__ import annotations

import sys

from console import run

if __name__ == "__main__":
    sys.exit(run(["listener", *sys.argv[1:]]))
