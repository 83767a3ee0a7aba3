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
    refusal,
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
    body = {"message": said, "code": "bad\x1b.request", "contextId": "c"}
    found = error(answer(400, body), "id-of-the-call")
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


# What stands before an API answers with, at a path that it does not know or does not allow.
GATEWAYS: dict[str, object] = {
    "Spring": {
        "timestamp": "2026-11-27T10:00:00.000+00:00",
        "status": 404,
        "error": "Not Found",
        "path": "/api/v2/conversations/x",
    },
    "Spring, own code": {"status": 404, "code": "NOT_FOUND", "message": "No such route"},
    "Fastify": {"message": "Route GET:/x not found", "error": "Not Found", "statusCode": 404},
    "Fastify, code": {"code": "FST_ERR_NOT_FOUND", "error": "Not Found", "statusCode": 404},
    "Express": {"error": "not_found"},
    "Django": {"detail": "Not found."},
    "nginx": PAGE,
    "nginx, JSON": {"code": "404", "error": "Not Found"},
    "Envoy": b"no healthy upstream",
    "Envoy, local reply": {"code": 404, "message": "route_not_found"},
    "Istio": b"RBAC: access denied",
    "AWS API gateway": {"message": "Not Found"},
    "AWS API gateway, REST": {"message": "Missing Authentication Token"},
    "AWS load balancer": b"<html><head><title>404 Not Found</title></head></html>",
    "Kong": {"message": "no Route matched with those values"},
    "Kong 3": {"message": "no Route matched with those values", "request_id": "abc"},
    "APISIX": {"error_msg": "404 Route Not Found"},
    "Tyk": {"error": "Requested endpoint is forbidden"},
    "Apigee": {
        "fault": {"faultstring": "x", "detail": {"errorcode": "messaging.adaptors.http.flow.x"}}
    },
    "IBM": {"httpCode": "404", "httpMessage": "Not Found", "moreInformation": "No resources"},
    "Google": {"error": {"code": 404, "message": "Requested entity", "status": "NOT_FOUND"}},
    "gRPC gateway": {"code": 5, "message": "Not Found", "details": []},
    "Azure": {"error": {"code": "ResourceNotFound", "message": "The resource was not found."}},
    "Azure API management": {"statusCode": 404, "message": "Resource not found"},
    "Azure front": {"code": "NotFound", "message": "Not found"},
    "Cloudflare": {"success": False, "errors": [{"code": 7003, "message": "Could not route"}]},
    "Cloudflare, limit": {"error_code": "1015", "error_name": "rate_limited"},
    "RFC 9457": {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no"},
    "WordPress": {"code": "rest_no_route", "message": "No route", "data": {"status": 404}},
}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 500, 503])
@pytest.mark.parametrize("body", GATEWAYS.values(), ids=GATEWAYS.keys())
def test_no_form_of_a_gateways_error_is_genesys_own(body: object, status: int) -> None:
    """No conversation is forgotten, no channel gone, no right missing because of a gateway."""
    found = error(answer(status, body))
    assert isinstance(found, GenesysUnavailable)
    assert (found.status, found.code, found.is_genesys) == (0, "", False)
    assert not refusal(answer(status, body)).is_genesys


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize(
    "body", [body for name, body in GATEWAYS.items() if name != "Express"], ids=str
)
def test_no_form_of_a_gateways_error_is_a_wrong_secret(body: object, status: int) -> None:
    """At the login host, `error` counts only with a word of OAuth."""
    found = login_error(answer(status, body), "POST /t", "login", "c", ())
    assert (type(found), found.is_genesys) == (GenesysUnavailable, False)


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        ({"code": "not.found"}, {}, "not.found"),
        ({"code": "notification.invalid.topic", "message": "x"}, {}, "notification.invalid.topic"),
        ({"code": "conflict", "contextId": "c"}, {}, "conflict"),
        ({"code": "conflict"}, {"inin_correlation_id": "c"}, "conflict"),
        ({"message": "x", "contextId": "c"}, {}, ""),
    ],
)
def test_genesys_own_errors_are_known_by_code_context_or_header(
    body: object, headers: dict[str, str], code: str
) -> None:
    """One of them is enough: no page says that each error has all three."""
    found = error(answer(404, body, **headers))
    assert (found.status, found.code, found.is_genesys) == (404, code, True)


@pytest.mark.parametrize(
    "body", [{"error": "invalid_client"}, {"code": "not.found"}, {"code": "x", "contextId": "c"}]
)
def test_a_login_host_without_its_path_says_nothing_of_an_object(body: object) -> None:
    """A token is asked for within other calls: the caller must not take a 404 for its own."""
    found = login_error(answer(404, body), "POST /t", "login", "c", ())
    assert (type(found), found.status, found.is_genesys) == (GenesysUnavailable, 0, False)


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
