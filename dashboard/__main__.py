"""`python -m dashboard`: the same as `mirror dashboard`."""

from __future__ import annotations

import sys

from console import run

if __name__ == "__main__":
    sys.exit(run(["dashboard", *sys.argv[1:]]))
