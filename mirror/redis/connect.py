"""Connections to Redis: `redis://`, `rediss://`, `unix://`, `redis+sentinel://` and its TLS twin.

Promises:

- Every answer is text.
- No call hangs on a silent server: connecting and answering have `TIMEOUT_SECONDS` each, tried
  `TRIES` times. A try asks each Sentinel once, so three silent ones take 12 s.
- A failure is one `RedisUnavailable` whose line names the server, never a password.
  `mirror.redis.answers` says what an error answer means and which connections it ends.
- Connecting is lazy: use `check` or `wait_for` to see whether Redis answers.
- Over TLS the certificate and the host name are verified unless the settings say otherwise,
  whatever redis-py's defaults are.
- If `REDIS_URL` came from a file, each new connection reads user and password from it again.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.credentials import CredentialProvider
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from mirror.base import tls
from mirror.base.errors import RedisUnavailable, RedisUnsupported, SettingsError
from mirror.base.log import logger
from mirror.base.redact import scrub
from mirror.redis.answers import Meaning, meaning
from mirror.redis.connections import Standing, connection_class
from mirror.redis.keys import Keys
from mirror.settings import Settings

TIMEOUT_SECONDS: Final = 2.0
TRIES: Final = 2
MAX_CONNECTIONS: Final = 64
SENTINEL_PORT: Final = 26379
MAX_URL_BYTES: Final = 64 * 1024
_CERTIFICATES: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
#: The name of Redis in messages if the caller gives none.
SOMEWHERE: Final = "Redis"
_RETRY_PAUSE_SECONDS: Final = 0.05
_WAIT_PAUSE_SECONDS: Final = 0.5

_log = logger("redis")


def connect(settings: Settings) -> redis.Redis:
    """A client of `settings.redis_url`, safe to share between threads. Sends nothing yet.

    Raises `SettingsError` if a certificate in the URL cannot be used.
    """
    parts = urlsplit(settings.redis_url)
    options = _options(settings) | {
        "connection_class": connection_class(parts.scheme),
        "standing": Standing(),
    }
    if parts.scheme.startswith("rediss"):
        options |= _tls_options(settings)
    if parts.scheme.endswith("+sentinel"):
        return _through_sentinel(settings, options)
    if "db" in (query := dict(parse_qsl(parts.query))):
        options["db"] = int(query["db"])
    # The options now hold the URL's parameters, as we read them.
    url = settings.redis_url.partition("?")[0]
    if (path := settings.redis_url_file) is not None:
        options["credential_provider"] = _FromFile(path, *_credentials(parts.netloc))
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
    return redis.Redis.from_url(url, **options)


def address(settings: Settings) -> str:
    """The address in `settings.redis_url`, without user and password."""
    parts = urlsplit(settings.redis_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def explained(where: str = SOMEWHERE) -> Iterator[None]:
    """Turn redis-py's exceptions into `RedisUnavailable`, one line that names `where`.

    A value that cannot be decoded counts as such an exception too. Contexts may be nested: the line
    then has the outermost name.
    """
    try:
        yield
    except redis.RedisError as error:
        raise _told(where, error) from error
    except RedisUnavailable as error:
        cause = error.__cause__
        if where == SOMEWHERE or not isinstance(cause, redis.RedisError):
            raise
        raise _told(where, cause) from cause


def check(client: redis.Redis, settings: Settings) -> None:
    """Read once, as every process and command does; raises `RedisUnavailable`.

    `PING` would not do: Redis refuses it when it cannot save, and answers it when reads fail.
    """
    with explained(f"Redis at {address(settings)}"):
        client.get(Keys(settings.namespace).leader)


def wait_for(client: redis.Redis, settings: Settings, timeout: float | None = None) -> None:
    """Wait until Redis answers, at most `timeout` seconds (0: for ever).

    The default `timeout` is `settings.startup_timeout`. Raises the last `RedisUnavailable`, and
    `RedisUnsupported` at once, because waiting would not help.
    """
    timeout = settings.startup_timeout if timeout is None else timeout
    started = time.monotonic()
    logged = False
    while True:
        try:
            return check(client, settings)
        except RedisUnsupported:
            raise
        except RedisUnavailable as error:
            if timeout and time.monotonic() - started >= timeout:
                raise
            if not logged:
                _log.warning("waiting_for_redis", error=str(error))
                logged = True
        time.sleep(_WAIT_PAUSE_SECONDS)


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "decode_responses": True,
        "encoding_errors": "replace",  # a value that is no text is no document of ours
        "protocol": 2,
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "health_check_interval": 0,  # redis-py's, by PING; `mirror.redis.connections` has its own
        "max_connections": MAX_CONNECTIONS,
        "retry": Retry(ExponentialBackoff(_RETRY_PAUSE_SECONDS, _RETRY_PAUSE_SECONDS), TRIES - 1),
        "client_name": f"interaction-mirror:{settings.namespace}",
    }


def _tls_options(settings: Settings) -> dict[str, Any]:
    """redis-py's options for the TLS parts of `REDIS_URL` and `REDIS_TLS_VERIFY`."""
    given = dict(parse_qsl(urlsplit(settings.redis_url).query))
    verify = settings.redis_tls_verify
    if given.get("ssl_cert_reqs") == "none":
        verify = "none"
    elif given.get("ssl_check_hostname") == "false" and verify == "full":
        verify = "chain"
    files = {name: path for name, path in given.items() if name in _CERTIFICATES}
    _try_certificates(files)
    return {
        **files,
        "ssl_cert_reqs": "none" if verify == "none" else "required",
        "ssl_check_hostname": verify == "full",
    }


def _try_certificates(files: dict[str, str]) -> None:
    """Load the certificates once, so that a wrong path is not reported as a server's failure."""
    try:
        context = ssl.create_default_context(cafile=files.get("ssl_ca_certs"))
        if "ssl_certfile" in files:
            context.load_cert_chain(files["ssl_certfile"], files.get("ssl_keyfile"))
    except OSError as error:  # ssl.SSLError is one too: not PEM, or a key that does not fit
        reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(
            f"REDIS_URL names a certificate that cannot be used ({reason or 'not PEM'}): "
            "ssl_ca_certs, ssl_certfile and ssl_keyfile take paths of PEM files that fit each other"
        ) from error


def _told(where: str, error: redis.RedisError) -> RedisUnavailable:
    """The error with one line that explains redis-py's exception."""
    found = meaning(error)
    if found is not None:
        kind = RedisUnsupported if found.kind == "unsupported" else RedisUnavailable
        return kind(f"{where} {found.says}{_said(found, error)}", cure=found.cure)
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        if reason := tls.reason(error):
            cure = "correct the certificate, or REDIS_URL and REDIS_TLS_VERIFY"
            said = f"{where} cannot be reached over TLS: {reason}"
        else:
            tls_too = " with TLS" if "rediss" in where else ""
            cure = f"start Redis{tls_too}, or correct REDIS_URL"
            said = f"{where} does not answer ({_reason(error)})"
    else:
        cure = "see what the log of Redis says of it"
        said = f"{where} refuses a command ({_reason(error)})"
    return RedisUnavailable(said, cure=cure)


def _said(found: Meaning, error: redis.RedisError) -> str:
    """Redis' own message, if it says more than ours."""
    return f" ({_reason(error)})" if found.kind in {"rights", "full"} else ""


def _url_in(path: Path) -> str:
    """The URL in the file; empty if the file cannot be read (it is being replaced, say)."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_URL_BYTES).decode().strip()
    except (OSError, ValueError) as error:
        _log.debug("redis_url_file_unreadable", error=type(error).__name__)
        return ""


def _credentials(netloc: str) -> tuple[str, str]:
    """User and password, empty if absent."""
    user, _, password = netloc.rpartition("@")[0].partition(":")
    return unquote(user), unquote(password)


class _FromFile(CredentialProvider):
    """Reads user and password from the file for each new connection: they may be rotated."""

    def __init__(self, path: Path, user: str, password: str) -> None:
        self._path = path
        self._last = (user, password)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """The credentials that redis-py sends with `AUTH`."""
        try:
            found = _credentials(urlsplit(_url_in(self._path)).netloc)
        except ValueError:
            found = ("", "")
        if any(found):
            self._last = found
        user, password = self._last
        return (user, password) if user else (password,)


def _through_sentinel(settings: Settings, options: dict[str, Any]) -> redis.Redis:
    """`redis+sentinel://user:password@host:port,host:port/service/db`; without `db` it is 0.

    User and password are for the data servers. Sentinels with credentials of their own need
    `?sentinel_username=…&sentinel_password=…`.
    """
    parts = urlsplit(settings.redis_url)
    user, password = _credentials(parts.netloc)
    login: dict[str, Any] = {"username": user or None, "password": password or None}
    if (path := settings.redis_url_file) is not None:
        login = {"credential_provider": _FromFile(path, user, password)}
    hosts = parts.netloc.rpartition("@")[2]
    service, _, db = parts.path.strip("/").partition("/")
    query = parse_qs(parts.query)
    ours = {"client_name", "connection_class", "standing"}
    asking = {name: value for name, value in options.items() if name not in ours}
    if parts.scheme.startswith("rediss"):
        asking["ssl"] = True
    # No retries per Sentinel: the next Sentinel is asked instead. With retries for each, repeated
    # over all of them, one call took so long that the watchdog killed a coordinator.
    asking["retry"] = Retry(NoBackoff(), 0)
    for name in ("username", "password"):
        if given := query.get(f"sentinel_{name}"):
            asking[name] = given[0]
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        [_host_and_port(host) for host in hosts.split(",")],
        sentinel_kwargs=asking,
        db=int(db or 0),
        **login,
        **options,
    )
    client: redis.Redis = sentinel.master_for(service)  # type: ignore[no-untyped-call]  # as above
    return client


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.strip().rpartition(":")
    if not colon or text.endswith("]"):
        return text.strip("[]"), SENTINEL_PORT
    return host.strip("[]"), int(port)


def _reason(error: Exception) -> str:
    if isinstance(error, MasterNotFoundError):
        return "no Sentinel that answers knows a master of that service"
    cause = error.__context__ or error.__cause__
    if isinstance(error, redis.TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return scrub(str(error)).splitlines()[0] if str(error) else type(error).__name__
