"""A world of listeners around a leader's pure core, for seeded histories of faults.

Time is simulated and steps from pass to pass. Redis' clock, by which the leader and the beats go,
is set back now and then (`behind`); all else here is in real time. Listeners are as
`mirror.fleet.words` says: they beat, reserve and open what is granted after a while, keep the older
channel until the newer one is live, close what is no longer granted. Redis is a few dictionaries
that can be flushed.

What must hold, and when it need not:

- **always** (after every step): no listener has two replicas of a shard; one replica of a shard
  moves at a time (I3); the leader's seats and the channels that are open keep every client's limit
  (I5); a listener is never granted a lower epoch of a seat than before, but for one that it still
  has a channel of (its successor was given up); every grant is of a shard that is;
- **at every close of a live channel** that its listener was told to give up: another channel of the
  seat is live (I3), unless the leader revoked this very holding because its listener was silent for
  a lease, or the channel became live after its listener's last beat, so that nobody could know;
  or the shard is no more. Another channel counts for as long as nobody can know that its listener
  was killed (a lease and `NOTICE_MS`) or that it was lost (`NOTICE_MS`, or since the closing
  listener was paused);
- **within `DARK_MS`** of the latest fault: every shard is received;
- **in the end**, after calm: every seat is live where the leader says, on a client that may see the
  shard's topics; replicas are on different hosts and clients while there are two; listeners of a
  host are even; and every moment in which nobody received a shard is in a gap that was filed for it
  (guarantee 6), back to the last time at which both Redis and the leader forgot everything, which
  nobody can look behind.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import msgspec

from coordinator.leader import PATIENCE_BEATS, Leader, Outcome, Rules
from coordinator.plan.coverage import ShardCoverage
from coordinator.plan.seats import StoredSeats, stored_seats
from coordinator.plan.sight import Found
from coordinator.store import RedisState
from mirror.fleet.words import Assignment, Beat, ChannelReport, Seat, Shard, usable_channels

PASS_MS = 30_000
HEARTBEAT_MS = 60_000
LEASE_MS = 240_000
OPENING_MS = 90_000
CLIENT_LIMIT = 12
CLIENTS = ("p", "q")
MAX_LISTENERS = 6
HORIZON_MS = 48 * 3600 * 1000
# A beat that is due, the pass that sees it, and the beat that brings what follows.
NOTICE_MS = 4 * HEARTBEAT_MS
# Both channels of a shard may be stuck at once: each gets a successor when patience ends.
DARK_MS = LEASE_MS + PATIENCE_BEATS * HEARTBEAT_MS + 2 * NOTICE_MS + 2 * OPENING_MS
NEVER_MS = 10**15

seats_of = msgspec.json.Decoder(StoredSeats).decode
coverage_of = msgspec.json.Decoder(dict[str, ShardCoverage]).decode

Key = tuple[str, str, int]


class Channel(msgspec.Struct):
    """A listener's channel: live from `live_ms` on; a `deaf` one hears no topic."""

    client: str
    live_ms: int
    rotate: str = ""
    deaf: bool = False


class Listener:
    """One simulated listener process."""

    def __init__(self, name: str, host: str) -> None:
        self.name, self.host = name, host
        self.channels: dict[Key, Channel] = {}
        self.version = 0
        self.shards: dict[str, Shard] = {}
        self.granted: dict[Seat, int] = {}
        self.told_live: dict[Key, int] = {}  # channel → when a beat first said that it is live
        self.paused_until = 0
        self.draining = False
        self.next_beat = 0
        self.last_beat = NEVER_MS

    def report(self, now: int, world: World) -> Beat:
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
                    client=channel.client,
                    state="live" if channel.live_ms <= now else "opening",
                    covered_ms=now - channel.live_ms if channel.live_ms <= now else None,
                    last_frame_ms=0 if channel.live_ms <= now else None,
                    heard=0 if channel.deaf else max(0, now - channel.live_ms) // 1000,
                    rotate=channel.rotate if channel.live_ms <= now else "",
                    rejected=world.refused(self.shards.get(shard), channel.client),
                    shard_epoch=self.shards[shard].epoch if shard in self.shards else 0,
                )
                for (shard, replica, epoch), channel in sorted(self.channels.items())
            ),
        )


class World:
    """Leaders, listeners, Redis, and the truth about what was covered."""

    def __init__(self, seed: int, *, quick: bool = False) -> None:
        """`quick`: some listeners reach an empty Redis before the leader is elected anew."""
        self.random = Random(seed)
        self.quick = Random(seed) if quick else None
        self.rights = Random(seed) if quick else None  # roles of clients change too
        self.clocks = Random(seed) if quick else None
        self.now = 10_000_000_000
        self.behind = 0  # ms by which Redis' clock was set back
        self.outage = False  # Redis was away since the last pass
        self.topics = frozenset(f"t{n}" for n in range(25))
        self.audience: dict[str, frozenset[str]] = {}  # as listings tell it
        self.forbidden: dict[str, frozenset[str]] = {}  # topic → clients that are refused it
        self.blind = False  # discovery has not found anything since the election
        self._found = Found(self.topics, self.audience)
        self.listeners: dict[str, Listener] = {}
        self.made = 0
        self.broken: list[str] = []
        self.killed: list[tuple[int, Listener]] = []
        self.lost: list[tuple[int, Key]] = []
        self.excused: set[tuple[str, Key]] = set()  # (listener, holding) that the leader revoked
        self.last_fault = self.now
        self.retired: dict[str, int] = {}  # shard that is no more → its highest epoch
        self.not_live: dict[str, int] = {}  # shard that nobody receives → since when
        self.unseen: dict[str, list[int]] = {}  # shard → moments at which nobody received it
        self.gaps: dict[str, list[tuple[int, int]]] = {}
        self.flush()
        self.elect()
        for _ in range(3):
            self.join()

    # -- faults ----------------------------------------------------------------------------------

    @property
    def redis_now(self) -> int:
        """Redis' time."""
        return self.now - self.behind

    def fail_over(self) -> None:
        """Now and then Redis moves to a host whose clock is behind, by up to three hours."""
        if self.clocks and self.clocks.random() < 0.1:
            self.behind += self.clocks.randrange(3 * 3_600_000)

    def flush(self) -> None:
        """Redis forgets everything."""
        self.passed: int | None = None
        self.beats: dict[str, int] = {}
        self.documents: dict[str, Beat] = {}
        self.assignments: dict[str, Assignment] = {}
        self.commands: dict[str, str] = {}
        self.shards: dict[str, Shard] = {}
        self.stored, self.coverage = b"{}", b"{}"
        self.departed: dict[str, int] = {}

    def elect(self) -> None:
        """Another coordinator leads, knowing only what is stored."""
        rules = Rules(
            replicas=2,
            topics_per_channel=10,
            clients=dict.fromkeys(CLIENTS, CLIENT_LIMIT),
            heartbeat_ms=HEARTBEAT_MS,
            lease_ms=LEASE_MS,
        )
        self.leader = Leader(rules)
        if self.coverage == b"{}":  # nobody remembers how far it was covered
            self.unseen.clear()
            if self.behind:  # nor the epochs of channels that are closed
                for listener in self.listeners.values():
                    opened = {Seat(*key[:2]): key[2] for key in sorted(listener.channels)}
                    listener.granted = opened
        self.begin()

    def begin(self) -> None:
        stored = seats_of(self.stored), coverage_of(self.coverage)
        self.leader.begin(dict(self.shards), *stored, self.departed, self.passed)

    def told(self, follower: Leader) -> None:
        """`follower` reads what the leader stored."""
        follower.follow(dict(self.shards), seats_of(self.stored), coverage_of(self.coverage))

    def return_early(self) -> None:
        """Some listeners beat before anybody leads: Redis has their shards, and no others."""
        for listener in list(self.listeners.values()):
            if self.quick and listener.paused_until <= self.now and self.quick.random() < 0.5:
                self.beat(listener)

    def join(self) -> None:
        self.made += 1
        name = f"l{self.made}"
        self.listeners[name] = Listener(name, self.random.choice("xyz"))

    def fault(self) -> None:
        """Something happens."""
        self.last_fault = self.now
        self.grant()
        self.fail_over()
        names = sorted(self.listeners)
        listener = self.listeners[self.random.choice(names)] if names else None
        match self.random.randrange(11):
            case 0 if listener and len(names) > 2:
                del self.listeners[listener.name]  # kill -9: its beats and documents stay
                self.killed.append((self.now, listener))
            case 1 if listener:
                listener.paused_until = self.now + self.random.randrange(3 * LEASE_MS)
            case 2 if len(names) < MAX_LISTENERS:
                self.join()
            case 3 if listener and len(names) > 2:
                listener.draining = True
            case 4:
                self.elect()
            case 5:
                self.flush()
                self.return_early()
                self.begin()  # the lock is gone too: the leader is elected anew
            case 10:
                self.flush()
                self.elect()  # nobody remembers anything, but for the listeners
            case 6 if listener and listener.channels:
                self.random.choice(list(listener.channels.values())).rotate = "token"
            case 7:
                self.topics = frozenset(f"t{n}" for n in range(self.random.randrange(18, 30)))
            case 8:
                self.commands["rebalance"] = "1"
            case 9 if listener and listener.channels:  # it is lost, and does not come back
                key = self.random.choice(list(listener.channels))
                listener.channels[key].live_ms = NEVER_MS
                self.lost.append((self.now, key))

    def grant(self) -> None:
        """Now and then the clients' roles are granted in other divisions: their listings show it,
        or only the refusal of a topic does."""
        if not self.rights or self.rights.random() >= 0.1:
            return
        listed = self.rights.random() < 0.5
        shares = self.rights.choice([{}, {"p": 0.3}, {"p": 0.5, "q": 0.2}, {"p": 1.0}])
        self.audience, self.forbidden = {}, {}
        for topic in (f"t{n}" for n in range(30)):
            drawn = self.rights.random()
            for client, share in shares.items():
                if drawn < share:
                    if listed:
                        self.audience[topic] = frozenset({client})
                    else:
                        self.forbidden[topic] = frozenset(CLIENTS) - {client}
                    break
                drawn -= share

    def carriers(self, topic: str) -> frozenset[str]:
        """The clients that a topic belongs on; empty where that is all."""
        left = self.audience.get(topic, frozenset(CLIENTS))
        left -= self.forbidden.get(topic, frozenset())
        return frozenset() if left == frozenset(CLIENTS) else left

    def refused(self, shard: Shard | None, client: str) -> tuple[str, ...]:
        """What Genesys refuses of a shard on a client's channel."""
        topics = shard.topics if shard is not None else ()
        return tuple(topic for topic in topics if client in self.forbidden.get(topic, ()))

    def find(self) -> Found | None:
        """What discovery says: the same object while nothing changes."""
        audience = {topic: who for topic, who in self.audience.items() if topic in self.topics}
        if (self._found.topics, self._found.audience) != (self.topics, audience):
            self._found = Found(self.topics, audience)
        return None if self.blind else self._found

    # -- time ------------------------------------------------------------------------------------

    def step(self, pass_ms: int = PASS_MS) -> None:
        """One pass of the leader, and the beats since the last one."""
        for _ in range(pass_ms // PASS_MS):
            self.now += PASS_MS
            for listener in list(self.listeners.values()):
                if listener.paused_until <= self.now and listener.next_beat <= self.now:
                    self.beat(listener)
        seen = RedisState(
            beats=dict(self.beats),
            listeners=dict(self.documents),
            assignments=dict(self.assignments),
            shard_epochs={shard.id: shard.epoch for shard in self.shards.values()},
            released={},
            commands=dict(self.commands),
            rejected={},
            seats=None,
        )
        outage, self.outage = self.outage, False
        outcome = self.leader.step(
            seen, self.find(), self.redis_now, stored=self.shards, outage=outage
        )
        if outcome is None:
            return
        self.outcome = outcome
        for shard in self.shards.keys() - outcome.shards.keys():
            self.retired[shard] = self.highest_epoch(shard)
        self.shards = dict(outcome.shards)
        self.stored = msgspec.json.encode(stored_seats(self.leader.seats))
        self.coverage = msgspec.json.encode(self.leader.coverage)
        for gap in outcome.gaps:
            real = gap.from_ms + self.behind, gap.to_ms + self.behind
            self.gaps.setdefault(gap.shard, []).append(real)
        self.departed, self.passed = dict(self.leader.departed.until), self.redis_now
        for name in outcome.silent:
            for known in (self.beats, self.documents, self.assignments):
                known.pop(name, None)
        for name in self.beats:
            wanted = outcome.grants.get(name, ())
            old = self.assignments.get(name)
            if old is None or old.grants != wanted:
                version = max(self.redis_now, old.version + 1 if old else 1)
                self.assignments[name] = Assignment(version, wanted)
        for command in outcome.done_commands:
            self.commands.pop(command, None)
        self.check(outcome)

    def beat(self, listener: Listener) -> None:
        """A listener beats, and does what it is told."""
        listener.next_beat = self.now + HEARTBEAT_MS
        for key, channel in listener.channels.items():
            if channel.live_ms <= self.now:
                listener.told_live.setdefault(key, self.now)
        self.beats[listener.name] = self.redis_now
        self.documents[listener.name] = listener.report(self.now, self)
        told = self.assignments.get(listener.name)
        if told is not None:
            if told.version != listener.version:
                listener.version = told.version
                self.note_epochs(listener, told)
            self.obey(listener, told)
        self.settle(listener)
        listener.last_beat = self.now
        self.shards = listener.shards | self.shards
        if listener.draining and not listener.channels and told is not None and not told.grants:
            del self.listeners[listener.name]
            for known in (self.beats, self.documents, self.assignments):
                known.pop(listener.name, None)

    def obey(self, listener: Listener, told: Assignment) -> None:
        granted = {(grant.shard, grant.replica): grant for grant in told.grants}
        for shard, replica, epoch in list(listener.channels):
            if (shard, replica) not in granted:
                self.close(listener, (shard, replica, epoch), given_up=True)
        for (shard, replica), grant in granted.items():
            key = (shard, replica, grant.epoch)
            # Without a reservation it is tried again at the next beat.
            if key not in listener.channels and self.open_of(grant.client) < CLIENT_LIMIT:
                live_ms = self.now + self.random.randrange(OPENING_MS)
                listener.channels[key] = Channel(grant.client, live_ms)

    def note_epochs(self, listener: Listener, told: Assignment) -> None:
        listener.shards = {
            grant.shard: self.shards[grant.shard]
            for grant in told.grants
            if grant.shard in self.shards
        }
        for grant in told.grants:
            back = (*grant.seat, grant.epoch) in listener.channels
            if grant.epoch < listener.granted.get(grant.seat, 0) and not back:
                self.broken.append(f"{listener.name} was granted an older {grant.seat}")
            if grant.shard not in self.shards:
                self.broken.append(f"{listener.name} was granted {grant.seat} of no shard")
            listener.granted[grant.seat] = grant.epoch

    def highest_epoch(self, shard: str) -> int:
        """The highest epoch of a shard's seats that was granted yet."""
        homes = [*self.listeners.values(), *(victim for _, victim in self.killed)]
        granted = [
            epoch for home in homes for (of, _), epoch in home.granted.items() if of == shard
        ]
        return max([*granted, self.redis_now // 1000])

    def open_of(self, client: str) -> int:
        """The client's channels that are open or reserved: those of the living."""
        return sum(
            channel.client == client
            for listener in self.listeners.values()
            for channel in listener.channels.values()
        )

    def settle(self, listener: Listener) -> None:
        """Of a seat's channels the newest live one stays, and what is newer."""
        for shard, replica, epoch in list(listener.channels):
            newer_lives = any(
                (s, r) == (shard, replica) and e > epoch and channel.live_ms <= self.now
                for (s, r, e), channel in listener.channels.items()
            )
            if newer_lives:
                self.close(listener, (shard, replica, epoch), given_up=False)

    def close(self, listener: Listener, key: Key, *, given_up: bool) -> None:
        closed = listener.channels.pop(key)
        excused = (listener.name, key) in self.excused
        self.excused.discard((listener.name, key))
        # What was lost while this listener was paused, nobody could tell it.
        since = min(self.now, listener.last_beat) - NOTICE_MS
        lost = any(at >= since and seat_key[:2] == key[:2] for at, seat_key in self.lost)
        unknown = listener.told_live.pop(key, self.now) == self.now
        # Listeners store the shards that they hold, those that are no more for a moment too.
        if not given_up or closed.live_ms > self.now or key[0] not in self.outcome.shards:
            return
        if key[2] <= self.retired.get(key[0], 0):
            return  # of a shard that is no more: its number was given anew
        # Whom the leader cannot know to be dead yet counts: that is a second fault, not its error.
        late = self.now - LEASE_MS - NOTICE_MS
        dying = [victim for died, victim in self.killed if died >= late]
        elsewhere = any(
            other is not listener and (s, r) == key[:2] and channel.live_ms <= self.now
            for other in [*self.listeners.values(), *dying]
            for (s, r, _), channel in other.channels.items()
        )
        if not elsewhere and not lost and not excused and not unknown:
            self.broken.append(f"{key} closed on {listener.name} before another was live")

    # -- truth -----------------------------------------------------------------------------------

    def check(self, outcome: Outcome) -> None:
        """What holds at any time; see the top of this file."""
        moving: dict[str, int] = {}
        used = dict.fromkeys(CLIENTS, 0)
        holders: dict[str, dict[str, str]] = {}
        for record in self.leader.seats.values():
            for holding in record.holdings():
                used[holding.client] += 1
                if holding.epoch > record.epoch:
                    self.broken.append(f"{record.seat} has an epoch behind its holding's")
                replica = holders.setdefault(record.shard, {}).setdefault(
                    holding.listener, record.replica
                )
                if replica != record.replica:
                    self.broken.append(f"{holding.listener} has two replicas of {record.shard}")
            if record.next is not None:
                moving[record.shard] = moving.get(record.shard, 0) + 1
        if any(count > 1 for count in moving.values()):
            self.broken.append("I3: two replicas of a shard move")
        if any(count > CLIENT_LIMIT for count in used.values()):
            self.broken.append("I5: the leader grants more than a client has")
        if any(self.open_of(client) > CLIENT_LIMIT for client in CLIENTS):
            self.broken.append("I5: more channels are open than a client has")
        for change in outcome.changes:
            if change.kind == "revoked":
                self.excused.add((change.listener, (*change.seat, change.epoch)))
        self.look_at_coverage()

    def look_at_coverage(self) -> None:
        """Note who is received, and for how long somebody is not."""
        received = {
            shard
            for listener in self.listeners.values()
            for (shard, _, _), channel in listener.channels.items()
            if channel.live_ms <= self.now
        }
        able = any(not listener.draining for listener in self.listeners.values())
        for shard in [*self.unseen, *self.not_live]:
            if shard not in self.shards:
                self.unseen.pop(shard, None)
                self.not_live.pop(shard, None)
        for shard in self.shards:
            if shard in received or not able:
                self.not_live.pop(shard, None)
            else:
                since = max(self.not_live.setdefault(shard, self.now), self.last_fault)
                if self.now - since > DARK_MS:
                    self.broken.append(f"nobody receives {shard} since {self.not_live[shard]}")
            if shard not in received and shard in self.gaps:  # its first gap is its snapshot
                self.unseen.setdefault(shard, []).append(self.now)

    def unfiled(self) -> list[str]:
        """Moments at which nobody received a shard and that no gap has."""
        return [
            f"{shard} at {moment}"
            for shard, moments in self.unseen.items()
            for moment in moments
            if not any(start <= moment <= end for start, end in self.gaps.get(shard, ()))
        ]

    def unwell(self) -> list[str]:
        """In the end: seats that are not live where they should be, places against the rules."""
        free = {
            listener.name: listener for listener in self.listeners.values() if not listener.draining
        }
        replicas = min(2, len(free))
        several_hosts = len({home.host for home in free.values()}) > 1
        found: list[str] = []
        places: dict[str, list[tuple[str, str]]] = {}
        load = dict.fromkeys(free, 0)
        for record in self.leader.seats.values():
            current = record.current
            if current is None or current.listener not in free:
                continue
            channel = free[current.listener].channels.get((*record.seat, current.epoch))
            if channel is not None and channel.live_ms <= self.now:
                places.setdefault(record.shard, []).append((current.listener, current.client))
                load[current.listener] += 1
        used = Counter(client for mine in places.values() for _, client in mine)
        for shard, document in self.shards.items():
            mine = places.get(shard, [])
            clients = document.clients or CLIENTS
            audiences = {self.carriers(topic) for topic in document.topics}
            # What a client may see is learned by asking it: who holds no channel was not asked.
            is_known = {client for _, client in mine} >= set(CLIENTS)
            if is_known and audiences != {frozenset(document.clients)}:
                found.append(f"{shard} has topics of {audiences}")
            found += [f"{shard} is on {client}" for _, client in mine if client not in clients]
            if len(mine) < replicas:
                found.append(f"{shard} has {len(mine)} of {replicas} channels")
            elif replicas == 2 and several_hosts and len({free[who].host for who, _ in mine}) < 2:
                found.append(f"{shard} is on one host")
            elif replicas == 2 and len({client for _, client in mine}) < min(
                2, sum(used[client] < usable_channels(CLIENT_LIMIT) for client in clients)
            ):
                found.append(f"{shard} is on one client")
        return found + [
            f"{full.name} has {load[full.name]} seats, {empty.name} beside it {load[empty.name]}"
            for full in free.values()
            for empty in free.values()
            if full.host == empty.host and load[full.name] - load[empty.name] > 1
        ]
