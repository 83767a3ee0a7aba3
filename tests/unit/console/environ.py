"""The environment of commands in tests: without the settings of whoever runs the tests."""

from __future__ import annotations

import os
import tempfile

ENVIRON = {
    "PATH": os.environ["PATH"],
    # Of the user who runs the tests: a home that others have used may be closed to him.
    "HOME": f"{tempfile.gettempdir()}/mirror-home-{os.getuid()}",
    "LC_ALL": "C.UTF-8",
}
