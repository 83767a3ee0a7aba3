"""Who may look: loopback, tokens, cookies, proxies, and the headers of every answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from dashboard.pages.guard import (
    LEAST_TOKEN,
    SESSION_SECONDS,
    WRONG_A_MINUTE,
    Guard,
    Sessions,
    check,
)
from mirror.base.errors import SettingsError
from mirror.settings import load

TOKEN = "correct-horse-battery-staple"
STATIC = Path(__file__).parents[3] / "dashboard" / "pages" / "static"


def test_off_loopback_it_takes_a_token_or_a_proxy() -> None:
    """0.0.0.0, an address, a name, and `PORT` of a platform: each refuses without."""
    for environ in (
        {"MIRROR_DASHBOARD_HOST": "0.0.0.0"},
        {"MIRROR_DASHBOARD_HOST": "10.1.2.3"},
        {"MIRROR_DASHBOARD_HOST": "::"},
        {"MIRROR_DASHBOARD_HOST": "wallboard.example.org"},
        {"PORT": "5000"},
    ):
        with pytest.raises(SettingsError, match="MIRROR_DASHBOARD_TOKEN is not set"):
            check(load(environ))
        check(load(environ | {"MIRROR_DASHBOARD_TOKEN": TOKEN}))
        check(load(environ | {"MIRROR_DASHBOARD_AUTH_HEADER": "X-Forwarded-User"}))


def test_on_loopback_it_takes_nothing() -> None:
    """The default, IPv6, and a platform's `PORT` kept to this machine."""
    check(load({}))
    check(load({"MIRROR_DASHBOARD_HOST": "[::1]"}))
    check(load({"MIRROR_DASHBOARD_HOST": "localhost", "PORT": "5000"}))
    assert load({"PORT": "5000"}).dashboard_port == 5000


def test_a_short_token_is_refused_and_not_told() -> None:
    """It would be guessed; the message does not hold it."""
    with pytest.raises(SettingsError) as refused:
        check(load({"MIRROR_DASHBOARD_TOKEN": "hunter2"}))
    assert "hunter2" not in str(refused.value)
    assert str(LEAST_TOKEN) in str(refused.value)


def test_a_cookie_holds_for_its_time_and_token() -> None:
    """It lapses, cannot be prolonged or made up, and ends with the token."""
    sessions = Sessions(TOKEN)
    cookie = sessions.cookie(1_000.0)
    assert sessions.is_cookie(cookie, 1_000.0 + SESSION_SECONDS - 1)
    assert not sessions.is_cookie(cookie, 1_000.0 + SESSION_SECONDS)
    lapses, _, mac = cookie.partition(".")
    assert not sessions.is_cookie(f"{int(lapses) + 60}.{mac}", 1_000.0)
    for made_up in ("", ".", "x.y", f"{lapses}.", f"{lapses}.ä", TOKEN):
        assert not sessions.is_cookie(made_up, 1_000.0)
    assert not Sessions(TOKEN + "!").is_cookie(cookie, 1_000.0)
    assert Sessions(TOKEN).is_cookie(cookie, 1_000.0), "another process takes it too"
    assert TOKEN not in cookie


def test_guessing_is_slowed_down() -> None:
    """So many wrong tokens a minute, then nobody may try until the next one."""
    sessions = Sessions(TOKEN)
    for _ in range(WRONG_A_MINUTE):
        assert sessions.may_try(60.0)
        sessions.note_wrong()
    assert not sessions.may_try(119.0)
    assert sessions.may_try(120.0)


async def _asked(method: str, headers: dict[str, str]) -> int:
    """The status of an answer of the guard of a page on loopback."""

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("the page")(scope, receive, send)

    async def receive() -> Message:
        return {"type": "http.request"}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "path": "/",
        "method": method,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
    await Guard(page, load({}), None, lambda: 0.0)(scope, receive, send)
    status: int = sent[0]["status"]
    return status


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"host": "localhost:1"}, 200),
        ("GET", {"host": "[::1]:1"}, 200),
        ("GET", {}, 421),
        ("GET", {"host": "["}, 421),
        ("GET", {"host": "[::1"}, 421),
        ("GET", {"host": "[v1.x]"}, 421),
        ("GET", {"host": "a]b"}, 421),
        ("GET", {"host": "localhost:99999999"}, 200),
        ("GET", {"host": "\xb2"}, 421),
        ("POST", {"host": "localhost", "origin": "http://localhost"}, 200),
        ("POST", {"host": "localhost", "origin": "http://["}, 403),
        ("POST", {"host": "localhost", "origin": "http://[::1"}, 403),
        ("POST", {"host": "localhost", "origin": "null"}, 403),
        ("POST", {"host": "localhost", "origin": ""}, 403),
    ],
)
def test_a_host_or_origin_that_is_none_is_refused(
    method: str, headers: dict[str, str], status: int
) -> None:
    """Like another's; it raises nothing."""
    assert asyncio.run(_asked(method, headers)) == status


def test_pages_have_nothing_inline() -> None:
    """The content security policy forbids inline scripts and styles; so nothing may need them."""
    for page in STATIC.glob("*.html"):
        text = page.read_text()
        assert "<style" not in text
        assert " style=" not in text
        assert " on" not in "".join(part.split(">")[0] for part in text.split("<"))
        assert text.count("<script") == text.count("<script src=") + text.count("<script type=")
        assert "//" not in text.replace("<!doctype", "").replace("www.w3.org", ""), "no other host"


def test_what_is_vendored_has_its_licence() -> None:
    """Each folder of foreign code carries the licence it came under."""
    folders = [folder for folder in (STATIC / "vendor").iterdir() if folder.is_dir()]
    assert folders
    for folder in folders:
        assert "Permission is hereby granted" in (folder / "LICENSE").read_text()
