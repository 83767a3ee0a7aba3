"""The life of one notification channel, as a pure state machine.

The shell does what the returned actions say and tells the outcome as an input; every input
carries `now`, in monotonic seconds. A pending action has a number, and the outcome of an earlier
one is ignored.

    phase         leaves on            to              asks for
    ------------  -------------------  --------------  -------------------------------------------
    waiting       time is up           reserving       Reserve
    reserving     granted              creating        Create (or Connect, where a channel is left)
                  refused, no answer   waiting
    creating      made                 connecting      Connect
                  failed               waiting
    connecting    open, new channel    subscribing     Subscribe
                  open, known channel  verifying       Verify
                  failed               waiting         (the same channel next, a few times)
                  gone                 waiting         (a new channel next)
    subscribing   accepted             proving         Ping
                  gone                 waiting         (a new channel next)
    verifying     as wanted            proving         Ping
                  differs              subscribing     Subscribe
    proving       first traffic        live
    live          silence, socket lost connecting      Connect, the same channel, once
                  gone                 waiting         (a new channel next)
    any           retire               closing         (drains if it was live)
    closing       drained              closed          Close, Release

The socket is open before topics are subscribed, so that nothing is sent to nobody. Topics are
always set as one full list and compared with the answer, or read and compared after a reconnect
(I4). A channel covers its topics from when they were known to be set on an open socket, and until
the last frame before a loss (I10). When it is renewed and when it wants a successor says
`listeners.channels.lifetime`; which replica may open what is for others to say.

Sources: docs/protocol.md, "Channels" and "Sockets".
"""

from __future__ import annotations

from random import Random
from typing import Final, Literal

from listeners.channels.actions import (
    Action,
    Close,
    Connect,
    Create,
    Release,
    Reserve,
    SendPing,
    Subscribe,
    Verify,
)
from listeners.channels.lifetime import Lifetime
from mirror.fleet.words import ChannelReport, ChannelState, Grant, Shard
from mirror.genesys.handles import Handle, shorten

Phase = Literal[
    "waiting",
    "reserving",
    "creating",
    "connecting",
    "subscribing",
    "verifying",
    "proving",
    "live",
    "closing",
    "closed",
]

PING_AT: Final = 0.9  # of the permitted silence: after a heartbeat is late, before we give up
# A socket lost sooner than this was no socket: somebody else may hold the channel.
STABLE_AFTER: Final = 5.0
# A channel that ends sooner than this after it was made has not served. Where that happens again
# and again (a token that lives a second ends its channels with it), the pause before the next one
# doubles, or a seat would make channels by the hundred.
SHORT_LIFE: Final = 10.0
CONNECT_TRIES: Final = 3
BACKOFF_FIRST: Final = 0.5
BACKOFF_MOST: Final = 30.0
ACTION_TIMEOUT: Final = 90.0  # beyond the deadlines of REST calls and handshakes
# How long a retired channel goes on receiving: two sockets differ by more than 5 s in one of a
# hundred calls (docs/protocol.md, "Sockets"), and what only the old one gets must not be cut off.
LINGER: Final = 10.0

NONE: Final[list[Action]] = []


class Channel:
    """One channel of one grant. All times are monotonic seconds."""

    def __init__(
        self,
        grant: Grant,
        topics: tuple[str, ...],
        now: float,
        *,
        holder: str,
        silence: float,
        rng: Random,
        linger: float = LINGER,
        shard_epoch: int = 0,
    ) -> None:
        """`holder` names this channel's reservation in Redis; `shard_epoch` is that of `topics`."""
        self.grant = grant
        self.holder = holder
        self.topics = topics
        self.phase: Phase = "waiting"
        self.handle: Handle | None = grant.handle
        self.last_frame = now  # set by the shell at each read
        self.covered_since: float | None = None
        self.rejected: tuple[str, ...] = ()
        self.connects = 0
        self.frames = 0  # these three are counted by the shell
        self.events = 0
        self.dead_letters = 0
        self._silence = silence
        self._rng = rng
        self._linger = linger
        self._number = 0
        self._deadline = now  # of the pending action, the pause, or the draining
        self._failures = 0
        self._made_at: float | None = None
        self._short_lives = 0  # channels in a row that have not served
        self._was_live = False
        self._reserved = False
        self._known = False  # the topics were set on this channel before
        self._give_back = False
        self._tries = 0  # losses and failed connects of this channel since it was last live
        self._pinged = False
        self._wanted = topics  # what the pending Subscribe set
        self._confirmed: tuple[str, ...] | None = None  # what Genesys said last that is set
        self._epoch = self._wanted_epoch = shard_epoch  # of these lists, in the same order
        self._confirmed_epoch = 0
        self._renewing = False
        self._opened_at = now
        adopted = grant.handle is not None
        self._lifetime = Lifetime(grant.shard, grant.replica, now, adopted=adopted)

    # -- inputs ----------------------------------------------------------------------------------

    def tick(self, now: float) -> list[Action]:
        """Time passed."""
        if self.phase == "live":
            return self._live_tick(now)
        if self.phase == "closed" or now < self._deadline:
            if self.phase == "proving":
                return self._watch_silence(now)
            return NONE
        if self.phase == "waiting":
            return (
                self._go("reserving", now, Reserve(self._next()))
                if not self._reserved
                else (self._proceed(now))
            )
        if self.phase == "closing":
            return self._end()
        if self.phase == "proving":
            return self._lost(now)
        return self._fail(now)

    def reserved(self, number: int, now: float, *, granted: bool, retry_in: float) -> list[Action]:
        """Redis answered a `Reserve`, or did not: then `granted` is false."""
        if number != self._number or self.phase != "reserving":
            if granted and self.phase == "closed":
                return [Release(None)]
            self._reserved = self._reserved or granted  # it came late, and is ours all the same
            return NONE
        if not granted:
            return self._fail(now, at_least=retry_in)
        self._reserved = True
        return self._proceed(now)

    def created(
        self,
        number: int,
        now: float,
        handle: Handle,
        *,
        expires_in: float | None,
        token_expires_in: float | None,
    ) -> list[Action]:
        """A channel was made; it lives `expires_in` seconds unless renewed, its token so long."""
        if number != self._number or self.phase != "creating":
            return NONE
        self.handle = handle
        self._made_at = now
        self._known = False
        self._tries = 0
        self._lifetime.made(now, token_expires_in)
        self._lifetime.expires(now, expires_in)
        return self._connect(now)

    def connected(self, number: int, now: float) -> list[Action]:
        """The socket is open."""
        if number != self._number or self.phase != "connecting" or self.handle is None:
            return NONE
        self.connects += 1
        self.last_frame = self._opened_at = now
        self._pinged = False
        if self._known:
            return self._go("verifying", now, Verify(self._next(), self.handle))
        return self._subscribe(now)

    def verified(self, number: int, now: float, topics: frozenset[str]) -> list[Action]:
        """What is set on the channel; topic names compare without case."""
        if number != self._number or self.phase != "verifying":
            return NONE
        wanted = {topic.lower() for topic in self.topics} - {t.lower() for t in self.rejected}
        if {topic.lower() for topic in topics} != wanted:
            self._confirmed, self._confirmed_epoch = None, 0
            return self._subscribe(now)
        self._confirmed, self._confirmed_epoch = self.topics, self._epoch
        # They were set all the while, so the socket received from its first moment.
        return self._prove(now, self._opened_at)

    def subscribed(
        self, number: int, now: float, *, rejected: tuple[str, ...], expires_in: float | None
    ) -> list[Action]:
        """The full list was set, but for `rejected`; the channel lives `expires_in` seconds."""
        if number != self._number:
            return NONE
        self._renewing = False
        if self.phase not in {"subscribing", "live"}:
            return NONE
        self.rejected = rejected
        self._known = True
        self._confirmed, self._confirmed_epoch = self._wanted, self._wanted_epoch
        self._lifetime.expires(now, expires_in)
        if self.phase == "live":
            self._lifetime.renewed(now, expires_in)
            return self._resubscribe(now) if self._wanted != self.topics else NONE
        if self._wanted != self.topics:
            return self._subscribe(now)
        return self._prove(now, now)

    def failed(
        self, number: int, now: float, *, gone: bool = False, retry_in: float = 0.0
    ) -> list[Action]:
        """A pending action failed; `gone`: Genesys says that the channel is no more."""
        if number != self._number:
            return NONE
        if self.phase == "live":  # a renewal: the socket goes on, and so does the coverage
            self._renewing = False
            if gone:
                return self._forget(now)
            self._lifetime.put_off(now + max(retry_in, self._backoff()))
            return NONE
        if self.phase in {"closing", "closed"}:
            return NONE
        if gone:
            return self._forget(now)
        if self.phase == "connecting":
            self._tries += 1
            if self._tries > CONNECT_TRIES:
                return self._forget(now)
        if self.phase in {"subscribing", "verifying"}:
            return self._again(now, retry_in)
        return self._fail(now, at_least=retry_in)

    def traffic(self, now: float) -> list[Action]:
        """Anything was read. On the hot path the shell sets `last_frame` itself once live."""
        self.last_frame = now
        self._pinged = False
        if self.phase == "proving":
            self.phase = "live"
            self._was_live = True
            self._failures = 0
            self._tries = 0
            if self._wanted != self.topics:
                return self._resubscribe(now)
        return NONE

    def socket_lost(self, now: float) -> list[Action]:
        """The socket is closed or broken."""
        if self.phase == "closing":
            return self._end()
        if self.phase in {"subscribing", "verifying", "proving", "live"}:
            return self._lost(now)
        return NONE

    def wish_rotation(self, reason: str, now: float) -> None:
        """A system message or a deadline asks for a successor."""
        if self.phase not in {"closing", "closed"}:
            self._lifetime.wish(reason, now)

    def renew(self, now: float) -> list[Action]:
        """Set the full list again at once: Genesys says that subscriptions expire."""
        return self._resubscribe(now) if self.phase == "live" else NONE

    def set_topics(
        self, grant: Grant, topics: tuple[str, ...], now: float, *, shard_epoch: int = 0
    ) -> list[Action]:
        """The shard's topics changed under the same grant, or their epoch alone."""
        self.grant = grant
        self._epoch = shard_epoch
        if topics == self._wanted:
            self._wanted_epoch = shard_epoch
        if topics == self._confirmed:
            self._confirmed_epoch = shard_epoch
        if topics == self.topics:
            return NONE
        self.topics = topics
        if self.phase == "live" and not self._renewing:
            return self._resubscribe(now)
        return NONE  # the pending step compares with `topics` when it ends

    def retire(
        self, now: float, *, linger: float | None = None, give_back: bool = False
    ) -> list[Action]:
        """A successor is live, or the grant is gone: receive for a while, close, release.

        `give_back`: nobody else holds the seat yet, and the channel can serve who does next.
        """
        if self.phase in {"closing", "closed"}:
            if linger is not None:
                self._deadline = min(self._deadline, now + linger)
            return NONE
        was_live = self.phase == "live"
        self._give_back = give_back and was_live
        self.phase = "closing"
        self._number += 1
        self._deadline = now + (self._linger if linger is None else linger)
        return NONE if was_live else self._end()

    def uncover(self) -> None:
        """What is received can no longer be kept: it covers nothing."""
        self.covered_since = None

    def cover(self, now: float) -> None:
        """What is received can be kept again, from now on."""
        if self.phase == "live" and self.covered_since is None:
            self.covered_since = now

    # -- reading ---------------------------------------------------------------------------------

    def awaits(self, number: int) -> bool:
        """Whether the outcome of this action is still waited for."""
        return number == self._number and self.phase not in {"closing", "closed"}

    @property
    def rotate(self) -> str:
        """Why a successor is wanted, empty where none is."""
        return self._lifetime.rotate

    @property
    def rotate_since(self) -> float | None:
        """Since when."""
        return self._lifetime.rotate_since

    @property
    def shard(self) -> Shard:
        """The topics that it shall receive, and their epoch."""
        return Shard(self.grant.shard, self.topics, self._epoch)

    @property
    def state(self) -> ChannelState:
        """The state in the words of the fleet."""
        if self.phase == "live":
            return "rotating" if self.rotate else "live"
        if self.phase in {"closing", "closed"}:
            return "closing"
        return "lost" if self._was_live else "opening"

    def report(self, now: float, kept_until: float) -> ChannelReport:
        """What the beat says. `kept_until`: what was read until then is durable (I9)."""
        covered = self.covered_since if self.phase in {"live", "closing"} else None
        last_frame = min(self.last_frame, kept_until) if covered is not None else self.last_frame
        expires_at = self._lifetime.expires_at
        return ChannelReport(
            shard=self.grant.shard,
            replica=self.grant.replica,
            epoch=self.grant.epoch,
            client=self.grant.client,
            state=self.state,
            channel=shorten(self.handle.id) if self.handle else "",
            topics=len(self.topics),
            rejected=self.rejected,
            covered_ms=None if covered is None else round((now - covered) * 1000),
            last_frame_ms=round((now - last_frame) * 1000) if self._was_live else None,
            expires_s=None if expires_at is None else round(expires_at - now),
            rotate=self.rotate,
            frames=self.frames,
            events=self.events,
            dead_letters=self.dead_letters,
            shard_epoch=self._confirmed_epoch,
        )

    # -- steps -----------------------------------------------------------------------------------

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _go(self, phase: Phase, now: float, action: Action) -> list[Action]:
        self.phase = phase
        self._deadline = now + ACTION_TIMEOUT
        return [action]

    def _proceed(self, now: float) -> list[Action]:
        if self.handle is not None:
            return self._connect(now)
        return self._go("creating", now, Create(self._next()))

    def _connect(self, now: float) -> list[Action]:
        assert self.handle is not None
        return self._go("connecting", now, Connect(self._next(), self.handle))

    def _subscribe(self, now: float) -> list[Action]:
        assert self.handle is not None
        self._wanted, self._wanted_epoch = self.topics, self._epoch
        return self._go("subscribing", now, Subscribe(self._next(), self.handle, self.topics))

    def _resubscribe(self, now: float) -> list[Action]:
        """While live: nothing else changes until the answer."""
        assert self.handle is not None
        self._wanted, self._wanted_epoch = self.topics, self._epoch
        self._renewing = True
        self._deadline = now + ACTION_TIMEOUT
        return [Subscribe(self._next(), self.handle, self.topics, read_expiry=True)]

    def _prove(self, now: float, covered_since: float) -> list[Action]:
        self.phase = "proving"
        self._deadline = now + self._silence
        self.covered_since = covered_since
        return [SendPing()]

    def _live_tick(self, now: float) -> list[Action]:
        self._lifetime.watch(now)
        if self._renewing:
            if now >= self._deadline:
                self._renewing = False
                self._lifetime.put_off(now + self._backoff())
        elif self._wanted != self.topics or self._lifetime.renewal_due(now):
            return self._resubscribe(now)
        return self._watch_silence(now)

    def _watch_silence(self, now: float) -> list[Action]:
        silent = now - self.last_frame
        if silent >= self._silence:
            return self._lost(now)
        if silent >= self._silence * PING_AT and not self._pinged:
            self._pinged = True
            return [SendPing()]
        return NONE

    def _lost(self, now: float) -> list[Action]:
        """The socket is no more: the same channel once again, then a new one."""
        self.covered_since = None
        self._renewing = False
        self._tries += 1
        if self._tries > 1 or now - self._opened_at < STABLE_AFTER:
            return self._forget(now)
        return [Close(), *self._connect(now)]

    def _again(self, now: float, retry_in: float) -> list[Action]:
        """The channel is well, a call was not: close, and come back to it later."""
        self.covered_since = None
        return [Close(), *self._fail(now, at_least=retry_in)]

    def _forget(self, now: float) -> list[Action]:
        """The channel is no more: a new one next, at once if this one has served."""
        self.covered_since = None
        self.handle = None
        self._confirmed, self._confirmed_epoch = None, 0
        self._known = self._renewing = False
        self._tries = 0
        self._lifetime.forget()
        return [Close(), *self._fail(now, at_least=self._pause_of_short_lives(now))]

    def _pause_of_short_lives(self, now: float) -> float:
        """Before the next channel is made: none where this one has served, or is the first."""
        if self._made_at is None:
            return 0.0
        self._short_lives = self._short_lives + 1 if now - self._made_at < SHORT_LIFE else 0
        self._made_at = None
        if self._short_lives < 2:
            return 0.0
        return min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** min(self._short_lives, 16))

    def _fail(self, now: float, at_least: float = 0.0) -> list[Action]:
        self._number += 1
        self.phase = "waiting"
        self._deadline = now + max(at_least, self._backoff())
        return NONE

    def _backoff(self) -> float:
        """Full jitter over a doubling span."""
        span = min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return span * (0.5 + 0.5 * self._rng.random())

    def _end(self) -> list[Action]:
        self.phase = "closed"
        self._number += 1
        self.covered_since = None
        handle = self.handle if self._give_back else None
        return [Close(), Release(handle)] if self._reserved else [Close()]
