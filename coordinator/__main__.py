"""`python -m coordinator`: the same as `mirror coordinator`."""

from __future__ import annotations

import sys

from console import run

if __name__ == "__main__":
    sys.exit(run(["coordinator", *sys.argv[1:]]))
