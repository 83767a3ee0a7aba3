"""Asks the simulator what its queues are called, for the dashboard.

The dashboard never talks to Genesys: it takes names from a file (`MIRROR_DASHBOARD_NAMES`).
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final

import msgspec
import urllib3

from harness.embedded import CLIENTS, Services
from mirror.base.errors import DependencyError

_TIMEOUT: Final = 10.0


def write_queue_names(services: Services, path: Path) -> None:
    """Write `{"<queue id>": "name"}`. Raises `DependencyError` where the simulator does not say."""
    credentials = base64.b64encode(CLIENTS.split(",")[0].encode()).decode()
    token = _ask(
        services,
        "POST",
        "/oauth/token",
        {"Authorization": f"Basic {credentials}"},
        b"grant_type=client_credentials",
    )["access_token"]
    listing = "/api/v2/routing/queues?pageSize=500"
    queues = _ask(services, "GET", listing, {"Authorization": f"Bearer {token}"})["entities"]
    path.write_bytes(msgspec.json.encode({queue["id"]: queue["name"] for queue in queues}))


def _ask(
    services: Services, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> Any:
    url = services.simulator_url + path
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        answer = urllib3.request(
            method, url, headers=headers, body=body, timeout=_TIMEOUT, retries=False
        )
    except urllib3.exceptions.HTTPError as error:
        raise DependencyError(f"the simulator at {url} does not answer: {error}") from error
    if answer.status != 200:
        raise DependencyError(f"the simulator at {url} answered {answer.status}")
    return msgspec.json.decode(answer.data)
