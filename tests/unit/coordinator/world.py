"""A world of listeners around a leader's pure core, for seeded histories of faults.

Time is simulated and steps from pass to pass. Listeners are as `mirror.fleet` says: they beat, open
what is granted after a while, keep the older channel until the newer one is live, close what is no
longer granted. Redis is a few dictionaries that can be flushed. After every step `check` holds the
world to the invariants.
"""

from __future__ import annotations

from random import Random

import msgspec

from coordinator.leading import Leader, Outcome, Rules
from coordinator.seats import Ledger, ledger
from coordinator.store import Seen
from mirror.fleet import Assignment, Beat, ChannelReport, Shard

PASS_MS = 30_000
HEARTBEAT_MS = 60_000
LEASE_MS = 240_000
OPENING_MS = 90_000
CLIENT_LIMIT = 12
MAX_LISTENERS = 6
HORIZON_MS = 48 * 3600 * 1000

Key = tuple[str, str, int]


class Channel(msgspec.Struct):
    """A listener's channel: live from `live_ms` on."""

    client: str
    live_ms: int
    rotate: str = ""


class Listener:
    """One simulated listener process."""

    def __init__(self, name: str, host: str) -> None:
        self.name, self.host = name, host
        self.channels: dict[Key, Channel] = {}
        self.version = 0
        self.paused_until = 0
        self.draining = False
        self.next_beat = 0

    def report(self, now: int) -> Beat:
        return Beat(
            listener=self.name,
            host=self.host,
            pid=1,
            version="0",
            state="draining" if self.draining else "live",
            channels=tuple(
                ChannelReport(
                    shard=shard,
                    replica=replica,
                    epoch=epoch,
                    client=one.client,
                    state="live" if one.live_ms <= now else "opening",
                    covered_ms=now - one.live_ms if one.live_ms <= now else None,
                    last_frame_ms=0 if one.live_ms <= now else None,
                    rotate=one.rotate if one.live_ms <= now else "",
                )
                for (shard, replica, epoch), one in sorted(self.channels.items())
            ),
        )


class World:
    """Leaders, listeners, Redis, and the truth about what was covered."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 10_000_000_000
        self.topics = frozenset(f"t{n}" for n in range(25))
        self.listeners: dict[str, Listener] = {}
        self.made = 0
        self.broken: list[str] = []
        self.killed: list[tuple[int, Listener]] = []
        self.breaks_allowed: set[str] = set()
        self.flush()
        self.elect()
        for _ in range(3):
            self.join()

    # -- faults ----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Redis forgets everything."""
        self.beats: dict[str, int] = {}
        self.documents: dict[str, Beat] = {}
        self.assignments: dict[str, Assignment] = {}
        self.commands: dict[str, str] = {}
        self.shards: dict[str, Shard] = {}
        self.stored = Ledger()

    def elect(self) -> None:
        """Another coordinator leads, knowing only what is stored."""
        rules = Rules(
            replicas=2,
            topics_per_channel=10,
            clients={"p": CLIENT_LIMIT, "q": CLIENT_LIMIT},
            heartbeat_ms=HEARTBEAT_MS,
            lease_ms=LEASE_MS,
        )
        self.leader = Leader(rules)
        self.begin()

    def begin(self) -> None:
        self.leader.begin(
            dict(self.shards), msgspec.convert(msgspec.to_builtins(self.stored), Ledger), {}
        )

    def join(self) -> None:
        self.made += 1
        name = f"l{self.made}"
        self.listeners[name] = Listener(name, self.random.choice("xyz"))

    def fault(self) -> None:
        """Something happens."""
        names = sorted(self.listeners)
        one = self.listeners[self.random.choice(names)] if names else None
        match self.random.randrange(9):
            case 0 if one and len(names) > 2:
                del self.listeners[one.name]  # kill -9: its beats and documents stay
                self.killed.append((self.now, one))
            case 1 if one:
                one.paused_until = self.now + self.random.randrange(3 * LEASE_MS)
            case 2 if len(names) < MAX_LISTENERS:
                self.join()
            case 3 if one and len(names) > 2:
                one.draining = True
            case 4:
                self.elect()
            case 5:
                self.flush()
                self.begin()  # the lock is gone too: the leader is elected anew
            case 6 if one and one.channels:
                self.random.choice(list(one.channels.values())).rotate = "token"
            case 7:
                self.topics = frozenset(f"t{n}" for n in range(self.random.randrange(18, 30)))
            case 8:
                self.commands["rebalance"] = "1"

    # -- time ------------------------------------------------------------------------------------

    def step(self) -> None:
        """One pass of the leader, and the beats since the last one."""
        self.now += PASS_MS
        for listener in list(self.listeners.values()):
            if listener.paused_until <= self.now and listener.next_beat <= self.now:
                self.beat(listener)
        seen = Seen(
            beats=dict(self.beats),
            listeners=dict(self.documents),
            assignments=dict(self.assignments),
            shard_epochs={one.id: one.epoch for one in self.shards.values()},
            released={},
            commands=dict(self.commands),
            rejected={},
            seats=None,
        )
        outcome = self.leader.step(seen, self.topics, self.now)
        self.shards = dict(outcome.shards)
        self.stored = msgspec.convert(msgspec.to_builtins(ledger(self.leader.seats)), Ledger)
        for name in self.beats:
            wanted = outcome.grants.get(name, ())
            old = self.assignments.get(name)
            if old is None or old.grants != wanted:
                version = max(self.now, old.version + 1 if old else 1)
                self.assignments[name] = Assignment(version, wanted)
        for command in outcome.done_commands:
            self.commands.pop(command, None)
        self.check(outcome)

    def beat(self, listener: Listener) -> None:
        """A listener beats, and does what it is told."""
        listener.next_beat = self.now + HEARTBEAT_MS
        self.beats[listener.name] = self.now
        self.documents[listener.name] = listener.report(self.now)
        told = self.assignments.get(listener.name)
        if told is not None and told.version != listener.version:
            listener.version = told.version
            self.obey(listener, told)
        self.settle(listener)
        if listener.draining and not listener.channels and told is not None and not told.grants:
            del self.listeners[listener.name]
            for known in (self.beats, self.documents, self.assignments):
                known.pop(listener.name, None)

    def obey(self, listener: Listener, told: Assignment) -> None:
        granted = {(one.shard, one.replica): one for one in told.grants}
        for shard, replica, epoch in list(listener.channels):
            if (shard, replica) not in granted:
                self.close(listener, (shard, replica, epoch), given_up=True)
        for (shard, replica), grant in granted.items():
            key = (shard, replica, grant.epoch)
            if key not in listener.channels:
                live_ms = self.now + self.random.randrange(OPENING_MS)
                listener.channels[key] = Channel(grant.client, live_ms)

    def settle(self, listener: Listener) -> None:
        """Of a seat's channels the newest live one stays, and what is newer."""
        for shard, replica, epoch in list(listener.channels):
            newer_lives = any(
                (s, r) == (shard, replica) and e > epoch and one.live_ms <= self.now
                for (s, r, e), one in listener.channels.items()
            )
            if newer_lives:
                self.close(listener, (shard, replica, epoch), given_up=False)

    def close(self, listener: Listener, key: Key, *, given_up: bool) -> None:
        closed = listener.channels.pop(key)
        if not given_up or closed.live_ms > self.now or key[0] not in self.shards:
            return
        # Whom the leader cannot know to be dead yet counts: that is a second fault, not its error.
        late = self.now - LEASE_MS - 4 * HEARTBEAT_MS
        dying = [one for died, one in self.killed if died >= late]
        elsewhere = any(
            one is not listener and (s, r) == key[:2] and channel.live_ms <= self.now
            for one in [*self.listeners.values(), *dying]
            for (s, r, _), channel in one.channels.items()
        )
        if not elsewhere and listener.name not in self.breaks_allowed:
            self.broken.append(f"{key} closed on {listener.name} before another was live")

    # -- truth -----------------------------------------------------------------------------------

    def check(self, outcome: Outcome) -> None:
        """The invariants that hold at any time."""
        held: dict[tuple[str, str], str] = {}
        moving: dict[str, int] = {}
        for record in self.leader.seats.values():
            for holding in record.holdings():
                assert holding.epoch <= record.epoch
            if record.next is not None:
                moving[record.shard] = moving.get(record.shard, 0) + 1
            if record.current is not None:
                key = (record.shard, record.current.listener)
                assert key not in held, "two replicas of a shard on one listener"
                held[key] = record.replica
        assert all(count == 1 for count in moving.values()), "I3: one replica moves at a time"
        used: dict[str, int] = {}
        for record in self.leader.seats.values():
            for holding in record.holdings():
                used[holding.client] = used.get(holding.client, 0) + 1
        assert all(count <= CLIENT_LIMIT for count in used.values()), "I5: the budget"
        # A listener whose death was told may come back and must close: its channels are no loss.
        self.breaks_allowed = (
            {name for name in self.listeners if name not in outcome.alive}
            | {change.listener for change in outcome.changes if change.what == "vacated"}
            | self.breaks_allowed
        )

    def whole(self) -> bool:
        """Every seat is live where the leader says, or there are too few listeners."""
        free = [one for one in self.listeners.values() if not one.draining]
        replicas = min(2, len(free))
        for shard in self.shards:
            live = {
                (one.name, replica)
                for one in free
                for (s, replica, _), channel in one.channels.items()
                if s == shard and channel.live_ms <= self.now
            }
            if len(live) < replicas:
                return False
        return True
