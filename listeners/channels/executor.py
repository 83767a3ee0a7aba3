"""Carries out a channel's blocking actions, and posts their outcomes back to the loop.

An `Outcome` is a function of `now`. The loop calls it in its own thread; it feeds the channel and
returns the next actions. Errors become `failed`. A channel is `gone` only if Genesys itself says so
(404 for a channel, 401 and 403 at the handshake); other errors, and answers of a gateway in its
place, may be temporary.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from listeners.channels.actions import Action, Connect, Create, Release, Reserve, Subscribe, Verify
from listeners.channels.channel import Channel, fields
from listeners.channels.workers import Workers
from mirror.base.errors import GenesysError, GenesysRateLimited, MirrorError
from mirror.base.log import logger
from mirror.base.redact import scrub
from mirror.fleet.words import Grant
from mirror.genesys.handles import Handle
from mirror.genesys.shapes import NewChannel
from mirror.genesys.sockets import GONE, open_socket

# While all reservations are taken, another listener must release one first.
FULL_RETRY_SECONDS: Final = 3.0
_NOT_FOUND: Final = 404

Outcome = Callable[[float], list[Action]]
Post = Callable[[Channel, Outcome], None]
Opened = Callable[[Channel, socket.socket, int], None]


class Genesys(Protocol):
    """The calls to Genesys for one OAuth client. All raise `GenesysError`."""

    def check_uri(self, uri: str) -> None:
        """Raise if a channel's socket must not be opened at `uri`."""

    def create(self) -> NewChannel:
        """Create a channel."""

    def subscribe(
        self, channel_id: str, topics: tuple[str, ...], *, read_expiry: bool
    ) -> tuple[dict[str, str], float | None]:
        """Set the full list. Returns refused topics with reasons, and seconds until it expires."""

    def topics(self, channel_id: str) -> frozenset[str]:
        """The topics that are set on the channel."""


class Reservations(Protocol):
    """The calls to Redis for a channel. All raise `RedisUnavailable`."""

    def reserve(self, client: str, holder: str) -> bool:
        """Reserve a channel of the client; False if all are taken."""

    def release(self, client: str, holder: str) -> None:
        """Release the reservation of `holder`."""

    def give_back(self, grant: Grant, holder: str, handle: Handle) -> None:
        """Hand the channel on to the seat's next holder, and release the reservation."""


class Executor:
    """Runs blocking actions in the workers."""

    def __init__(
        self,
        workers: Workers,
        genesys: Mapping[str, Genesys],
        reservations: Reservations,
        post: Post,
        *,
        context: ssl.SSLContext,
        user_agent: str,
        opened: Opened,
    ) -> None:
        """`opened` takes a socket in the loop's thread, before the channel gets the outcome."""
        self._workers = workers
        self._genesys = genesys
        self._reservations = reservations
        self._post = post
        self._context = context
        self._user_agent = user_agent
        self._opened = opened
        self._log = logger("listener.channel")

    def run(self, channel: Channel, action: Action) -> None:
        """Have a worker do `action`."""
        match action:
            case Reserve():
                self._submit(channel, action.number, lambda: self._reserve(channel, action))
            case Create():
                self._submit(channel, action.number, lambda: self._create(channel, action))
            case Connect():
                self._submit(channel, action.number, lambda: self._connect(channel, action))
            case Subscribe():
                self._submit(channel, action.number, lambda: self._subscribe(channel, action))
            case Verify():
                self._submit(channel, action.number, lambda: self._verify(channel, action))
            case Release():
                self._workers.submit(lambda: self._release(channel, action))

    def _submit(self, channel: Channel, number: int, job: Callable[[], Outcome]) -> None:
        def work() -> None:
            try:
                outcome = job()
            except MirrorError as error:
                outcome = _failed(channel, number, error)
                self._log.warning("channel_step_failed", **fields(channel), error=error)
            self._post(channel, outcome)

        self._workers.submit(work)

    def _reserve(self, channel: Channel, action: Reserve) -> Outcome:
        granted = self._reservations.reserve(channel.grant.client, channel.holder)
        if not granted:
            self._log.warning("no_channel_left", **fields(channel), client=channel.grant.client)
        return lambda now: channel.reserved(
            action.number, now, granted=granted, retry_in=FULL_RETRY_SECONDS
        )

    def _create(self, channel: Channel, action: Create) -> Outcome:
        created = self._client(channel).create()
        return lambda now: channel.created(
            action.number,
            now,
            created.handle,
            expires_in=created.expires_in,
            token_expires_in=created.token_expires_in,
        )

    def _connect(self, channel: Channel, action: Connect) -> Outcome:
        try:
            # The channel may come from the seat's last holder, through Redis: check its host again.
            self._client(channel).check_uri(action.handle.uri)
        except GenesysError as error:
            self._log.error("channel_host_refused", **fields(channel), error=error)
            refused = _said(error)
            return lambda now: channel.failed(action.number, now, gone=True, reason=refused)
        try:
            sock = open_socket(action.handle.uri, self._context, self._user_agent)
        except GenesysError as error:
            # A gateway's page says nothing of the channel, whatever its status.
            gone = error.status in GONE and error.is_genesys
            self._log.warning("channel_open_failed", **fields(channel), error=error, gone=gone)
            reason = _said(error)
            return lambda now: channel.failed(action.number, now, gone=gone, reason=reason)

        def outcome(now: float) -> list[Action]:
            self._opened(channel, sock, action.number)
            return channel.connected(action.number, now)

        return outcome

    def _subscribe(self, channel: Channel, action: Subscribe) -> Outcome:
        started = time.monotonic()
        rejected, expires_in = self._client(channel).subscribe(
            action.handle.id, action.topics, read_expiry=action.read_expiry
        )
        self._log.info(
            "channel_subscribed",
            **fields(channel),
            topics=len(action.topics),
            rejected=len(rejected),
            seconds=round(time.monotonic() - started, 3),
        )
        if rejected:
            topic, reason = next(iter(rejected.items()))
            self._log.warning(
                "topics_rejected",
                **fields(channel),
                count=len(rejected),
                topic=topic,
                reason=reason,
            )
        return lambda now: channel.subscribed(
            action.number, now, rejected=tuple(rejected), expires_in=expires_in
        )

    def _verify(self, channel: Channel, action: Verify) -> Outcome:
        topics = self._client(channel).topics(action.handle.id)
        return lambda now: channel.verified(action.number, now, topics)

    def _release(self, channel: Channel, action: Release) -> None:
        grant = channel.grant
        try:
            if action.handle is not None:
                self._reservations.give_back(grant, channel.holder, action.handle)
            else:
                self._reservations.release(grant.client, channel.holder)
        except MirrorError as error:
            # The reservation lapses by itself; only the channel cannot be used again.
            self._log.warning("channel_release_failed", **fields(channel), error=error)

    def _client(self, channel: Channel) -> Genesys:
        client = self._genesys.get(channel.grant.client)
        if client is None:
            raise GenesysError(
                f"OAuth client {channel.grant.client} is not among this process' GENESYS_CLIENTS"
            )
        return client


def _failed(channel: Channel, number: int, error: MirrorError) -> Outcome:
    gone = isinstance(error, GenesysError) and error.status == _NOT_FOUND and error.is_genesys
    retry_in = error.retry_after if isinstance(error, GenesysRateLimited) else 0.0
    reason = _said(error)
    return lambda now: channel.failed(number, now, gone=gone, retry_in=retry_in, reason=reason)


def _said(error: MirrorError) -> str:
    """The text of an error for a beat, which others read: one line, without secrets."""
    return scrub(" ".join(str(error).split()))
