"""`python -m coordinator`: the same as `mirror coordinator`."""

from __future__ import annotations

import sys

from coordinator.service import main
from mirror.errors import MirrorError
from mirror.settings import load

if __name__ == "__main__":
    try:
        code = main(load())
    except MirrorError as error:
        sys.stderr.write(f"{error}\n")
        code = error.exit_code
    sys.exit(code)
