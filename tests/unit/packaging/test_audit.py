"""The dependency audit: what fails a build, and what must not."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests import audit

TODAY = dt.date(2026, 11, 23)
REPORT = {
    "dependencies": [
        {"name": "sound", "version": "1.0", "vulns": []},
        {
            "name": "leaky",
            "version": "2.0",
            "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.1"]}],
        },
        {"name": "unheard-of", "skip_reason": "not found"},
    ]
}


class Database(ThreadingHTTPServer):
    """A vulnerability database that speaks OSV and knows a hole in every package it is told of."""

    leaky: frozenset[str] = frozenset()
    asked: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: Database

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = query["package"]["name"]
        self.server.asked.append(name)
        hole = {"id": "GHSA-xxxx", "summary": "a hole", "affected": [], "modified": "2026-01-01"}
        content = json.dumps({"vulns": [hole]} if name in self.server.leaky else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def database() -> Iterator[Database]:
    """A local database."""
    with Database(("127.0.0.1", 0), _Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def options(port: int) -> list[str]:
    """pip-audit's options that have it ask this port."""
    return ["-s", "osv", "--osv-url", f"http://127.0.0.1:{port}/v1/query", "--timeout", "3"]


def test_what_ships_is_audited_and_tools_are_not() -> None:
    """Dependencies of dependencies too."""
    packages = audit.shipped()
    assert {"urllib3", "redis", "confluent-kafka", "aiohttp", "multidict"} <= set(packages)
    assert not {"mypy", "pytest", "atheris", "interaction-mirror"} & set(packages)


def test_a_known_vulnerability_fails_the_build(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """pip-audit itself, asking a database that knows something."""
    database.leaky = frozenset({"urllib3"})
    assert audit.main(options(database.server_port)) == 1
    said = capsys.readouterr().out
    assert "VULNERABLE urllib3" in said
    assert "GHSA-xxxx" in said
    assert len(set(database.asked)) == len(audit.shipped())


def test_nothing_known_is_a_pass(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """And it says how many packages it asked about."""
    assert audit.main(options(database.server_port)) == 0
    count = len(audit.shipped())
    assert f"{count} of {count} packages audited" in capsys.readouterr().out


def test_nobody_to_ask_is_said_and_does_not_fail(capsys: pytest.CaptureFixture[str]) -> None:
    """A build without internet goes on, and cannot be mistaken for an audited one."""
    assert audit.main(options(9)) == 0
    assert "NOT AUDITED" in capsys.readouterr().out


def test_an_exception_needs_a_reason_and_ends() -> None:
    """By the id or an alias of it, up to its last day."""
    text = "# comment\nCVE-1 2026-11-23 not reachable here\nCVE-2 2026-11-22 was not either\n"
    accepted = audit.exceptions(text, TODAY)
    assert accepted == {"CVE-1"}
    with pytest.raises(ValueError, match="line 1"):
        audit.exceptions("CVE-1 2026-11-23", TODAY)
    with pytest.raises(ValueError, match="Invalid isoformat"):
        audit.exceptions("CVE-1 forever because", TODAY)
    assert audit.judge(REPORT, accepted) == audit.Verdict(
        [], ["leaky 2.0: PYSEC-1, fixed in 2.1"], ["unheard-of"]
    )
    assert audit.judge(REPORT, set()).known == ["leaky 2.0: PYSEC-1, fixed in 2.1"]


def test_the_exceptions_of_this_repository_are_in_form() -> None:
    """Each has its day and its reason."""
    audit.exceptions(audit.EXCEPTIONS.read_text(), TODAY)
