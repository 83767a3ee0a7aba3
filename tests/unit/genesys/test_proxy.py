"""Which proxy leads to a host."""

from __future__ import annotations

import base64

import pytest

from mirror.base.errors import SettingsError
from mirror.genesys.proxy import Proxy, proxy_for

PROXY = {"HTTPS_PROXY": "http://proxy.corp:3128"}


def test_without_a_proxy_hosts_are_reached_directly() -> None:
    """Nothing set, or set to nothing."""
    assert proxy_for("api.example", 443, {}) is None
    assert proxy_for("api.example", 443, {"HTTPS_PROXY": " "}) is None
    assert proxy_for("api.example", 443, {"HTTP_PROXY": "http://proxy.corp:3128"}) is None


@pytest.mark.parametrize(
    ("url", "host", "port", "login"),
    [
        ("http://proxy.corp:3128", "proxy.corp", 3128, ""),
        ("http://proxy.corp:3128/", "proxy.corp", 3128, ""),
        ("http://proxy.corp", "proxy.corp", 80, ""),
        ("proxy.corp:3128", "proxy.corp", 3128, ""),
        ("http://[::1]:3128", "::1", 3128, ""),
        ("http://me:p%40ss%3A@proxy.corp:3128", "proxy.corp", 3128, "me:p@ss:"),
        ("http://me@proxy.corp:3128", "proxy.corp", 3128, "me:"),
    ],
)
def test_a_proxy_is_read_from_its_url(url: str, host: str, port: int, login: str) -> None:
    """Host, port, and user and password percent-decoded."""
    found = proxy_for("api.example", 443, {"HTTPS_PROXY": url})
    assert found is not None
    assert (found.host, found.port) == (host, port)
    wanted = "Basic " + base64.b64encode(login.encode()).decode() if login else ""
    assert found.authorization == wanted


def test_lower_case_wins() -> None:
    """As with curl and most libraries."""
    found = proxy_for("api.example", 443, PROXY | {"https_proxy": "http://other:1"})
    assert found == Proxy("other", 1)


@pytest.mark.parametrize(
    "url",
    [
        "https://me:S3cret@proxy.corp:3128",
        "socks5h://me:S3cret@proxy.corp:1080",
        "http://me:S3cret@proxy.corp:x",
        "http://me:S3cret/x@proxy.corp:3128",
        "http://me:S3cret@proxy.corp:3128/path",
        "http://me:S3cret@proxy.corp:3128?x=1",
        "http://me:S3cret@",
        "http://[::1",
    ],
)
def test_what_is_no_proxy_is_refused_without_showing_it(url: str) -> None:
    """One line names the variable and its form; the value may hold a password."""
    with pytest.raises(SettingsError, match="HTTPS_PROXY") as caught:
        proxy_for("api.example", 443, {"HTTPS_PROXY": url})
    assert "S3cret" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("listed", "host", "port"),
    [
        ("*", "api.example", 443),
        ("api.example", "api.example", 443),
        ("other, API.example ,", "api.EXAMPLE", 443),
        ("example", "api.example", 443),
        (".example", "api.example", 443),
        ("*.example", "api.example", 443),
        ("api.example:443", "api.example", 443),
        ("api.example", "api.example.", 443),
        ("10.0.0.0/8", "10.1.2.3", 443),
        ("10.1.2.3", "10.1.2.3", 443),
        ("10.1.2.3:8443", "10.1.2.3", 8443),
        ("fd00::/8", "fd00::1", 443),
        ("[fd00::1]:443", "fd00::1", 443),
        ("fd00::1", "[fd00::1]", 443),
    ],
)
def test_what_no_proxy_lists_is_reached_directly(listed: str, host: str, port: int) -> None:
    """Hosts with all below them, ports, addresses and networks."""
    assert proxy_for(host, port, PROXY | {"NO_PROXY": listed}) is None


@pytest.mark.parametrize(
    ("listed", "host", "port"),
    [
        ("", "api.example", 443),
        (" , ", "api.example", 443),
        ("ample", "api.example", 443),
        ("other.api.example", "api.example", 443),
        ("api.example:80", "api.example", 443),
        ("10.0.0.0/8", "11.1.2.3", 443),
        ("10.0.0.0/8", "api.example", 443),
        ("3", "10.1.2.3", 443),
        ("10.1.2.3:80", "10.1.2.3", 443),
        (".", "api.example", 443),
    ],
)
def test_what_it_does_not_list_goes_by_the_proxy(listed: str, host: str, port: int) -> None:
    """Nothing is left out by chance."""
    assert proxy_for(host, port, PROXY | {"NO_PROXY": listed}) is not None


def test_the_secret_is_not_shown() -> None:
    """Neither by a log nor by a failed assertion."""
    found = proxy_for("api.example", 443, {"HTTPS_PROXY": "http://me:S3cret@proxy.corp:3128"})
    assert repr(found) == "Proxy(proxy.corp:3128)"
