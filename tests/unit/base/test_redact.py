"""What is taken out of text before people see it."""

from __future__ import annotations

import pytest

from mirror.base.errors import SettingsError
from mirror.base.redact import scrub
from mirror.genesys.proxy import proxy_for


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at redis://me:hunter2@cache:6379/0 now", "at redis://***@cache:6379/0 now"),
        ("rediss://:hunter2@cache", "rediss://***@cache"),
        ("redis://me:hunt@er2@cache/0", "redis://***@cache/0"),
        ("http://user:password@hunter2@proxy:80", "http://***@proxy:80"),
        ("http://user:hunter2@proxy:80", "http://***@proxy:80"),
        ("redis+sentinel://h/m/0?sentinel_password=hunter2", "sentinel_password=***"),
        ("Authorization: Bearer hunter2-hunter2", "Bearer ***"),
        ("basic aHVudGVyMjpodW50ZXIy=", "basic ***"),
        ("client_secret=hunter2&x=1", "client_secret=***&x=1"),
        (
            "wss://s.example/channels/streaming-5-abcdhunter2hunter2",
            "wss://s.example/channels/streaming-5-abcd…",
        ),
    ],
)
def test_secrets_are_taken_out_and_the_rest_is_left(text: str, shown: str) -> None:
    """URL passwords, parameters, authorization, channel ids."""
    assert "hunter2" not in scrub(text)
    assert "aHVudGVy" not in scrub(text)
    assert shown in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "Kafka at 127.0.0.1:9092 cannot be used",
        "see https://api.mypurecloud.com/x for agent@example.org",
        "MIRROR_PII_KEY is not set",
        "Basic auth",
        "the proxy wants a login (407): write HTTPS_PROXY=http://user:password@proxy:3128",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """A line that names hosts and settings stays readable."""
    assert scrub(text) == text


def test_the_form_of_a_setting_is_shown_as_it_is() -> None:
    """The message names the variable and the form, of which nothing is secret."""
    with pytest.raises(SettingsError, match="http://user:password@host:port, where") as caught:
        proxy_for("api.example", 443, {"HTTPS_PROXY": "me:hunter2"})
    assert scrub(str(caught.value)) == str(caught.value)
