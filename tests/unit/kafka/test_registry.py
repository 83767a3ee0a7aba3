"""A registry that never ends its answer costs no more than the time-out. Calls go through the proxy
that docs/tls.md names."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from harness.process import free_ports
from mirror.base.errors import RegistryUnavailable
from mirror.base.log import capture_logs
from mirror.kafka import registry
from mirror.settings import Settings, load
from tests.services.connect_proxy import ConnectProxy

pytest.importorskip("httpx2")

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
# Of each kind of answer, what comes at once; byte after byte follows, each in time for a read.
ANSWERS = {
    "status line": b"",
    "header": b"HTTP/1.1 200 OK\r\nX: ",
    "body": HEAD + b"Content-Length: 1000\r\n\r\n[",
    "chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n[",
}
PAUSE_SECONDS = 0.05


@pytest.fixture(params=list(ANSWERS.values()), ids=list(ANSWERS))
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings with a registry that answers slowly for as long as the test lasts."""
    ended = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def trickle(made: socket.socket) -> None:
        with made:
            try:
                made.recv(65_536)
                made.sendall(request.param)
                while not ended.wait(PAUSE_SECONDS):
                    made.sendall(b"1")
            except OSError:
                return

    def serve() -> None:
        while True:
            try:
                made, _ = server.accept()
            except OSError:  # the test has ended
                return
            threads.append(threading.Thread(target=trickle, args=(made,), daemon=True))
            threads[-1].start()

    threads = [threading.Thread(target=serve, daemon=True)]
    threads[0].start()
    yield load(
        {
            "GENESYS_CLIENT_ID": "a",
            "GENESYS_CLIENT_SECRET": "b",
            "SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{server.getsockname()[1]}",
        }
    )
    ended.set()
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    for thread in threads:
        thread.join(5.0)


def test_an_answer_that_does_not_end_is_late(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever part of it comes byte by byte: registering ends in time, and so does the check."""
    monkeypatch.setattr(registry, "CALL_SECONDS", 0.3)
    monkeypatch.setattr(registry, "LEAST_CALL_SECONDS", 0.1)
    started = time.monotonic()
    with pytest.raises(RegistryUnavailable, match="no whole answer in time"):
        registry.register(settings, 0.3)
    with pytest.raises(RegistryUnavailable, match="no whole answer in time"):
        registry.reach(settings)
    assert time.monotonic() - started < registry.ANSWER_SECONDS


def test_the_log_says_what_a_start_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each attempt, under a name like those of the other services."""
    monkeypatch.setattr(registry, "PAUSE_SECONDS", 0.05)
    (port,) = free_ports(1)
    away = load({"SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{port}"})
    with capture_logs() as lines, pytest.raises(RegistryUnavailable, match="does not answer"):
        registry.register(away, 0.5)
    assert {line["event"] for line in lines} == {"waiting_for_registry"}


@pytest.mark.parametrize(
    ("scheme", "variable", "excluded", "is_asked"),
    [
        ("https", "HTTPS_PROXY", "", True),
        ("https", "ALL_PROXY", "", True),
        ("https", "HTTP_PROXY", "", False),
        ("http", "HTTP_PROXY", "", True),
        ("http", "HTTPS_PROXY", "", False),
        ("https", "HTTPS_PROXY", "127.0.0.1", False),
        ("https", "HTTPS_PROXY", "127.0.0.0/8", False),
        ("https", "HTTPS_PROXY", "*", False),
        ("https", "HTTPS_PROXY", "registry.example", True),
    ],
)
def test_it_goes_through_the_proxy_that_the_docs_name(
    scheme: str, variable: str, excluded: str, is_asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/tls.md, "A proxy": by the rules of its client's HTTP library; nobody listens there."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    settings = load({"SCHEMA_REGISTRY_URL": f"{scheme}://127.0.0.1:1"})
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    with ConnectProxy(answer=refusal) as proxy:
        monkeypatch.setenv(variable, proxy.url())
        monkeypatch.setenv("NO_PROXY", excluded)
        with pytest.raises(RegistryUnavailable):
            registry.reach(settings)
        assert bool(proxy.asked) == is_asked


def test_a_proxy_is_named_where_it_may_be_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is set for Genesys may refuse the registry."""
    with ConnectProxy(answer=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url())
        with pytest.raises(RegistryUnavailable, match=r"\(ProxyError\): .* any proxy"):
            registry.reach(load({"SCHEMA_REGISTRY_URL": "https://127.0.0.1:1"}))
