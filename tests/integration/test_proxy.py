"""A company's proxy: REST and WebSockets both go by it, or both not; what it says is told."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness.process import free_ports
from harness.simulated import Simulated, simulated
from mirror.base.errors import GenesysUnavailable, SettingsError
from mirror.genesys import http
from mirror.genesys.client import GenesysClient
from mirror.genesys.sockets import open_socket, tls_context
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.settings import Settings, load
from tests.services.certificates import Authority
from tests.services.connect_proxy import ConnectProxy

HOST = "api.corp.test"  # which nobody but the proxy can resolve
LOGIN = "me:p%40ss-S3cret"
VARIABLES = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture
def org(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulated]:
    """An org over TLS whose certificate names `HOST` and 127.0.0.1."""
    own = authority.server(HOST, "127.0.0.1")
    options = ("--tls-cert", str(own.cert), "--tls-key", str(own.key), "--no-autostart")
    trust = ssl.create_default_context(cafile=authority.path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    with simulated(tmp_path / "org", *options, login=False, tls=trust) as org:
        yield org


def port_of(org: Simulated) -> int:
    """Where the org really listens."""
    return urlsplit(org.url).port or 0


def settings_of(org: Simulated, host: str = HOST) -> Settings:
    """A mirror of that org, under that name."""
    return load(
        {
            "GENESYS_API_URL": f"https://{host}:{port_of(org)}",
            "GENESYS_LOGIN_URL": f"https://{host}:{port_of(org)}",
            "GENESYS_CLIENT_ID": org.client,
            "GENESYS_CLIENT_SECRET": org.secret,
        }
    )


def client_of(settings: Settings) -> GenesysClient:
    """Its client, with a budget of its own."""
    return GenesysClient(settings, settings.clients[0], RateBudget(None, Keys("default"), "a"))


def test_rest_and_sockets_both_go_by_the_proxy(
    org: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token, channel and socket, with the login of the URL; the proxy sees host and port alone."""
    with ConnectProxy({HOST: port_of(org)}, login="me:p@ss-S3cret") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url(LOGIN))
        channel = client_of(settings_of(org)).create_channel()
        asked_for_rest = len(proxy.asked)
        assert asked_for_rest >= 1
        sock = open_socket(channel.handle.uri, tls_context(), "test")
        sock.close()
        assert len(proxy.asked) == asked_for_rest + 1
        assert set(proxy.asked) == {f"{HOST}:{port_of(org)}"}


def test_no_proxy_holds_for_both(org: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it lists is reached directly, although a proxy is set."""
    with ConnectProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url())
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.0/8")
        channel = client_of(settings_of(org, "127.0.0.1")).create_channel()
        open_socket(channel.handle.uri, tls_context(), "test").close()
        assert proxy.asked == []


@pytest.mark.parametrize(
    ("options", "login", "words"),
    [
        ({"login": "me:x"}, "", ["wants a login (407)", "HTTPS_PROXY=http://user:password@"]),
        ({"login": "me:x"}, LOGIN, ["refuses the user name or password of HTTPS_PROXY (407)"]),
        (
            {
                "answer": b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\n"
                b"Proxy-Authenticate: Negotiate\r\n\r\n"
            },
            "",
            ["negotiate, ntlm", "Basic alone"],
        ),
        ({}, "", ["does not allow", "403", "NO_PROXY"]),
        ({"answer": b"HTTP/1.1 502 Bad \x1b[31mGateway\r\n\r\n"}, "", ["does not reach", "502"]),
        ({"answer": b"SSH-2.0-x\r\n\r\n"}, "", ["does not speak HTTP"]),
        ({"answer": b"x" * 100_000}, "", ["too large"]),
        ({"answer": b"HTTP/1.1 200"}, "", ["gives no tunnel"]),
    ],
    ids=["no login", "wrong login", "NTLM", "forbidden", "502", "no HTTP", "endless", "cut off"],
)
def test_what_the_proxy_refuses_is_told_in_words(
    org: Simulated,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, object],
    login: str,
    words: list[str],
) -> None:
    """Who, what and what to do, in one line of text, the same for REST and sockets; no secret."""
    monkeypatch.setattr(http, "ATTEMPTS", 1)
    with ConnectProxy(**options) as proxy:  # type: ignore[arg-type]  # each test's own
        monkeypatch.setenv("HTTPS_PROXY", proxy.url(login))
        with pytest.raises(GenesysUnavailable) as rest:
            client_of(settings_of(org)).sign_in()
        uri = f"wss://{HOST}:{port_of(org)}/channels/channel-secret"
        with pytest.raises(GenesysUnavailable) as sockets:
            open_socket(uri, tls_context(), "test")
        for line in (str(rest.value), str(sockets.value)):
            assert f"the proxy 127.0.0.1:{proxy.port} of HTTPS_PROXY" in line
            for word in words:
                assert word in line
            assert line.isprintable()
            assert "S3cret" not in line
            assert "channel-secret" not in line


def test_a_proxy_that_is_away_is_told_as_such(
    org: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as Genesys' silence."""
    monkeypatch.setattr(http, "ATTEMPTS", 1)
    (port,) = free_ports(1)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    with pytest.raises(GenesysUnavailable, match=r"the proxy .* does not answer .*refused"):
        client_of(settings_of(org)).sign_in()
    with pytest.raises(GenesysUnavailable, match=r"the proxy .* does not answer .*refused"):
        open_socket(f"wss://{HOST}:1/x", tls_context(), "test")


def test_a_certificate_is_verified_through_the_proxy_too(
    org: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that leads somewhere else is found out."""
    monkeypatch.setattr(http, "ATTEMPTS", 1)
    with ConnectProxy({"other.corp.test": port_of(org)}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url())
        with pytest.raises(GenesysUnavailable, match="its certificate is not accepted"):
            client_of(settings_of(org, "other.corp.test")).sign_in()
        with pytest.raises(GenesysUnavailable, match="certificate"):
            open_socket(f"wss://other.corp.test:{port_of(org)}/x", tls_context(), "test")


def test_a_proxy_that_does_not_parse_ends_the_start(
    org: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, and the value is not shown."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:S3cret@proxy:1080")
    with pytest.raises(SettingsError, match="HTTPS_PROXY") as caught:
        client_of(settings_of(org))
    assert "S3cret" not in str(caught.value)
