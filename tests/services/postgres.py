"""A PostgreSQL server for tests, on a socket of its own: what Debian's `postgresql` installs."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

START_SECONDS = 60.0
USER = "postgres"  # the server refuses to run as root; Debian's package brings this user


class PostgresUnavailable(Exception):
    """No server is installed; the message says how to get one."""


class PostgresServer:
    """One cluster in a folder of its own. Use as a context manager; `url` leads to it.

    The folder is not below pytest's: where tests run as root, the server's user cannot enter those.
    """

    def __init__(self) -> None:
        candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
        found = str(candidates[-1]) if candidates else shutil.which("pg_ctl")
        if found is None:
            raise PostgresUnavailable("no PostgreSQL server: install postgresql")
        self._control = found
        self._folder = Path(tempfile.mkdtemp(prefix="mirror-postgres-"))
        self._user = USER if os.geteuid() == 0 else None
        self.url = f"postgresql://{USER}@/postgres?host={self._folder}"

    def __enter__(self) -> Self:
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        self._run("init", "-o", f"--auth=trust --username={USER} --no-sync")
        options = f"-k {self._folder} -c listen_addresses= -c fsync=off"
        self._run("start", "-w", "-l", str(self._folder / "log"), "-o", options)
        return self

    def __exit__(self, *_: object) -> None:
        self._run("stop", "-m", "immediate")
        shutil.rmtree(self._folder)

    def _run(self, *words: str) -> None:
        subprocess.run(
            [self._control, *words, "-D", str(self._folder / "data")],
            user=self._user,
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=START_SECONDS,
        )
