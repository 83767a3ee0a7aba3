"""What an HTTP answer that is no success means: whose it is, what it says, what to do. Pure.

An error of Genesys is a JSON object with a `code` (`ErrorBody`; the login host's has `error`), or
carries Genesys' correlation id, as the answer to a `HEAD` does. Anything else was put in its place
by a proxy, a gateway or a firewall (some of them in JSON with a `message`), and says nothing of
what was asked for: least of all that it is not found.

Numbers from outside are bounded here before anybody uses them.
"""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from mirror.base.errors import GenesysError, GenesysRateLimited, GenesysRefused, GenesysUnavailable
from mirror.base.printable import printable
from mirror.base.redact import scrub
from mirror.genesys.shapes import ErrorBody
from mirror.redis.rate import LONGEST_PAUSE_SECONDS

DEFAULT_RETRY_AFTER_SECONDS: Final = 10.0
LEAST_PAUSE_SECONDS: Final = 1.0
MOST_SAID: Final = 300
MOST_CODE: Final = 100
MOST_READ: Final = 4_000
LEAST_SECRET: Final = 8
_CORRELATION: Final = "inin-correlation-id"
_DAY_SECONDS: Final = 86_400.0
# A token's life when Genesys does not say, and the longest it lets anybody set.
DEFAULT_TOKEN_SECONDS: Final = _DAY_SECONDS
MOST_TOKEN_SECONDS: Final = 31 * _DAY_SECONDS
# Channels are made anew for an expiry no more often than that, whatever an answer says.
LEAST_CHANNEL_SECONDS: Final = 600.0
MOST_CHANNEL_SECONDS: Final = 2 * _DAY_SECONDS


class Answer(msgspec.Struct, frozen=True):
    """What came back: status, headers in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def date(self) -> float:
        """Genesys' time of the answer, Unix seconds; ours where it did not say."""
        try:
            return email.utils.parsedate_to_datetime(self.headers.get("date", "")).timestamp()
        except (ValueError, TypeError, OverflowError):
            return time.time()

    @property
    def correlation_id(self) -> str:
        """What Genesys' support asks for; empty where the answer is not Genesys' own."""
        return printable(self.headers.get(_CORRELATION, ""), MOST_CODE)

    @property
    def is_json(self) -> bool:
        """Whether the body begins as Genesys' answers do; an empty one does not."""
        return self.body.lstrip()[:1] in {b"{", b"["}


class Refusal(msgspec.Struct, frozen=True):
    """What an error answer says, in text that can be shown: bounded, and without secrets."""

    status: int
    code: str
    said: str
    correlation_id: str
    is_genesys: bool

    @property
    def told(self) -> str:
        """Its status and what Genesys says of it, for a line."""
        return f"{self.status}{f' {self.code}' if self.code else ''}{self.words}"

    @property
    def words(self) -> str:
        """Genesys' own words and the correlation id, for a line; empty where there are none."""
        text = f": {self.said.rstrip('.')}" if self.said else ""
        return text + (f" [correlation id {self.correlation_id}]" if self.correlation_id else "")


def refusal(answer: Answer, secrets: tuple[str, ...] = ()) -> Refusal:
    """Read an error answer; `secrets` are taken out of its words (ids that the call had in it)."""
    body = _error_body(answer)
    code = printable(body.code or body.error, MOST_CODE)
    text = body.message or body.description or body.error_description
    said = " ".join(text[:MOST_READ].split())
    for secret in secrets:
        if len(secret) >= LEAST_SECRET:
            said = said.replace(secret, "…")
    return Refusal(
        status=answer.status,
        code=code,
        said=printable(scrub(said), MOST_SAID),
        correlation_id=answer.correlation_id,
        is_genesys=bool(code or answer.correlation_id),
    )


def call_error(
    answer: Answer, name: str, host: str, client: str, secrets: tuple[str, ...]
) -> GenesysError:
    """The error of a REST call named `name` in the name of OAuth client `client`."""
    found = refusal(answer, secrets)
    if not found.is_genesys:
        return _foreign(answer, name, host, client)
    status = found.status
    what = f"{host} answers {name} with {found.told}"
    if status == 429:
        return _limited(what, answer, found, client)
    if status == 401:
        return _refused(
            f"{what}: a fresh token of OAuth client {client} is refused; check that the client is "
            "active and GENESYS_API_URL belongs to GENESYS_LOGIN_URL",
            found,
        )
    if status == 403:
        return _refused(
            f"{what}: give the role of OAuth client {client} the missing permission, in every "
            "division to be mirrored",
            found,
        )
    if status >= 500 or status == 408:
        return _as(GenesysUnavailable, f"{what}: Genesys is unwell", found)
    return _as(GenesysError, what, found)


def login_error(
    answer: Answer, name: str, host: str, client: str, secrets: tuple[str, ...]
) -> GenesysError:
    """The error of asking for a token."""
    found = refusal(answer, secrets)
    if found.is_genesys and found.status in {400, 401, 403}:
        return _refused(
            f"{host} refuses OAuth client {client} ({found.code or found.status}{found.words}): "
            "check GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET, that the client is active and uses "
            "the client-credentials grant, GENESYS_REGION, and that an IP allow-list of the org or "
            "the client has this host's address",
            found,
        )
    return call_error(answer, name, host, client, secrets)


def not_json(answer: Answer, name: str, host: str) -> GenesysUnavailable:
    """A success that is no answer of Genesys."""
    return GenesysUnavailable(
        f"{host} answers {name} with {_kind(answer)} instead of JSON: {_CURE}", is_genesys=False
    )


_CURE: Final = (
    "a proxy, gateway or sign-in page answers in Genesys' place; check GENESYS_API_URL, "
    "GENESYS_LOGIN_URL and what stands before them"
)


def _foreign(answer: Answer, name: str, host: str, client: str) -> GenesysError:
    """Whatever the status says, it is not Genesys' word on what was asked for: its status is 0."""
    what = f"{host} answers {name} with {answer.status} and {_kind(answer)}, not as Genesys does"
    if answer.status == 429:
        found = Refusal(429, "", "", "", is_genesys=False)
        return _limited(what, answer, found, client)
    return GenesysUnavailable(f"{what}: {_CURE}", is_genesys=False)


def _kind(answer: Answer) -> str:
    """What a body is, in a word."""
    if not answer.body.strip():
        return "no body"
    start = answer.body.lstrip()[:15].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if answer.is_json:
        return "other JSON"
    return "something else"


def _limited(what: str, answer: Answer, found: Refusal, client: str) -> GenesysRateLimited:
    seconds = retry_after(answer)
    return GenesysRateLimited(
        f"{what}: OAuth client {client} stays away for {seconds:g} s",
        retry_after=seconds,
        code=found.code,
        said=found.said,
        correlation_id=found.correlation_id,
        is_genesys=found.is_genesys,
    )


def _refused(text: str, found: Refusal) -> GenesysError:
    return _as(GenesysRefused, text, found)


def _as(kind: type[GenesysError], text: str, found: Refusal) -> GenesysError:
    return kind(
        text,
        status=found.status,
        code=found.code,
        said=found.said,
        correlation_id=found.correlation_id,
        is_genesys=True,
    )


def _error_body(answer: Answer) -> ErrorBody:
    """Field by field, so that one of another type does not hide the others."""
    try:
        raw = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorBody()
    if not isinstance(raw, dict):
        return ErrorBody()
    texts = {
        name: value
        for name in ("message", "code", "error", "description")
        if isinstance(value := raw.get(name) or raw.get(f"error_{name}"), str)
    }
    return ErrorBody(**texts)


def retry_after(answer: Answer) -> float:
    """Seconds to stay away: what the header says, in seconds or as a date, within bounds."""
    text = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - answer.date()
        except (ValueError, TypeError, OverflowError):
            seconds = DEFAULT_RETRY_AFTER_SECONDS
    return bounded(seconds, LEAST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, DEFAULT_RETRY_AFTER_SECONDS)


def token_life(expires_in: float) -> float:
    """Seconds that a token lives, within bounds."""
    return bounded(expires_in, LEAST_PAUSE_SECONDS, MOST_TOKEN_SECONDS, DEFAULT_TOKEN_SECONDS)


def channel_life(seconds: float | None) -> float | None:
    """Seconds after which a channel is made anew for an expiry, within bounds; None is unknown.

    A floor under it: a token of a second would otherwise make a channel a second, and Genesys gives
    up the oldest beyond 20. Should the channel really end so soon, that is seen as such.
    """
    if seconds is None:
        return None
    return bounded(seconds, LEAST_CHANNEL_SECONDS, MOST_CHANNEL_SECONDS, _DAY_SECONDS)


def bounded(value: float, least: float, most: float, default: float) -> float:
    """`value` from `least` to `most`; what is no number is `default`."""
    return default if math.isnan(value) else min(max(value, least), most)
