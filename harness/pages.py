"""What processes answer on their metrics ports."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

ANSWER_SECONDS = 5.0


def fetch(port: int, path: str, seconds: float = ANSWER_SECONDS) -> tuple[int, bytes]:
    """Status and body of a page, for any status. Raises `OSError` if nothing answers."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=seconds) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def ask(port: int, path: str) -> tuple[int, str]:
    """Status and text of a page; status 0 if nothing answers."""
    try:
        status, body = fetch(port, path)
    except OSError:
        return 0, ""
    return status, body.decode()


def health(port: int) -> dict[str, Any]:
    """The body of `/healthz`; empty if nothing answers."""
    body: dict[str, Any] = json.loads(ask(port, "/healthz")[1] or "{}")
    return body


def samples(metrics: bytes) -> dict[str, float]:
    """The samples of `/metrics`, by name and labels."""
    lines = metrics.decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}
