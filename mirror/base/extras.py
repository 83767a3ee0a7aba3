"""Packages that come with an extra of the installation: one clear line where one is missing.

The project is installed from a checkout; its name is in no registry, so no line may tell people to
install it by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mirror.base.errors import MirrorError


def how_to_install(extra: str) -> str:
    """What to do to have an extra, as the end of a line."""
    return f"in the checkout run pip install -c constraints.txt '.[{extra}]'"


@contextmanager
def needed_for(what: str, extra: str) -> Iterator[None]:
    """Turn a package that cannot be imported into a `MirrorError` that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MirrorError(
            f"{what} needs the package {error.name}, which is not installed: "
            f"{how_to_install(extra)}"
        ) from error
