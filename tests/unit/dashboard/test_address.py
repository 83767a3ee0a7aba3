"""Where the page is served: the line of an address that cannot be had names the right variable."""

from __future__ import annotations

import socket

import pytest

from dashboard.pages.server import listen
from harness.process import free_ports
from mirror.base.errors import SettingsError
from mirror.settings import load


def refusal(host: str, port: int) -> str:
    """The line with which the dashboard ends there."""
    environ = {"MIRROR_DASHBOARD_HOST": host, "MIRROR_DASHBOARD_PORT": str(port)}
    with pytest.raises(SettingsError) as caught:
        listen(load(environ))
    return str(caught.value)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_blames_the_host(host: str) -> None:
    """It is not this machine's, or it does not resolve: another port would not help."""
    line = refusal(host, *free_ports(1))
    assert line.startswith(f"MIRROR_DASHBOARD_HOST is '{host}', which cannot be listened on (")
    assert line.endswith("it takes an address of this machine")


def test_a_port_that_is_taken_blames_the_port() -> None:
    """The address is this machine's."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refusal("127.0.0.1", port)
    assert line.startswith(f"MIRROR_DASHBOARD_PORT is '{port}', which cannot be listened on at ")
