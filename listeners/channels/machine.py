"""The steps of a channel: the actions at each phase's start, and the clean-up at its end. Pure.

`Machine._step` is the only way from a phase to the next, by `listeners.channels.table`. `_enter`
sets the deadline of the new phase and returns its actions. A socket that the new phase does not
need is closed, and coverage ends with it.
"""

from __future__ import annotations

from random import Random
from typing import Final

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
from listeners.channels.attempts import Attempts
from listeners.channels.lifetime import Lifetime
from listeners.channels.silence import SilenceWatch
from listeners.channels.table import OPEN, TRANSITIONS, Input, Phase, step
from listeners.channels.topic_list import Missed, TopicList
from listeners.channels.upkeep import COMPARE_SECONDS, Keeping, Verdict
from mirror.fleet.words import Grant
from mirror.genesys.handles import Handle

MOST_ERROR_LETTERS: Final = 200  # of an error in a beat
ACTION_TIMEOUT_SECONDS: Final = 90.0  # beyond the deadlines of REST calls and handshakes
# How long a retired channel goes on receiving: in one of a hundred calls two sockets differ by more
# than 5 s (docs/protocol.md, "Sockets"), and frames that only the old socket gets must not be lost.
LINGER_SECONDS: Final = 10.0

NONE: Final[list[Action]] = []
NOTHING: Final[frozenset[str]] = frozenset()
_COVERING: Final[frozenset[Phase]] = frozenset({"proving", "live", "closing"})


class Machine:
    """The present phase of one channel of one grant. All times are monotonic seconds."""

    def __init__(
        self,
        grant: Grant,
        topics: tuple[str, ...],
        now: float,
        *,
        holder: str,
        silence: float,
        rng: Random,
        linger: float = LINGER_SECONDS,
        shard_epoch: int = 0,
        compare_every: float = COMPARE_SECONDS,
    ) -> None:
        """`holder` names this channel's reservation in Redis; `shard_epoch` belongs to `topics`."""
        self.grant = grant
        self.holder = holder
        self.phase: Phase = "waiting"
        self.handle: Handle | None = grant.handle
        self.last_frame = now  # set by the shell at each read
        self.covered_since: float | None = None
        self.error = ""  # of the last step until the channel is live, then of the last failed call
        self.missed: list[Missed] = []  # taken by the session
        self.connects = 0
        self.frames = 0  # these four are counted by the shell
        self.quiet_frames = 0  # of these, heartbeats, pongs and system messages
        self.events = 0
        self.dead_letters = 0
        self._topics = TopicList(topics, shard_epoch)
        self._attempts = Attempts(rng, now)
        self._silence = SilenceWatch(silence)
        adopted = grant.handle is not None
        self._lifetime = Lifetime(grant.shard, grant.replica, now, adopted=adopted)
        self._upkeep = Keeping(self._topics, self._lifetime, self._attempts, rng, compare_every)
        self._linger = linger
        self._number = 0
        self._deadline = now  # of the pending action, the pause, or the draining
        self._misses = 0
        self._was_live = False
        self._reserved = False
        self._give_back = False
        self._is_unknown = False  # a GET of Genesys said that the channel does not exist

    def _step(self, occurred: Input, now: float, pause: float = 0.0) -> list[Action]:
        """Go to the next phase; nothing else does. `pause`: the least pause before the next try."""
        before = self.phase
        after = step(TRANSITIONS, before, occurred)
        if after is None:
            return NONE
        if before == "live":
            self._upkeep.take("left")
        closes = before in OPEN and after not in OPEN and after != "closed"
        actions = self._enter(after, now, pause)
        return [Close(), *actions] if closes else actions

    def _enter(self, phase: Phase, now: float, pause: float) -> list[Action]:
        """Set the deadline of a phase, and return its first actions."""
        self.phase = phase
        self._deadline = now + ACTION_TIMEOUT_SECONDS
        number = self._next()
        if phase not in _COVERING:
            self.covered_since = None
        match phase:
            case "waiting":
                self._deadline = now + max(pause, self._attempts.pause())
            case "reserving":
                return [Reserve(number)]
            case "creating":
                return [Create(number)]
            case "connecting":
                return [Connect(number, self._handle)]
            case "subscribing":
                return [Subscribe(number, self._handle, self._topics.begin())]
            case "verifying":
                return [Verify(number, self._handle)]
            case "proving":
                self._deadline = now + self._silence.permitted
                return [SendPing()]
            case "live":
                self._was_live = True
                self.error = ""
                self._attempts.served()
                return self._ask(self._upkeep.begin(now), now)
            case "closing":
                self._deadline = now + self._linger
            case "closed":
                handle = self.handle if self._give_back else None
                return [Close(), Release(handle)] if self._reserved else [Close()]
        return NONE

    @property
    def _handle(self) -> Handle:
        assert self.handle is not None, f"{self.phase} without a channel"
        return self.handle

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _proceed(self, now: float) -> list[Action]:
        if not self._reserved:
            return self._step("reserve", now)
        return self._step("create" if self.handle is None else "connect", now)

    def _lost(self, now: float) -> list[Action]:
        """The socket is lost: try the same channel once more, then a new one."""
        if self._attempts.socket_lost(now):
            return self._forget("channel lost", now)
        return self._step("socket lost", now)

    def _forget(self, occurred: Input, now: float) -> list[Action]:
        """The channel is gone: make a new one, at once if this one has served."""
        self.handle = None
        self._is_unknown = False
        self._topics.forget()
        self._lifetime.forget()
        return self._step(occurred, now, pause=self._attempts.ended(now))

    def _miss(self, topics: tuple[str, ...], now: float) -> None:
        """Note these topics as missed since their last confirmation."""
        since = self._topics.confirmed_at
        if topics and since is not None:
            self._misses += 1
            name = f"{self.holder}/{self._misses}"
            shard, replica = self.grant.seat
            self.missed.append(Missed(name, shard, replica, topics, since, now))
        self._topics.doubt()

    def _ask(self, verdict: Verdict, now: float, found: frozenset[str] = NOTHING) -> list[Action]:
        """Carry out the upkeep's verdict. The socket and the coverage go on meanwhile. If topics
        are missing, the coverage begins again."""
        match verdict:
            case "set":
                self._upkeep.take("set")
                self._deadline = now + ACTION_TIMEOUT_SECONDS
                topics = self._topics.begin()
                return [Subscribe(self._next(), self._handle, topics, read_expiry=True)]
            case "compare":
                self._upkeep.take("compare")
                self._deadline = now + ACTION_TIMEOUT_SECONDS
                return [Verify(self._next(), self._handle)]
            case "differs":
                self._miss(self._topics.missing(found), now)
                return self._step("differs", now)
            case "gone":
                self._miss(self._topics.missing(), now)
                return self._forget("gone", now)
            case "unknown":
                # Only a GET says so, and frames may still come: get a successor first.
                self._miss(self._topics.missing(), now)
                self._is_unknown = True
                self.covered_since = None
                self._lifetime.request_successor("channel_gone", now)
        return NONE
