"""Checks that a channel works: opens one, sends a ping, and expects an answer.

A handshake alone proves little: a proxy may let it pass and swallow the frames that follow. So the
check creates a channel within the OAuth client's budget, opens its socket and sends
`{"message":"ping"}`, which Genesys answers at once. On request the check also waits for the first
heartbeat, which takes up to half a minute.

Genesys has no call that ends a channel. So the check keeps its channel in Redis for the next check,
and creates none if that would take the room that rotation needs: Genesys closes the oldest beyond
20. A second socket on a channel closes the first, so checks take turns.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import redis
import websocket

from mirror.base.errors import EXIT_DEPENDENCY, GenesysError, RedisUnavailable
from mirror.checks.finding import Finding, bad, doubtful, good
from mirror.fleet.words import usable_channels
from mirror.genesys.client import GenesysClient
from mirror.genesys.handles import Handle
from mirror.genesys.sockets import BoundedSocket, open_socket, tls_context
from mirror.redis.connect import connect, explained
from mirror.redis.documents import readable
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.redis.scripts import script
from mirror.settings import Settings

# Genesys answers at once, and sends a heartbeat every 30 s (docs/protocol.md).
PONG_SECONDS: Final = 10.0
HEARTBEAT_SECONDS: Final = 40.0
# A check waits this long for its turn. A check that waits for a heartbeat may hold it longer.
TURN_SECONDS: Final = 30.0
#: An older channel may have ended meanwhile.
MOST_LIFE_SECONDS: Final = 23 * 3600.0
#: Of all frames. The check has no topic, so it gets only pongs and heartbeats.
MAX_BYTES: Final = 1024 * 1024
_LOOK_SECONDS: Final = 1.0
_TURN_LOOK_SECONDS: Final = 0.2
_PING: Final = '{"message":"ping"}'
_METADATA: Final = "channel.metadata"
_USER_AGENT: Final = "interaction-mirror doctor"
_CHECK: Final = "genesys.heartbeat"

Say = Callable[[str], object]


class _Body(msgspec.Struct, frozen=True):
    message: str | None = None


class _Frame(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of a frame that the check reads."""

    topic_name: str = ""
    event_body: _Body = _Body()


_frame: Final = msgspec.json.Decoder(_Frame).decode
_handle: Final = msgspec.json.Decoder(Handle).decode


class _NoRoomError(Exception):
    """No channel is created, because listeners need the room."""


def check_channel(settings: Settings, say: Say, *, heartbeat: bool = False) -> Iterator[Finding]:
    """One finding on a channel of the first OAuth client; none if no client is set.

    `say` gets a line before a long wait, which `heartbeat` causes.
    """
    if not settings.clients:
        return
    oauth_client = settings.clients[0]
    store, keys = connect(settings), Keys(settings.namespace)
    client = GenesysClient(settings, oauth_client, RateBudget(store, keys, oauth_client.id))
    subject = f"Genesys client {oauth_client.id} socket"
    try:
        with explained(), _reserved(store, keys, client, settings) as renew:
            yield _try(store, keys, client, subject, (say, renew), heartbeat=heartbeat)
    except _NoRoomError as error:
        yield doubtful(
            _CHECK,
            subject,
            f"not tried: {error}",
            "the channels that are open show it (`mirror channels`); or add an OAuth client",
        )
    except RedisUnavailable:
        yield doubtful(_CHECK, subject, "not tried: Redis is away", "fix that first")
    except GenesysError as error:
        cure = "fix the problem of this client above, then try again"
        yield bad(
            _CHECK, subject, f"no channel can be opened: {error.problem}", cure, EXIT_DEPENDENCY
        )
    finally:
        store.close()


def _try(
    store: redis.Redis,
    keys: Keys,
    client: GenesysClient,
    subject: str,
    told: tuple[Say, Callable[[], None]],
    *,
    heartbeat: bool,
) -> Finding:
    sock = _opened(store, keys, client)
    say, renew = told
    started = time.monotonic()
    try:
        sock.send(_PING)
        if _heard(sock, renew, PONG_SECONDS, "") is None:
            return silent(subject, "answers no ping", PONG_SECONDS)
        answered_ms = (time.monotonic() - started) * 1000
        said = f"a ping is answered in {answered_ms:.0f} ms"
        if heartbeat:
            say(f"waiting for the first heartbeat (up to {HEARTBEAT_SECONDS:.0f} s)")
            after = _heard(sock, renew, HEARTBEAT_SECONDS, "heartbeat")
            if after is None:
                return silent(subject, "carries no heartbeat", HEARTBEAT_SECONDS)
            said += f", first heartbeat after {after:.0f} s"
        return good(_CHECK, subject, said)
    except (OSError, websocket.WebSocketException) as error:
        return silent(subject, f"was closed ({type(error).__name__})", 0.0)
    finally:
        sock.close(timeout=1)


def silent(subject: str, missing: str, seconds: float) -> Finding:
    """The socket opens, but no frame arrives."""
    within = f" within {seconds:.0f} s" if seconds else ""
    return bad(
        _CHECK,
        subject,
        f"it opens and {missing}{within}",
        "something in between passes the handshake and swallows the frames: a proxy that "
        "looks into TLS, or one that ends idle connections (docs/tls.md, A proxy)",
        EXIT_DEPENDENCY,
    )


def _heard(
    sock: websocket.WebSocket, renew: Callable[[], None], seconds: float, word: str
) -> float | None:
    """Seconds until a frame of the channel itself with `word` came; None if none came."""
    started = time.monotonic()
    bounded: Any = sock.sock
    while (passed := time.monotonic() - started) < seconds:
        renew()
        # The library's own time-out begins again with each byte, and with each ping.
        bounded.allow(_LOOK_SECONDS)
        try:
            text = sock.recv()
        except websocket.WebSocketTimeoutException:
            continue
        if not text:  # an empty frame, or the end
            if not sock.connected:
                raise websocket.WebSocketConnectionClosedException
            continue
        try:
            frame = _frame(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # not JSON, so not the answer
        if (
            frame.topic_name.lower() == _METADATA
            and word in (frame.event_body.message or "").lower()
        ):
            return passed
    return None


def _opened(store: redis.Redis, keys: Keys, client: GenesysClient) -> websocket.WebSocket:
    """The open socket of an earlier check's channel, or of a new channel."""
    key = keys.probe(client.id)
    text: Any = store.get(key)
    known = readable(_handle, text, key)
    if known is not None:
        with contextlib.suppress(GenesysError):
            return _socket(client, known)
        store.delete(key)
    created = client.create_channel()
    lives = [
        seconds for seconds in (created.expires_in, created.token_expires_in) if seconds is not None
    ]
    seconds = min([*lives, MOST_LIFE_SECONDS])
    if seconds >= 1:
        store.set(key, msgspec.json.encode(created.handle), ex=int(seconds))
    return _socket(client, created.handle)


def _socket(client: GenesysClient, handle: Handle) -> websocket.WebSocket:
    client.check_uri(handle.uri)
    return _reader(open_socket(handle.uri, tls_context(), _USER_AGENT))


def _reader(opened: socket.socket) -> websocket.WebSocket:
    """What reads and writes frames on an open connection."""
    sock = websocket.WebSocket(skip_utf8_validation=True)
    bounded: Any = BoundedSocket(opened, MAX_BYTES, _LOOK_SECONDS)
    sock.sock = bounded
    sock.connected = True
    return sock


@contextlib.contextmanager
def _reserved(
    store: redis.Redis, keys: Keys, client: GenesysClient, settings: Settings
) -> Iterator[Callable[[], None]]:
    """Reserve one of the client's channels for this context; yields a call that renews it.

    Raises `_NoRoomError` if rotation needs the room, here or at Genesys, or if other checks hold
    the channel for too long.
    """
    holder = f"doctor-{settings.host}-{os.getpid()}-{secrets.token_hex(4)}"
    lease_ms = round(settings.lease * 1000)
    reserve = script(store, "reserve_channel")
    turn, key = keys.probing(client.id), keys.channels(client.id)

    def is_my_turn() -> bool:
        return bool(reserve([turn], [holder, 1, lease_ms]))

    try:
        deadline = time.monotonic() + TURN_SECONDS
        while not is_my_turn():
            if time.monotonic() >= deadline:
                raise _NoRoomError("another `mirror doctor` tries it, and takes long")
            time.sleep(_TURN_LOOK_SECONDS)
        limit = usable_channels(settings.channels_per_client)
        exist = len(client.channels(all_tokens=True))
        if exist >= limit and not store.get(keys.probe(client.id)):
            raise _NoRoomError(f"{exist} of {settings.channels_per_client} channels exist")

        def renew() -> None:
            if not reserve([key], [holder, limit, lease_ms]):
                raise _NoRoomError("all channels are reserved, except those that rotation needs")
            if not is_my_turn():
                raise _NoRoomError(
                    "another `mirror doctor` took over, because this one was too slow"
                )

        renew()
        yield renew
    finally:
        with explained():
            store.zrem(key, holder)
            store.zrem(turn, holder)
