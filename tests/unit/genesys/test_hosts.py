"""Which hosts a channel's socket may be on."""

from __future__ import annotations

import pytest

from mirror.base.errors import GenesysError
from mirror.genesys.hosts import check_stream_uri
from mirror.settings import Settings, load

REGION = load({"GENESYS_REGION": "usw2.pure.cloud"})
CUSTOM = load({"GENESYS_API_URL": "http://127.0.0.1:8090"})
GATEWAY = load({"GENESYS_API_URL": "https://gateway.example/genesys"})


@pytest.mark.parametrize(
    ("settings", "uri"),
    [
        (REGION, "wss://streaming.usw2.pure.cloud/channels/x"),
        (REGION, "wss://STREAMING.usw2.pure.cloud/channels/x"),
        (CUSTOM, "ws://127.0.0.1:8090/channels/x"),
        (CUSTOM, "wss://127.0.0.1:9999/channels/x"),
        (GATEWAY, "wss://gateway.example/channels/x"),
    ],
)
def test_own_hosts_are_trusted(settings: Settings, uri: str) -> None:
    """The region and below it, or the API's own host where that is set by hand."""
    check_stream_uri(uri, settings)


@pytest.mark.parametrize(
    ("settings", "uri", "named"),
    [
        (REGION, "wss://streaming.mypurecloud.com/channels/x", "streaming.mypurecloud.com"),
        (REGION, "wss://evilusw2.pure.cloud/channels/x", "evilusw2.pure.cloud"),
        (REGION, "wss://usw2.pure.cloud.evil.example/x", "usw2.pure.cloud.evil.example"),
        (REGION, "wss://streaming.usw2.pure.cloud@evil.example/x", "evil.example"),
        (REGION, "ws://streaming.usw2.pure.cloud/channels/x", "not over TLS"),
        (REGION, "", "(none)"),
        (REGION, "wss://[::1", "(none)"),
        (REGION, "wss://streaming.usw2.pure.cloud/x\r\nHost: evil.example", "(none)"),
        (REGION, "wss://streaming.usw2.pure.cloud/€", "(none)"),
        (REGION, "wss://streaming.usw2.pure.cloud/x y", "(none)"),
        (REGION, "wss://streaming.usw2.pure.cloud:99999/x", "(none)"),
        (CUSTOM, "ws://192.0.2.1:8090/channels/x", "192.0.2.1"),
        (GATEWAY, "ws://gateway.example/channels/x", "not over TLS"),
    ],
)
def test_other_hosts_are_refused_by_name(settings: Settings, uri: str, named: str) -> None:
    """The error names the host, and never the channel."""
    with pytest.raises(GenesysError) as caught:
        check_stream_uri(uri, settings)
    assert named in str(caught.value)
    assert "channels" not in str(caught.value)
