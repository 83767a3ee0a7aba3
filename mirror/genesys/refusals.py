"""Explains HTTP answers that are no success: their source, their meaning and the fix. Pure.

An error of Genesys is a JSON object (`ErrorBody`) with a `code` of words joined by dots, such as
`not.found`, or with a `contextId`; or it carries Genesys' correlation id, as the answer to a `HEAD`
does. The login host's errors have an `error` instead (docs/protocol.md, "Tokens"). All other
answers come from a proxy, a gateway or a firewall. Many of these are JSON too, with a `message`, an
`error` or a `code` of another form. They say nothing about the requested object, and above all not
that it does not exist.

This module bounds numbers and texts from outside before anybody uses them.
"""

from __future__ import annotations

import email.utils
import math
import re
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
_GENESYS_CODE: Final = re.compile(r"[a-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+")
_OAUTH_CODE: Final = re.compile(r"[a-z]+(_[a-z]+)+")
# A token, an id or a URI of Genesys': printable ASCII without spaces, and not without end.
_WORD: Final = re.compile(r"[!-~]{1,8192}")
_DAY_SECONDS: Final = 86_400.0
# A token's life if Genesys does not say, and the longest life that Genesys allows.
DEFAULT_TOKEN_SECONDS: Final = _DAY_SECONDS
MOST_TOKEN_SECONDS: Final = 31 * _DAY_SECONDS
# Channels are replaced because of an expiry at most this often, whatever an answer says.
LEAST_CHANNEL_SECONDS: Final = 600.0
MOST_CHANNEL_SECONDS: Final = 2 * _DAY_SECONDS


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer: status, headers in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def date(self) -> float:
        """Genesys' time of the answer, Unix seconds; our time if the answer has none."""
        try:
            return email.utils.parsedate_to_datetime(self.headers.get("date", "")).timestamp()
        except (ValueError, TypeError, OverflowError):
            return time.time()

    @property
    def correlation_id(self) -> str:
        """The id that Genesys' support asks for; empty if the answer is not Genesys' own."""
        return printable(self.headers.get(_CORRELATION, ""), MOST_CODE)

    @property
    def is_json(self) -> bool:
        """Whether the body begins like Genesys' answers; an empty body does not."""
        return self.body.lstrip()[:1] in {b"{", b"["}

    @property
    def is_empty_object(self) -> bool:
        """Whether the body is `{}`: Genesys leaves out fields that have nothing to say."""
        return self.body.translate(None, b" \t\r\n") == b"{}"


class Refusal(msgspec.Struct, frozen=True):
    """The text of an error answer, fit to be shown: bounded, and without secrets."""

    status: int
    code: str
    said: str
    correlation_id: str
    is_genesys: bool

    @property
    def told(self) -> str:
        """The status and Genesys' message, for a line."""
        return f"{self.status}{f' {self.code}' if self.code else ''}{self.words}"

    @property
    def words(self) -> str:
        """Genesys' message and the correlation id, for a line; empty without either."""
        text = f": {self.said.rstrip('.')}" if self.said else ""
        return text + (f" [correlation id {self.correlation_id}]" if self.correlation_id else "")


def refusal(answer: Answer, secrets: tuple[str, ...] = (), *, is_login: bool = False) -> Refusal:
    """Read an error answer, of the login host if `is_login`; `secrets` (ids in the call) are
    removed from its text."""
    body = _error_body(answer)
    is_genesys = bool(
        answer.correlation_id
        or body.context_id
        or _GENESYS_CODE.fullmatch(body.code)
        or (is_login and _OAUTH_CODE.fullmatch(body.error))
    )
    code = (body.code or (body.error if is_login else "")) if is_genesys else ""
    text = body.message or body.description or body.error_description
    said = " ".join(text[:MOST_READ].split())
    for secret in secrets:
        if len(secret) >= LEAST_SECRET:
            said = said.replace(secret, "…")
    return Refusal(
        status=answer.status,
        code=printable(code, MOST_CODE),
        said=printable(scrub(said), MOST_SAID),
        correlation_id=answer.correlation_id,
        is_genesys=is_genesys,
    )


def call_error(
    answer: Answer, name: str, host: str, client: str, secrets: tuple[str, ...]
) -> GenesysError:
    """The error of a REST call named `name` in the name of OAuth client `client`."""
    found = refusal(answer, secrets)
    if not found.is_genesys:
        return _foreign(answer, name, host, client)
    return _error(found, answer, name, host, client)


def _error(found: Refusal, answer: Answer, name: str, host: str, client: str) -> GenesysError:
    """The error for an answer of Genesys'."""
    status = found.status
    answered = f"{host} answers {name} with {found.told}"
    if status == 429:
        return _limited(answered, answer, found, client)
    if status == 401:
        return _refused(
            f"{answered}: a fresh token of OAuth client {client} is refused",
            found,
            "check that the client is active and GENESYS_API_URL belongs to GENESYS_LOGIN_URL",
        )
    if status == 403:
        return _refused(
            answered,
            found,
            f"give the role of OAuth client {client} the missing permission, in every division to "
            "be mirrored",
        )
    if status >= 500 or status == 408:
        return _as(GenesysUnavailable, f"{answered}: Genesys has a problem", found)
    return _as(GenesysError, answered, found)


def login_error(
    answer: Answer, name: str, host: str, client: str, secrets: tuple[str, ...]
) -> GenesysError:
    """The error of a token request. Its status never says that an object does not exist."""
    found = refusal(answer, secrets, is_login=True)
    is_known = found.status in {400, 401, 403, 408, 429} or found.status >= 500
    if not (found.is_genesys and is_known):
        return _foreign(answer, name, host, client)
    if found.status in {400, 401, 403}:
        return _refused(
            f"{host} refuses OAuth client {client} ({found.code or found.status}{found.words})",
            found,
            "correct GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET (or GENESYS_CLIENTS) or "
            "GENESYS_REGION, enable the client, give it the grant type Client Credentials, or add "
            "this host's address to the IP allow-list of the org or the client",
        )
    return _error(found, answer, name, host, client)


def not_json(answer: Answer, name: str, host: str) -> GenesysUnavailable:
    """The error for a success status whose body is not Genesys'."""
    return GenesysUnavailable(
        f"{host} answers {name} with {_kind(answer)} instead of JSON",
        cure=_CURE,
        is_genesys=False,
    )


_CURE: Final = (
    "a proxy, gateway or sign-in page answers in Genesys' place; check GENESYS_API_URL, "
    "GENESYS_LOGIN_URL and what stands before them"
)


def _foreign(answer: Answer, name: str, host: str, client: str) -> GenesysError:
    """The error for an answer that is not Genesys'. Its status is 0: it says nothing about the
    requested object."""
    answered = (
        f"{host} answers {name} with {answer.status} and {_kind(answer)}, not as Genesys does"
    )
    if answer.status == 429:
        found = Refusal(429, "", "", "", is_genesys=False)
        return _limited(answered, answer, found, client)
    return GenesysUnavailable(answered, cure=_CURE, is_genesys=False)


def _kind(answer: Answer) -> str:
    """The kind of a body, in a word."""
    if not answer.body.strip():
        return "no body"
    start = answer.body.lstrip()[:15].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if answer.is_json:
        return "other JSON"
    return "something else"


def _limited(answered: str, answer: Answer, found: Refusal, client: str) -> GenesysRateLimited:
    seconds = retry_after(answer)
    return GenesysRateLimited(
        f"{answered}: OAuth client {client} stays away for {seconds:g} s",
        retry_after=seconds,
        code=found.code,
        said=found.said,
        correlation_id=found.correlation_id,
        is_genesys=found.is_genesys,
    )


def _refused(problem: str, found: Refusal, cure: str) -> GenesysError:
    return _as(GenesysRefused, problem, found, cure)


def _as(kind: type[GenesysError], problem: str, found: Refusal, cure: str = "") -> GenesysError:
    return kind(
        problem,
        cure=cure,
        status=found.status,
        code=found.code,
        said=found.said,
        correlation_id=found.correlation_id,
        is_genesys=True,
    )


def _error_body(answer: Answer) -> ErrorBody:
    """Read field by field, so a field of a wrong type does not hide the others."""
    try:
        raw = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorBody()
    if not isinstance(raw, dict):
        return ErrorBody()
    texts = {
        field.name: value
        for field in msgspec.structs.fields(ErrorBody)
        if isinstance(value := raw.get(field.encode_name), str)
    }
    return ErrorBody(**texts)


def retry_after(answer: Answer) -> float:
    """Seconds to wait, from the `Retry-After` header (seconds or a date), within bounds."""
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
    """Seconds after which a channel is replaced for its expiry, within bounds; None: unknown.

    The floor matters: a token of one second would cause a new channel each second, and Genesys
    closes the oldest beyond 20. If the channel really ends so soon, its listener notices the end.
    """
    if seconds is None:
        return None
    return bounded(seconds, LEAST_CHANNEL_SECONDS, MOST_CHANNEL_SECONDS, _DAY_SECONDS)


def is_word(text: str) -> bool:
    """Whether a text of an answer may go into the head of a request as it is."""
    return _WORD.fullmatch(text) is not None


def bounded(value: float, least: float, most: float, default: float) -> float:
    """`value`, limited to `least` … `most`; `default` if it is not a number."""
    return default if math.isnan(value) else min(max(value, least), most)
