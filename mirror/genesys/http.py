"""Makes one HTTP call to Genesys Cloud: token, budget, time-outs, retries, errors.

Promises:

- A call asks the client's request budget first. A 429 slows down every process.
- Temporary failures are tried again with jitter, at most `ATTEMPTS` times in `DEADLINE_SECONDS`.
- An answer is bounded in size, counted after decompression, and in time (`mirror.genesys.wire`,
  which knows the proxy too).
- An answer of a proxy or gateway is never taken for Genesys' answer.
- All errors are of `mirror.base.errors`, one line that names host and fix
  (`mirror.genesys.refusals`). No token, secret or channel id leaves this module: the path's
  template names a call.

Sources: docs/protocol.md, "Tokens", "Limits".
"""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import urllib3

from mirror.base import tls
from mirror.base.errors import GenesysError, GenesysRateLimited, GenesysUnavailable
from mirror.base.log import logger
from mirror.genesys.pages import NOT_READ, read_json
from mirror.genesys.refusals import (
    LEAST_CHANNEL_SECONDS,
    Answer,
    call_error,
    is_word,
    login_error,
    not_json,
    refusal,
    token_life,
)
from mirror.genesys.shapes import Token
from mirror.genesys.timing import Calls
from mirror.genesys.wire import ANSWER_SECONDS, ProxyFailed, pool_manager
from mirror.redis.rate import RateBudget
from mirror.settings import OAuthClient, Settings

T = TypeVar("T")

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 15.0
DEADLINE_SECONDS: Final = 60.0
ATTEMPTS: Final = 5
BACKOFF_SECONDS: Final = 0.5
MAX_BACKOFF_SECONDS: Final = 8.0
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
POOL_SIZE: Final = 16
# A token is renewed this long before its end, so that a channel made with the new token outlives
# the old one (a channel dies with the token that made it: docs/protocol.md, "Sockets").
TOKEN_MARGIN_SHARE: Final = 0.25
_HEALS: Final = frozenset({408, 409, 500, 502, 503, 504})
_JSON: Final = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
}
_CHUNK_BYTES: Final = 64 * 1024
_NO_CONTENT: Final = 204


class Transport:
    """Calls in the name of one OAuth client. Thread-safe."""

    def __init__(
        self,
        settings: Settings,
        client: OAuthClient,
        budget: RateBudget,
        stop: threading.Event | None = None,
    ) -> None:
        """When `stop` is set, waits end and calls fail with `GenesysUnavailable`."""
        self.client = client
        self.calls = Calls()
        self.api_host = urlsplit(settings.api_url).netloc
        self._api_url = settings.api_url
        self._login_url = settings.login_url
        self._budget = budget
        self._stop = stop or threading.Event()
        self._pool = pool_manager(POOL_SIZE)
        self._token = ""
        self._token_ends = 0.0
        self._token_life = 0.0
        self._short_lived = False
        self._token_lock = threading.Lock()
        self._random = random.SystemRandom()
        self._log = logger("genesys")

    def token_expires_in(self) -> float | None:
        """Seconds until the token in use expires; None while there is none."""
        with self._token_lock:
            return self._token_ends - time.monotonic() if self._token else None

    @property
    def token_left(self) -> float | None:
        """Like `token_expires_in`, without waiting for a token request in progress."""
        return self._token_ends - time.monotonic() if self._token else None

    def sign_in(self) -> None:
        """Get a token if there is none; tries once. Raises `GenesysError`."""
        self._bearer(time.monotonic())

    def call(
        self,
        method: str,
        template: str,
        *path: str,
        query: Mapping[str, str | int] | None = None,
        body: object = None,
        repeatable: bool = True,
        accept: frozenset[int] = frozenset(),
    ) -> Answer:
        """One call; `template` has `{}` for each of `path`.

        `accept` are error statuses to return like successes. A call that is not `repeatable` is not
        tried again if it may have had its effect.
        """
        name = f"{method} {template.replace('{}', '…')}"
        # Ids come from frames and answers, and any text may stand in their place.
        url = self._api_url + template.format(*(quote(part, safe="") for part in path))
        content = None if body is None else msgspec.json.encode(body)
        deadline = time.monotonic() + DEADLINE_SECONDS
        renewed = False
        attempt = 0
        while True:
            attempt += 1
            token = self._bearer(deadline)
            headers = {**_JSON, "Authorization": f"Bearer {token}"}
            error: GenesysError
            pause: float | None
            try:
                answer = self._send(method, url, name, self.api_host, headers, content, query)
                self._check(answer, method, name)
            except GenesysUnavailable as failure:
                if not repeatable:
                    raise
                error, pause = failure, self._backoff(attempt)
            else:
                if answer.status < 300:
                    return answer
                if answer.status in accept and refusal(answer).is_genesys:
                    return answer
                if answer.status == 401 and not renewed:
                    renewed = True
                    self._forget(token)
                    continue
                error = call_error(answer, name, self.api_host, self.client.id, (*path, token))
                pause = self._pause(error, answer.status, attempt, repeatable)
            if attempt >= ATTEMPTS or pause is None or time.monotonic() + pause > deadline:
                raise error
            self._wait(pause)

    def _pause(
        self, error: GenesysError, status: int, attempt: int, repeatable: bool
    ) -> float | None:
        """Seconds until the next try, None if trying again would not help."""
        if isinstance(error, GenesysRateLimited):
            self._budget.push(error.retry_after)
            return error.retry_after
        if status == 503 or (repeatable and status in _HEALS):
            return self._backoff(attempt)
        return None

    def _backoff(self, attempt: int) -> float:
        most = min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2.0**attempt)
        return self._random.uniform(most / 2, most)

    def _bearer(self, deadline: float) -> str:
        with self._token_lock:
            left = self._token_ends - time.monotonic()
            if self._token and left > self._token_life * TOKEN_MARGIN_SHARE:
                return self._token
            try:
                self._ask_token(deadline)
            except GenesysError as error:
                if not self._token or left <= 0:
                    raise
                self._log.warning("token_renewal_failed", error=error, expires_s=round(left))
            return self._token

    def _ask_token(self, deadline: float) -> None:
        credentials = base64.b64encode(f"{self.client.id}:{self.client.secret}".encode())
        headers = {
            "Authorization": f"Basic {credentials.decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        host = urlsplit(self._login_url).netloc
        name = "POST /oauth/token"
        for attempt in range(1, ATTEMPTS + 1):
            error: GenesysError
            pause: float | None
            try:
                answer = self._send(
                    "POST",
                    f"{self._login_url}/oauth/token",
                    name,
                    host,
                    dict(headers),
                    b"grant_type=client_credentials",
                )
                if answer.status < 300:
                    token = decode(answer.body, Token, name, host, strict=False)
                    if not is_word(token.access_token):  # it goes into a header as it is
                        raise undocumented(name, host)
                    self._keep_token(token)
                    return
                error = login_error(answer, name, host, self.client.id, (self.client.secret,))
                pause = self._pause(error, answer.status, attempt, repeatable=True)
            except GenesysUnavailable as failure:
                error, pause = failure, self._backoff(attempt)
            if attempt == ATTEMPTS or pause is None or time.monotonic() + pause > deadline:
                raise error
            self._wait(pause)

    def _keep_token(self, token: Token) -> None:
        life = token_life(token.expires_in)
        if life < LEAST_CHANNEL_SECONDS and not self._short_lived:
            self._log.warning("token_short_lived", client=self.client.id, seconds=round(life))
        self._short_lived = life < LEAST_CHANNEL_SECONDS
        self._token = token.access_token
        self._token_life = life
        self._token_ends = time.monotonic() + life

    def _check(self, answer: Answer, method: str, name: str) -> None:
        """Raise if the answer is not Genesys' own."""
        if answer.status >= 300:
            return
        if method != "HEAD" and answer.status != _NO_CONTENT and not answer.is_json:
            raise not_json(answer, name, self.api_host)

    def _forget(self, token: str) -> None:
        with self._token_lock:
            if self._token == token:
                self._token = ""

    def _send(
        self,
        method: str,
        url: str,
        name: str,
        host: str,
        headers: dict[str, str],
        content: bytes | None,
        query: Mapping[str, str | int] | None = None,
    ) -> Answer:
        """One request and its answer, with any status. Raises if there is no answer."""
        self._spend(name, host)
        if query:
            url = f"{url}?{urlencode(query)}"
        sent = time.monotonic()
        status = None
        try:
            response = self._pool.request(
                method,
                url,
                headers=headers,
                body=content,
                preload_content=False,
                redirect=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            )
            body = _read(response, host)
            status = response.status
        except urllib3.exceptions.HTTPError as error:
            if (failed := _proxy_failed(error)) is not None:
                raise GenesysUnavailable(
                    f"{host} cannot be asked for {name}: {failed.strerror}"
                ) from error
            raise GenesysUnavailable(
                f"{host} does not answer {name} ({_reason(error)})",
                cure="check GENESYS_REGION, GENESYS_API_URL, the network and any proxy",
            ) from error
        finally:
            self.calls.add(name, status, time.monotonic() - sent)
        answer = Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, body)
        self._log.debug(
            "genesys_call",
            call=name,
            status=answer.status,
            bytes=len(body),
            correlation_id=answer.correlation_id,
        )
        return answer

    def _spend(self, name: str, host: str) -> None:
        """Wait for the request budget."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (pause := self._budget.ask()) > 0:
            if time.monotonic() + pause > deadline:
                raise GenesysRateLimited(
                    f"{host}: the request budget of OAuth client {self.client.id} is spent for "
                    f"the next {pause:.0f} s, {name} was not sent: it will be tried again",
                    retry_after=pause,
                )
            self._wait(pause)

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise GenesysUnavailable("stopped while waiting for Genesys")


def decode(body: bytes, kind: type[T], name: str, host: str, *, strict: bool = True) -> T:
    """`body` as `kind`. Raises `GenesysUnavailable` if it does not fit.

    If not `strict`, a number may come as text.
    """
    try:
        return read_json(body, kind, strict=strict)
    except NOT_READ as error:
        raise undocumented(name, host) from error


def undocumented(name: str, host: str) -> GenesysUnavailable:
    """The error for a JSON body that is not what Genesys documents."""
    return GenesysUnavailable(
        f"{host} does not answer {name} with the documented JSON",
        cure="check that GENESYS_API_URL is a Genesys API host",
        is_genesys=False,
    )


def _read(response: urllib3.BaseHTTPResponse, host: str) -> bytes:
    """The body, at most `MAX_ANSWER_BYTES` of it, within the deadline."""
    deadline = time.monotonic() + ANSWER_SECONDS
    parts: list[bytes] = []
    total = 0
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and len(announced) < 20 and int(announced) > MAX_ANSWER_BYTES:
        response.close()
        raise _too_large(host, int(announced))
    try:
        # Part by part, so the deadline also holds for a host that sends slowly.
        while part := response.read1(_CHUNK_BYTES, decode_content=True):
            parts.append(part)
            total += len(part)
            if total > MAX_ANSWER_BYTES or time.monotonic() > deadline:
                response.close()
                raise _too_large(host, total)
    finally:
        response.release_conn()
    return b"".join(parts)


def _too_large(host: str, size: int) -> GenesysError:
    return GenesysError(
        f"{host} sends an answer that does not end ({size} bytes or more within "
        f"{ANSWER_SECONDS:g} s, {MAX_ANSWER_BYTES} are read)",
        cure="check GENESYS_API_URL",
    )


def _proxy_failed(error: BaseException | None) -> ProxyFailed | None:
    """The proxy's failure among the causes of `error`."""
    while error is not None and not isinstance(error, ProxyFailed):
        inner = next((cause for cause in error.args if isinstance(cause, BaseException)), None)
        error = inner or error.__cause__ or error.__context__
    return error


def _reason(error: Exception) -> str:
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)
    if isinstance(error, urllib3.exceptions.TimeoutError) and not refused:
        return f"no answer within {READ_SECONDS:g} s"
    if reason := tls.reason(error):
        return f"over TLS: {reason}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
