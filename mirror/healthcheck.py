"""`python -m mirror.healthcheck`: asks `/healthz` of the process in the same container.

Exit code 0 where it is `ok` or `degraded` (a degraded process does its work, and starting it again
mends nothing), 1 where it is `down`, answers nothing, or has no `MIRROR_METRICS_PORT`.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping
from typing import Final

from mirror.errors import EXIT_DONE, EXIT_FAILED, SettingsError
from mirror.settings.load import metrics_address

TIMEOUT: Final = 4.0


def check(environ: Mapping[str, str]) -> tuple[int, str]:
    """The exit code, and what `/healthz` said."""
    try:
        host, port = metrics_address(environ)
    except SettingsError as error:
        return EXIT_FAILED, str(error)
    if not port:
        return EXIT_FAILED, "MIRROR_METRICS_PORT is not set: health is served on it"
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return EXIT_FAILED, f"no answer on port {port}: {error}"
    finally:
        connection.close()
    return (EXIT_DONE if answer.status == http.client.OK else EXIT_FAILED), text


def main() -> int:
    """Check, and say what was found."""
    code, text = check(os.environ)
    sys.stdout.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
