"""`python -m console.healthcheck`: asks `/healthz` of the process in the same container.

Exit code 0 if it is `ok` or `degraded` (a degraded process does its work, and a restart fixes
nothing), 1 if it is `down`, does not answer, or has no `MIRROR_METRICS_PORT`.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping
from typing import Final

from mirror.base.errors import EXIT_DONE, EXIT_FAILED, SettingsError
from mirror.settings.load import metrics_addresses

TIMEOUT_SECONDS: Final = 4.0


def check(environ: Mapping[str, str]) -> tuple[int, str]:
    """The exit code, and the answer of `/healthz`."""
    try:
        hosts, port = metrics_addresses(environ)
    except SettingsError as error:
        return EXIT_FAILED, str(error)
    if not port:
        return EXIT_FAILED, "MIRROR_METRICS_PORT is not set: health is served on it"
    code, text = EXIT_FAILED, ""
    for host in hosts:  # IPv4 or IPv6 may be missing here
        code, text, answered = _ask(host, port)
        if answered:
            break
    return code, text


def _ask(host: str, port: int) -> tuple[int, str, bool]:
    """The exit code, the answer, and whether the address answered."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return EXIT_FAILED, f"no answer at {host} on port {port}: {error}", False
    finally:
        connection.close()
    return (EXIT_DONE if answer.status == http.client.OK else EXIT_FAILED), text, True


def main() -> int:
    """Check, and print the result."""
    code, text = check(os.environ)
    sys.stdout.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
