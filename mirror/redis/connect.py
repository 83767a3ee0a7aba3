"""Connections to Redis: `redis://`, `rediss://`, `unix://`, `redis+sentinel://` and its TLS twin.

Promises: every answer is text; no call takes longer than a connection and an answer may
(`TIMEOUT_SECONDS` each, tried `TRIES` times), so that nothing hangs on a silent server, and each
Sentinel is asked once in a try, so that three silent ones take 12 s; a failure is one
`RedisUnavailable` whose line names the server and never a password. Connecting is lazy: use `check`
or `wait_for` to learn whether somebody answers. Over TLS the certificate and the host name are
verified unless the settings say otherwise, whatever redis-py's defaults are.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import msgspec
import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from mirror import tls
from mirror.errors import RedisUnavailable, SettingsError
from mirror.log import logger
from mirror.redact import scrub
from mirror.settings import Settings

TIMEOUT_SECONDS: Final = 2.0
TRIES: Final = 2
HEALTH_CHECK_SECONDS: Final = 15
MAX_CONNECTIONS: Final = 64
SENTINEL_PORT: Final = 26379
_CERTIFICATES: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_RETRY_PAUSE_SECONDS: Final = 0.05
_WAIT_PAUSE_SECONDS: Final = 0.5

_log = logger("redis")


def connect(settings: Settings) -> redis.Redis:
    """A client of `settings.redis_url`, safe to share between threads. Sends nothing yet.

    Raises `SettingsError` where a certificate that it names cannot be used.
    """
    options = _options(settings)
    parts = urlsplit(settings.redis_url)
    if parts.scheme.startswith("rediss"):
        options |= _tls_options(settings)
    if parts.scheme.endswith("+sentinel"):
        return _through_sentinel(settings.redis_url, options)
    if "db" in (query := dict(parse_qsl(parts.query))):
        options["db"] = int(query["db"])
    # What the parameters ask for is among the options now, in our reading of them.
    return redis.Redis.from_url(settings.redis_url.partition("?")[0], **options)


def address(settings: Settings) -> str:
    """Where `settings.redis_url` points, as people may see it: without user and password."""
    parts = urlsplit(settings.redis_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def explained(where: str = "Redis") -> Iterator[None]:
    """Turn what redis-py raises inside into `RedisUnavailable`, one line that names `where`.

    So it does with a value that cannot be decoded: whoever wrote it, the mirror goes on without.
    """
    try:
        yield
    except redis.AuthenticationError as error:
        raise RedisUnavailable(
            f"{where} refuses the user name or password: check REDIS_URL"
        ) from error
    except NoPermissionError as error:
        raise _not_permitted(where, error) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        if why := tls.reason(error):
            raise RedisUnavailable(
                f"{where} cannot be reached over TLS: {why} (see REDIS_URL and REDIS_TLS_VERIFY)"
            ) from error
        runs = "it runs and speaks TLS there" if "rediss" in where else "it runs"
        raise RedisUnavailable(
            f"{where} does not answer ({_reason(error)}): check REDIS_URL and that {runs}"
        ) from error
    except redis.RedisError as error:
        if "ACL failure in script" in str(error):
            raise _not_permitted(where, error) from error
        raise RedisUnavailable(f"{where} refuses a command ({_reason(error)})") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise RedisUnavailable(
            f"{where} holds something under the mirror's keys that is not the mirror's: keep other "
            "programs off them, or choose another MIRROR_NAMESPACE"
        ) from error


def check(client: redis.Redis, settings: Settings) -> None:
    """Ask once whether Redis answers; raises `RedisUnavailable`."""
    with explained(f"Redis at {address(settings)}"):
        client.ping()


def wait_for(client: redis.Redis, settings: Settings, stop: threading.Event | None = None) -> None:
    """Wait until Redis answers, at most `settings.startup_timeout` seconds (0: for ever).

    Returns early when `stop` is set. Raises the last `RedisUnavailable`.
    """
    stop = stop or threading.Event()
    started = time.monotonic()
    told = False
    while not stop.is_set():
        try:
            return check(client, settings)
        except RedisUnavailable as error:
            waited = time.monotonic() - started
            if settings.startup_timeout and waited >= settings.startup_timeout:
                raise
            if not told:
                _log.warning("redis_awaited", error=str(error))
                told = True
        stop.wait(_WAIT_PAUSE_SECONDS)
    return None


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "decode_responses": True,
        "encoding_errors": "replace",  # what is no text is no document of ours either
        "protocol": 2,
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "health_check_interval": HEALTH_CHECK_SECONDS,
        "max_connections": MAX_CONNECTIONS,
        "retry": Retry(ExponentialBackoff(_RETRY_PAUSE_SECONDS, _RETRY_PAUSE_SECONDS), TRIES - 1),
        "client_name": f"interaction-mirror:{settings.namespace}",
    }


def _tls_options(settings: Settings) -> dict[str, Any]:
    """redis-py's words for what `REDIS_URL` and `REDIS_TLS_VERIFY` say about TLS."""
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
    """Load them once, so that a wrong path is told as such and not as a server's failure."""
    try:
        context = ssl.create_default_context(cafile=files.get("ssl_ca_certs"))
        if "ssl_certfile" in files:
            context.load_cert_chain(files["ssl_certfile"], files.get("ssl_keyfile"))
    except OSError as error:  # ssl.SSLError is one too: not PEM, or a key that does not fit
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(
            f"REDIS_URL names a certificate that cannot be used ({why or 'not PEM'}): "
            "ssl_ca_certs, ssl_certfile and ssl_keyfile take paths of PEM files that fit each other"
        ) from error


def _not_permitted(where: str, error: redis.RedisError) -> RedisUnavailable:
    return RedisUnavailable(
        f"{where} does not permit something to the user of REDIS_URL ({_reason(error)}): "
        "give it the rights of deploy/redis.acl for this MIRROR_NAMESPACE"
    )


def _through_sentinel(url: str, options: dict[str, Any]) -> redis.Redis:
    """`redis+sentinel://user:password@host:port,host:port/service/db`.

    User and password are those of the data servers. Sentinels that want their own take them as
    `?sentinel_username=…&sentinel_password=…`.
    """
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    service, _, db = parts.path.strip("/").partition("/")
    query = parse_qs(parts.query)
    if parts.scheme.startswith("rediss"):
        options = {"ssl": True, **options}
    asking = {name: value for name, value in options.items() if name != "client_name"}
    # The next one is asked instead. With tries of its own for each, tried again over all of them,
    # one call took so long that the watchdog killed a coordinator over it.
    asking["retry"] = Retry(NoBackoff(), 0)
    for name in ("username", "password"):
        if given := query.get(f"sentinel_{name}"):
            asking[name] = given[0]
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        [_host_and_port(host) for host in hosts.split(",")],
        sentinel_kwargs=asking,
        username=unquote(user) or None,
        password=unquote(password) or None,
        db=int(db or 0),
        **options,
    )
    client: redis.Redis = sentinel.master_for(  # type: ignore[no-untyped-call]  # as above
        service or "mymaster"
    )
    return client


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.strip().rpartition(":")
    if not colon or text.endswith("]"):
        return text.strip("[]"), SENTINEL_PORT
    return host.strip("[]"), int(port)


def _reason(error: Exception) -> str:
    if isinstance(error, MasterNotFoundError):
        return "no Sentinel knows a master of that service"
    cause = error.__context__ or error.__cause__
    if isinstance(error, redis.TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return scrub(str(error)).splitlines()[0] if str(error) else type(error).__name__
