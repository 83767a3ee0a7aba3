"""Optional packages, installed by an extra: one clear line when such a package is missing.

The project is installed from a clone. Its name is in no registry, so no message may tell people
to install it by name.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mirror.base.errors import MirrorError


def how_to_install(extra: str) -> str:
    """How to install an extra, as the end of a sentence. It names our own Python: a `pip` on the
    PATH may be that of another environment."""
    python = shlex.quote(sys.executable)
    return f"in the clone run {python} -m pip install -c constraints.txt '.[{extra}]'"


@contextmanager
def needed_for(feature: str, extra: str) -> Iterator[None]:
    """Turn an `ImportError` into a `MirrorError` that says how to install the package."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MirrorError(
            f"{feature} needs the package {error.name}, which is not installed: "
            f"{how_to_install(extra)}"
        ) from error
