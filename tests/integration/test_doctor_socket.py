"""`mirror doctor` looks whether sockets can be opened, not only REST called."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.simulated import simulated
from mirror.base.errors import GenesysError
from mirror.checks.socket import answered, check_socket, streaming_url
from mirror.settings import load
from tests.services.connect_proxy import ConnectProxy

CLIENT = {"GENESYS_CLIENT_ID": "a", "GENESYS_CLIENT_SECRET": "b"}


def test_a_host_that_answers_handshakes_is_good(tmp_path: Path) -> None:
    """No channel is made for it."""
    with simulated(tmp_path, "--no-autostart", login=False) as org:
        (finding,) = check_socket(load({"GENESYS_API_URL": org.url, **CLIENT}))
        assert finding.ok, finding
        assert finding.check == "genesys.socket"
        assert org.get("/_sim/channels")["channels"] == []


def test_a_proxy_that_lets_no_socket_pass_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """REST may go another way; the finding names the proxy and the cure."""
    with ConnectProxy(login="me:x") as proxy:
        monkeypatch.delenv("https_proxy", raising=False)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url())
        (finding,) = check_socket(load({"GENESYS_REGION": "corp.test", **CLIENT}))
    assert (finding.level, finding.exit_code) == ("bad", 3)
    assert "wss://streaming.corp.test" in finding.detail
    assert "407" in finding.detail
    assert proxy.asked == ["streaming.corp.test:443"]


def test_without_an_oauth_client_nothing_is_opened() -> None:
    """That is told by another check."""
    assert list(check_socket(load({}))) == []


@pytest.mark.parametrize(
    ("status", "level"), [(401, "good"), (404, "good"), (400, "doubtful"), (503, "doubtful")]
)
def test_what_answers_is_judged_by_its_status(status: int, level: str) -> None:
    """An unknown channel is refused; anything else may be something in between."""
    assert answered("wss://x", GenesysError("x", status=status)).level == level


def test_the_streaming_host_follows_from_the_region() -> None:
    """Or is the API's own, where that is set by hand."""
    assert streaming_url(load({"GENESYS_REGION": "usw2.pure.cloud"})) == (
        "wss://streaming.usw2.pure.cloud"
    )
    assert streaming_url(load({"GENESYS_API_URL": "http://127.0.0.1:1"})) == "ws://127.0.0.1:1"
    assert streaming_url(load({"GENESYS_API_URL": "https://gw.test"})) == "wss://gw.test"
