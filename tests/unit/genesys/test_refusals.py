"""What an error answer means, and how far its numbers are believed."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest

from mirror.base.errors import GenesysError, GenesysRateLimited, GenesysRefused, GenesysUnavailable
from mirror.genesys.refusals import (
    DEFAULT_RETRY_AFTER_SECONDS,
    LEAST_CHANNEL_SECONDS,
    MOST_CHANNEL_SECONDS,
    MOST_SAID,
    MOST_TOKEN_SECONDS,
    Answer,
    call_error,
    channel_life,
    login_error,
    retry_after,
    token_life,
)
from mirror.redis.rate import LONGEST_PAUSE_SECONDS

LACKS = (
    "Unable to perform the requested action. You are missing the following permission(s): "
    "routing:queue:search"
)
CHANNEL = "streaming-5-abcd1234efgh5678ijkl9012mn"
PAGE = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"


def answer(status: int, body: object = b"", **headers: str) -> Answer:
    """An answer with this body, and headers whose names have underscores."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Answer(status, {name.replace("_", "-"): text for name, text in headers.items()}, raw)


def error(found: Answer, *secrets: str) -> GenesysError:
    """The error of a call."""
    return call_error(found, "GET /x", "api.example", "client", secrets)


def test_genesys_own_words_name_the_missing_permission() -> None:
    """Message, code and correlation id are in the line and in fields of their own."""
    body = {"message": LACKS, "code": "missing.permissions", "status": 403}
    found = error(answer(403, body, inin_correlation_id="corr-1"))
    assert isinstance(found, GenesysRefused)
    assert "routing:queue:search" in str(found)
    assert "corr-1" in str(found)
    assert (found.said, found.code, found.correlation_id) == (
        LACKS,
        "missing.permissions",
        "corr-1",
    )
    assert (found.status, found.is_genesys) == (403, True)


def test_words_are_bounded_harmless_and_without_secrets() -> None:
    """No control character, no channel id, no token, no id of the call; some hundred characters."""
    said = f"\x1b]0;x\x07 {CHANNEL} id-of-the-call Bearer abcdefghijkl\n" + "x" * 10_000
    found = error(answer(400, {"message": said, "code": "bad\x1b.request"}), "id-of-the-call")
    line = str(found)
    assert line.isprintable()
    assert found.code == "bad\\x1b.request"
    assert len(found.said) <= MOST_SAID + 20
    for secret in (CHANNEL, "id-of-the-call", "abcdefghijkl"):
        assert secret not in line


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, PAGE, "an HTML page"),
        (404, b"", "no body"),
        (404, b"404 page not found", "something else"),
        (404, {"message": "no Route matched with those values"}, "other JSON"),
        (403, {"message": "Forbidden"}, "other JSON"),
        (403, PAGE, "an HTML page"),
        (502, PAGE, "an HTML page"),
        (400, b"[1]", "other JSON"),
        (302, b"", "no body"),
    ],
)
def test_what_is_not_genesys_own_says_nothing(status: int, body: object, kind: str) -> None:
    """A gateway's 404 is never taken for a conversation or channel that is gone."""
    found = error(answer(status, body))
    assert isinstance(found, GenesysUnavailable)
    assert (found.status, found.is_genesys) == (0, False)
    assert f"with {status} and {kind}" in str(found)
    assert "gateway" in str(found)


def test_a_bare_answer_with_genesys_correlation_id_is_genesys_own() -> None:
    """So is the answer to a HEAD, which has no body."""
    found = error(answer(404, inin_correlation_id="corr-1"))
    assert (found.status, found.is_genesys) == (404, True)


def test_one_field_of_another_type_does_not_hide_the_others() -> None:
    """`code` counts, whatever `message` is."""
    found = error(answer(404, {"message": {"x": 1}, "code": "not.found"}))
    assert (found.status, found.code, found.said) == (404, "not.found", "")


def test_a_429_of_a_gateway_binds_too() -> None:
    """It asks to stay away, and that is what it gets."""
    found = error(answer(429, PAGE, retry_after="7"))
    assert isinstance(found, GenesysRateLimited)
    assert (found.retry_after, found.is_genesys) == (7.0, False)


def test_a_login_that_a_gateway_refuses_is_no_wrong_secret() -> None:
    """Only the login host's own words say that."""
    own = login_error(answer(400, {"error": "invalid_client"}), "POST /t", "login", "c", ())
    assert isinstance(own, GenesysRefused)
    assert "invalid_client" in str(own)
    other = login_error(answer(403, PAGE), "POST /t", "login", "c", ())
    assert isinstance(other, GenesysUnavailable)
    assert not other.is_genesys


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("2.5", 2.5),
        ("0", 1.0),
        ("-5", 1.0),
        ("", DEFAULT_RETRY_AFTER_SECONDS),
        ("soon", DEFAULT_RETRY_AFTER_SECONDS),
        ("nan", DEFAULT_RETRY_AFTER_SECONDS),
        ("inf", LONGEST_PAUSE_SECONDS),
        ("-inf", 1.0),
        ("1e15", LONGEST_PAUSE_SECONDS),
        ("9" * 5000, LONGEST_PAUSE_SECONDS),
        ("Wed, 99 Foo 2026", DEFAULT_RETRY_AFTER_SECONDS),
    ],
)
def test_a_pause_is_within_bounds(text: str, seconds: float) -> None:
    """Whatever Retry-After holds."""
    assert retry_after(answer(429, retry_after=text)) == seconds


def test_a_pause_may_be_a_date() -> None:
    """By the answer's own clock."""
    now = datetime(2026, 11, 27, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=30), usegmt=True)
    assert retry_after(answer(429, retry_after=later, date=format_datetime(now))) == 30.0


@pytest.mark.parametrize(
    ("told", "life"),
    [
        (86_400.0, 86_400.0),
        (1.0, 1.0),
        (0.0, 1.0),
        (-5.0, 1.0),
        (math.inf, MOST_TOKEN_SECONDS),
        (1e15, MOST_TOKEN_SECONDS),
        (math.nan, 86_400.0),
    ],
)
def test_a_token_s_life_is_within_bounds(told: float, life: float) -> None:
    """Whatever `expires_in` holds."""
    assert token_life(told) == life


@pytest.mark.parametrize(
    ("told", "life"),
    [
        (None, None),
        (86_400.0, 86_400.0),
        (1.0, LEAST_CHANNEL_SECONDS),
        (-1e9, LEAST_CHANNEL_SECONDS),
        (1e15, MOST_CHANNEL_SECONDS),
        (math.nan, 86_400.0),
    ],
)
def test_no_expiry_makes_channels_in_a_row(told: float | None, life: float | None) -> None:
    """A token of a second, or an expiry long past, is no reason to make a channel a second."""
    assert channel_life(told) == life
