"""The server of `/metrics` and `/healthz`: who connects takes little, and who asks is answered."""

from __future__ import annotations

import gzip
import http.client
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry

from harness.process import free_ports
from mirror.base.errors import SettingsError
from mirror.base.health import Health
from mirror.runtime.metrics import LISTENER, counter
from mirror.runtime.serving import Answer, Request, Server, listen, parse, render, respond
from mirror.runtime.telemetry import Telemetry

SECONDS = 10.0
FRAMES = LISTENER["frames"]
LONG = b"x" * 3_000_000
HUGE = b"x" * 50_000_000  # more than the buffers of two sockets hold


def handler(request: Request) -> Answer:
    """What is asked for: a long answer, a failure, or what was understood."""
    if request.path == "/bug":
        raise ValueError("a bug")
    if request.path in {"/long", "/huge"}:
        return Answer(200, LONG if request.path == "/long" else HUGE)
    return Answer(200, f"{request.path} {request.query}".encode())


def serve(**limits: float) -> tuple[Server, int]:
    """A server on loopback that runs, and its port."""
    listening = listen(["127.0.0.1"], 0)
    server = Server(listening, handler, **limits)  # type: ignore[arg-type] # what a test names
    server.start()
    return server, listening[0].getsockname()[1]


@pytest.fixture
def served() -> Iterator[tuple[Server, int]]:
    """A server that takes four connections."""
    server, port = serve(most=4)
    yield server, port
    server.close()


def ask(port: int, path: str = "/", host: str = "127.0.0.1") -> tuple[int, bytes]:
    """Status and body."""
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def connected(port: int) -> socket.socket:
    """A connection that asks nothing."""
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)


def is_closed(made: socket.socket) -> bool:
    """Whether the other side closes within the deadline."""
    try:
        return made.recv(1) == b""
    except ConnectionError:
        return True


def read_out(made: socket.socket) -> int:
    """How many bytes come until the other side closes."""
    received = 0
    try:
        while data := made.recv(1 << 20):
            received += len(data)
    except ConnectionError:
        pass
    return received


def test_a_head_is_read_as_it_comes() -> None:
    """Method, path, query, and headers by their names in lower case."""
    head = b"GET /metrics?name%5B%5D=a HTTP/1.1\r\nHost: x\r\nAccept-Encoding:  gzip"
    request = parse(head)
    assert request == Request(
        "GET", "/metrics", "name%5B%5D=a", {"host": "x", "accept-encoding": "gzip"}
    )
    for broken in (b"", b"GET /", b"\x16\x03\x01\x02", b"GET / SPDY/3", b"GET //[ HTTP/1.1"):
        assert parse(broken) is None


def test_what_is_no_question_is_refused() -> None:
    """Garbage with 400, other methods with 405; HEAD has no body."""
    assert respond(b"hello", handler).startswith(b"HTTP/1.1 400 ")
    assert respond(b"POST / HTTP/1.1", handler).startswith(b"HTTP/1.1 405 ")
    assert respond(b"HEAD / HTTP/1.1", handler).endswith(b"\r\n\r\n")
    assert render(Answer(404, b"no")).endswith(b"\r\n\r\nno")


def test_many_ask_at_once(served: tuple[Server, int]) -> None:
    """Also for answers that are longer than a socket's buffer."""
    _, port = served
    found: list[tuple[int, int]] = []

    def look() -> None:
        status, body = ask(port, "/long")
        found.append((status, len(body)))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert found == [(200, len(LONG))] * 4


def test_a_request_may_come_in_pieces(served: tuple[Server, int]) -> None:
    """The answer comes behind the empty line, and ends the connection."""
    _, port = served
    with connected(port) as made:
        for piece in (b"GET /a?b ", b"HTTP/1.1\r\nHo", b"st: x\r\n\r", b"\n"):
            made.sendall(piece)
        answer = b"".join(iter(lambda: made.recv(4096), b""))
    assert answer.endswith(b"/a b")


def test_a_bug_of_one_page_ends_nothing(served: tuple[Server, int]) -> None:
    """It is answered with 500; the next one is answered as usual."""
    _, port = served
    assert ask(port, "/bug")[0] == 500
    assert ask(port, "/")[0] == 200


def test_idle_connections_keep_nobody_out(served: tuple[Server, int]) -> None:
    """Beyond the bound the oldest that did not ask makes room."""
    server, port = served
    with ExitStack() as stack:
        idle = [stack.enter_context(connected(port)) for _ in range(20)]
        assert ask(port)[0] == 200
        assert server.connections <= 4
        assert all(map(is_closed, idle[:16]))


def test_half_a_request_has_a_deadline() -> None:
    """As has silence, and an answer that nobody reads."""
    server, port = serve(head_seconds=0.2, answer_seconds=0.2)
    try:
        with connected(port) as deaf, connected(port) as half, connected(port) as silent:
            deaf.sendall(b"GET /huge HTTP/1.1\r\n\r\n")
            half.sendall(b"GET / HTTP/1.1\r\nHost")
            assert is_closed(half)
            assert is_closed(silent)
            with connected(port) as later:
                assert is_closed(later)  # another deadline has passed
            assert read_out(deaf) < len(HUGE)
            assert ask(port)[0] == 200
    finally:
        server.close()


def test_an_endless_head_is_given_up(served: tuple[Server, int]) -> None:
    """At sixteen kibibytes."""
    _, port = served
    with connected(port) as made:
        with pytest.raises(ConnectionError):
            made.sendall(HUGE)
        assert is_closed(made)


def test_without_a_descriptor_to_spare_it_rests(served: tuple[Server, int]) -> None:
    """Nobody is accepted for a moment; what waits is answered once there is one again."""
    _, port = served
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with connected(port) as made:
        first_free = made.fileno() + 1
        waiting = socket.socket()
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + 1, hard))
        try:
            waiting.settimeout(SECONDS)
            waiting.connect(("127.0.0.1", port))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        waiting.sendall(b"GET /a HTTP/1.1\r\n\r\n")
        assert waiting.recv(15) == b"HTTP/1.1 200 OK"
        waiting.close()


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_all_addresses_are_those_of_both_families() -> None:
    """`::` and `0.0.0.0`, which a machine without IPv6 does not have; one port for both."""
    (port,) = free_ports(1)
    telemetry = Telemetry(port, CollectorRegistry(), lambda: Health("ok"))
    try:
        hosts = ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]
        assert [ask(port, "/healthz", host)[0] for host in hosts] == [200] * len(hosts)
    finally:
        telemetry.close()


def test_only_documented_series_are_served() -> None:
    """docs/metrics.md has no `_created`, which prometheus_client adds to counters by default."""
    (port,) = free_ports(1)
    registry = CollectorRegistry()
    counter(FRAMES, registry).inc()
    telemetry = Telemetry(port, registry, lambda: Health("ok"))
    try:
        status, body = ask(port, "/metrics")
    finally:
        telemetry.close()
    assert status == 200
    assert f"{FRAMES.name} 1.0".encode() in body
    assert b"_created" not in body


def test_a_process_that_is_down_may_live() -> None:
    """`/healthz` says whether it works, `/livez` whether another process would help."""
    (port,) = free_ports(1)
    hung: list[str] = []
    telemetry = Telemetry(
        port, CollectorRegistry(), lambda: Health("down", ("held",)), hung=lambda: hung
    )
    try:
        assert ask(port, "/healthz")[0] == 503
        assert ask(port, "/livez") == (200, b"lives\n")
        hung.append("the thread loop hangs")
        assert ask(port, "/livez") == (503, b"the thread loop hangs\n")
    finally:
        telemetry.close()


def test_an_address_of_choice_is_the_only_one() -> None:
    """`MIRROR_METRICS_HOST=127.0.0.2` answers there and nowhere else."""
    (port,) = free_ports(1)
    telemetry = Telemetry(port, CollectorRegistry(), lambda: Health("ok"), hosts=["127.0.0.2"])
    try:
        assert ask(port, "/healthz", "127.0.0.2")[0] == 200
        with pytest.raises(ConnectionRefusedError):
            ask(port, "/healthz", "127.0.0.1")
    finally:
        telemetry.close()


@pytest.mark.parametrize(
    "hosts", [("192.0.2.1",), ("127.0.0.1", "192.0.2.1"), ("no-such-host.invalid",)]
)
def test_an_address_of_another_machine_blames_the_hosts(hosts: tuple[str, ...]) -> None:
    """It is not this machine's, or it does not resolve: another port would not help."""
    (port,) = free_ports(1)
    with pytest.raises(SettingsError) as caught:
        Telemetry(port, CollectorRegistry(), lambda: Health("ok"), hosts=hosts)
    assert str(caught.value).startswith(f"MIRROR_METRICS_HOST is '{','.join(hosts)}', which ")
    assert "it takes addresses of this machine" in str(caught.value)


def test_a_port_that_is_taken_blames_the_port() -> None:
    """The address is this machine's."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError) as caught:
            Telemetry(port, CollectorRegistry(), lambda: Health("ok"), hosts=["127.0.0.1"])
    assert str(caught.value).startswith(f"MIRROR_METRICS_PORT is '{port}', which ")


def test_metrics_come_as_prometheus_asks_for_them() -> None:
    """Compressed, and those alone that it names."""
    (port,) = free_ports(1)
    telemetry = Telemetry(port, CollectorRegistry(), lambda: Health("ok"), hosts=["127.0.0.1"])
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        path = "/metrics?name%5B%5D=mirror_build_info"
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        text = gzip.decompress(answer.read()).decode()
        connection.close()
    finally:
        telemetry.close()
    assert "text/plain" in answer.headers["Content-Type"]
    assert "mirror_build_info{" in text
    assert "mirror_health" not in text


def test_a_server_closes_at_any_moment_of_its_turn() -> None:
    """Its thread may have ended before it is woken."""
    for _ in range(300):
        server, _ = serve()
        server._closing = True  # as when the thread is between two turns
        server._wake.send(b"x")
        server._thread.join(SECONDS)
        server.close()
