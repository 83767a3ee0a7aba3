"""The life of one notification channel, as a pure state machine.

The shell (`listeners.channels.executor`) carries out the returned actions and reports each outcome
by a call of a method here. Every call has `now`, in monotonic seconds. A pending action has a
number, and late outcomes of earlier actions are ignored. Only `listeners.channels.table` says which
input leads from one phase to the next; docs/channel.md shows that table.
`listeners.channels.machine` has the actions of each phase. This module turns outcomes into inputs.

The socket is open before topics are subscribed, so that no frame is lost. Topics are always set as
one full list and compared with the answer. After a reconnect, at intervals, and before the list is
set again, the list at Genesys is read and compared (I4). A channel covers its topics from the
moment when they were known to be set on an open socket until the last frame before a loss (I10). If
topics turn out not to be set, they count as `missed` since their last confirmation.

`upkeep` keeps the topics of a live channel right, `silence` finds silent sockets, `lifetime`
decides when a channel is renewed and when it needs a successor, `attempts` how often a call is
tried again. The leader decides which listener opens a channel for a replica.

Sources: docs/protocol.md, "Channels" and "Sockets".
"""

from __future__ import annotations

from listeners.channels.actions import Action, Release, SendPing
from listeners.channels.machine import MOST_ERROR_LETTERS, NONE, Machine
from listeners.channels.table import OPEN
from mirror.fleet.words import ChannelReport, ChannelState, Grant, Shard
from mirror.genesys.handles import Handle, shorten


class Channel(Machine):
    """One channel of one grant. All times are monotonic seconds."""

    # -- inputs ----------------------------------------------------------------------------------

    def tick(self, now: float) -> list[Action]:
        """Time passed."""
        if self.phase == "live":
            return self._keep(now)
        if now < self._deadline:
            return NONE
        if self.phase == "waiting":
            return self._proceed(now)
        if self.phase == "closing":
            return self._step("drained", now)
        if self.phase == "proving":
            return self._lost(now)
        return self._step("timed out", now) if self.phase != "closed" else NONE

    def reserved(self, number: int, now: float, *, granted: bool, retry_in: float) -> list[Action]:
        """Redis answered a `Reserve`, or did not answer: then `granted` is false."""
        if number != self._number or self.phase != "reserving":
            if granted and self.phase == "closed":
                return [Release(None)]
            self._reserved = self._reserved or granted  # late, but ours
            return NONE
        if not granted:
            return self._step("refused", now, pause=retry_in)
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
        """A channel was made. It lives `expires_in` seconds unless renewed, its token
        `token_expires_in` seconds."""
        if number != self._number or self.phase != "creating":
            return NONE
        self.handle = handle
        self._topics.forget()
        self._attempts.made(now)
        self._lifetime.made(now, token_expires_in)
        self._lifetime.expires(now, expires_in)
        return self._step("connect", now)

    def connected(self, number: int, now: float) -> list[Action]:
        """The socket is open."""
        if number != self._number or self.phase != "connecting":
            return NONE
        self.connects += 1
        self.last_frame = now
        self._attempts.opened(now)
        self._silence.reset()
        return self._step("reopened" if self._topics.is_known else "opened", now)

    def verified(self, number: int, now: float, topics: frozenset[str]) -> list[Action]:
        """Genesys said which topics are set; topic names compare without case."""
        if number != self._number:
            return NONE
        if self.phase == "live" and self._upkeep.state == "comparing":
            return self._ask(self._upkeep.compared(topics, now), now, topics)
        if self.phase != "verifying":
            return NONE
        if not self._topics.is_as_wanted(topics, now):
            self._miss(self._topics.missing(topics), now)
            return self._step("differs", now)
        actions = self._step("as wanted", now)
        # The topics were set all the time, so the socket received from its first moment.
        self.covered_since = self._attempts.opened_at
        return actions

    def subscribed(
        self, number: int, now: float, *, rejected: tuple[str, ...], expires_in: float | None
    ) -> list[Action]:
        """The full list was set, except `rejected`; the channel lives `expires_in` seconds."""
        is_renewal = self.phase == "live" and self._upkeep.state == "setting"
        if number != self._number or not (is_renewal or self.phase == "subscribing"):
            return NONE
        self._topics.was_set(rejected, now)
        self._lifetime.expires(now, expires_in)
        if is_renewal:
            return self._ask(self._upkeep.was_set(expires_in, now), now)
        if self._topics.is_outdated:
            return self._step("outdated", now)
        actions = self._step("set", now)
        self.covered_since = now
        return actions

    def failed(
        self,
        number: int,
        now: float,
        *,
        gone: bool = False,
        retry_in: float = 0.0,
        reason: str = "",
    ) -> list[Action]:
        """A pending action failed; `gone`: Genesys says that the channel does not exist."""
        if number != self._number or self.phase in {"closing", "closed"}:
            return NONE
        self.error = reason[:MOST_ERROR_LETTERS]
        if self.phase == "live":
            return self._ask(self._upkeep.failed(now, gone=gone, retry_in=retry_in), now)
        if gone or (self.phase == "connecting" and self._attempts.handshake_failed()):
            return self._forget("gone", now)
        return self._step("failed", now, pause=retry_in)

    def traffic(self, now: float) -> list[Action]:
        """Bytes were read. While live, the shell sets `last_frame` itself on the hot path."""
        self.last_frame = now
        return self._step("traffic", now) if self.phase == "proving" else NONE

    def socket_lost(self, now: float) -> list[Action]:
        """The socket is closed or broken."""
        if self.phase == "closing":
            return self._step("socket lost", now)
        return self._lost(now) if self.phase in OPEN else NONE

    def request_rotation(self, reason: str, now: float) -> None:
        """A system message or a deadline asks for a successor."""
        if self.phase not in {"closing", "closed"}:
            self._lifetime.request_successor(reason, now)

    def renew(self, now: float) -> list[Action]:
        """Set the full list again at once: Genesys says that subscriptions expire."""
        return self._ask("set", now) if self.phase == "live" else NONE

    def set_topics(
        self, grant: Grant, topics: tuple[str, ...], now: float, *, shard_epoch: int = 0
    ) -> list[Action]:
        """The leader changed this grant: the topics, their epoch, or since when it doubts them."""
        self.grant = grant
        self._upkeep.hurry(grant.doubted_ms, now)
        self._topics.want(topics, shard_epoch)
        # A pending action compares its result with the wanted list when the action ends.
        return self._ask(self._upkeep.look(now), now) if self.phase == "live" else NONE

    def retire(
        self, now: float, *, linger: float | None = None, give_back: bool = False
    ) -> list[Action]:
        """A successor is live, or the grant has ended: receive for a while, close, release.

        `give_back`: no other listener holds the seat yet, so the next holder can use this channel.
        """
        if self.phase in {"closing", "closed"}:
            if linger is not None:
                self._deadline = min(self._deadline, now + linger)
            return NONE
        self._give_back = give_back and self.phase == "live"
        self._linger = self._linger if linger is None else linger
        return self._step("retired", now)

    def uncover(self) -> None:
        """Received frames can no longer be stored: the channel covers nothing."""
        self.covered_since = None

    def cover(self, now: float) -> None:
        """Received frames can be stored again, from now on."""
        if self.phase == "live" and self.covered_since is None and not self._is_unknown:
            self.covered_since = now

    def _keep(self, now: float) -> list[Action]:
        """Renew, compare, and watch for silence."""
        self._lifetime.watch(now)
        upkeep = self._upkeep
        if upkeep.state != "idle" and now >= self._deadline:
            self._number += 1
            self.error = "no answer"
            return self._ask(upkeep.failed(now), now)
        if due := upkeep.look(now):
            return self._ask(due, now)
        verdict = self._silence.look(now - self.last_frame)
        if verdict == "lost":
            return self._lost(now)
        return [SendPing()] if verdict == "ping" else NONE

    # -- reading ---------------------------------------------------------------------------------

    def overdue(self, now: float) -> float | None:
        """For how many seconds Genesys has not said which topics are set on the live channel; None
        if that is usual. `error` says why."""
        return self._upkeep.overdue(now) if self.phase == "live" else None

    def unset(self, now: float) -> float | None:
        """For how many seconds the live channel has lacked its present topics; None if that is
        usual."""
        return self._upkeep.unset(now) if self.phase == "live" else None

    def awaits(self, number: int) -> bool:
        """Whether the channel still waits for the outcome of this action."""
        return number == self._number and self.phase not in {"closing", "closed"}

    @property
    def topics(self) -> tuple[str, ...]:
        """The wanted topics."""
        return self._topics.wanted

    @property
    def rotate(self) -> str:
        """Why the channel needs a successor, empty if it needs none."""
        return self._lifetime.rotate

    @property
    def rotate_since(self) -> float | None:
        """Since when it needs a successor, monotonic seconds."""
        return self._lifetime.rotate_since

    @property
    def shard(self) -> Shard:
        """The wanted topics and their epoch."""
        return Shard(self.grant.shard, self._topics.wanted, self._topics.epoch)

    @property
    def state(self) -> ChannelState:
        """The state in the words of the fleet."""
        if self.phase == "live":
            return "rotating" if self.rotate else "live"
        if self.phase in {"closing", "closed"}:
            return "closing"
        return "lost" if self._was_live else "opening"

    def report(self, now: float, kept_until: float) -> ChannelReport:
        """The channel's report for the beat. The events of frames read until `kept_until` are on
        disk or in Kafka (I9)."""
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
            topics=len(self._topics.wanted),
            rejected=self._topics.rejected,
            covered_ms=None if covered is None else round((now - covered) * 1000),
            last_frame_ms=round((now - last_frame) * 1000) if self._was_live else None,
            expires_s=None if expires_at is None else round(expires_at - now),
            rotate=self.rotate,
            frames=self.frames,
            heard=self.frames - self.quiet_frames,
            events=self.events,
            dead_letters=self.dead_letters,
            shard_epoch=self._topics.confirmed_epoch,
            error="" if self.phase == "live" else self.error,
        )


def fields(channel: Channel) -> dict[str, object]:
    """The fields of a log line on a channel."""
    grant = channel.grant
    return {"shard": grant.shard, "replica": grant.replica, "epoch": grant.epoch}
