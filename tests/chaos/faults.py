"""The table of faults: each a record of data, its deeds in `deeds.py`.

The order matters in one place only: a janitor that is killed keeps its gap until its lease lapses,
four minutes later, so janitors come first and the last reckoning finds their gaps filled.
"""

from __future__ import annotations

import signal

from tests.chaos import deeds
from tests.chaos.trial import UNTOLD_BY_REST, WITNESSED, Fault

KILL, STOP, TERM = signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM

OTHER_REPLICA = "the loss of both replicas at once"
ONE_CLIENT = "chaos-1"

FAULTS: tuple[Fault, ...] = (
    # --- processes ---------------------------------------------------------------------------
    Fault(
        name="janitor killed while it fills gaps",
        proves="another janitor goes on; live events do not notice",
        leaves="that its own gap is done within this trial: its lease is four minutes",
        strike=deeds.signal_janitor(KILL),
        struck=deeds.replaced,
    ),
    Fault(
        name="janitor frozen and thawed",
        proves="a janitor that wakes up after its lease does no harm",
        leaves="a pause longer than the lease of its gap",
        strike=deeds.signal_janitor(STOP),
        heal=deeds.thaw,
    ),
    Fault(
        name="janitor ended by SIGTERM",
        proves="it gives its work back",
        leaves="an end during a call that hangs",
        strike=deeds.signal_janitor(TERM),
        struck=deeds.replaced,
    ),
    Fault(
        name="listener killed",
        proves="the other replica has every event; the seats are taken over",
        leaves=OTHER_REPLICA,
        strike=deeds.signal_listener(KILL),
        struck=deeds.replaced,
    ),
    Fault(
        name="listener frozen beyond its lease",
        proves="the leader moves its seats; it wakes up and lets go of them without harm",
        leaves=OTHER_REPLICA,
        strike=deeds.signal_listener(STOP),
        struck=deeds.moved,
        heal=deeds.thaw,
        late=WITNESSED,
    ),
    Fault(
        name="listener ended by SIGTERM",
        proves="seats move before it closes; what it holds is flushed",
        leaves="Kafka being away at the same time: tests/integration/test_listener_publisher.py",
        strike=deeds.signal_listener(TERM),
        struck=deeds.replaced,
    ),
    Fault(
        name="coordinator killed, the leader",
        proves="channels go on without a leader, and another one takes over",
        leaves="the loss of all coordinators together with a listener",
        strike=deeds.signal_leader(KILL),
        struck=deeds.deposed,
    ),
    Fault(
        name="coordinator frozen, the leader",
        proves="the old leader's writes are refused when it wakes up",
        leaves="a freeze in the midst of a write",
        strike=deeds.signal_leader(STOP),
        struck=deeds.deposed,
        heal=deeds.thaw,
    ),
    Fault(
        name="coordinator ended by SIGTERM, the leader",
        proves="it resigns and another one leads",
        leaves="that nothing moves: a new leader may find better seats",
        strike=deeds.signal_leader(TERM),
        struck=deeds.deposed,
    ),
    # --- Redis -------------------------------------------------------------------------------
    Fault(
        name="Redis killed with its replica, back empty",
        proves="channels go on without Redis, and all in it is rebuilt",
        leaves="outages longer than a Genesys token: a day",
        strike=deeds.kill_redis,
        heal=deeds.start_redis,
    ),
    Fault(
        name="Redis wiped (FLUSHALL)",
        proves="Redis is a cache of the truth",
        leaves="a wipe of only some keys",
        strike=deeds.wipe_redis,
    ),
    Fault(
        name="Redis frozen",
        proves="nothing on the way of an event waits for Redis",
        leaves="a freeze so long that Sentinel fails over: the next row",
        strike=deeds.freeze_redis,
        heal=deeds.thaw_redis,
        under_fault=40,
    ),
    Fault(
        name="Redis failed over by Sentinel",
        proves="all processes follow the new master",
        leaves="writes that the old master took and did not replicate, but for what is rebuilt",
        strike=deeds.kill_master,
        struck=deeds.failed_over,
        heal=deeds.restart_killed_redis,
    ),
    # --- Kafka -------------------------------------------------------------------------------
    Fault(
        name="Kafka broker killed",
        proves="acks=all on two of three brokers loses nothing; order holds",
        leaves="the loss of its disk together with another's",
        strike=deeds.kill_brokers(1),
        heal=deeds.start_brokers,
        late=WITNESSED,
    ),
    Fault(
        name="Kafka broker frozen",
        proves="a broker that keeps its connections and answers nobody",
        leaves="freezes shorter than the broker's session",
        strike=deeds.freeze_brokers(1),
        heal=deeds.thaw_brokers,
        late=WITNESSED,
    ),
    Fault(
        name="Kafka leaders moved by an orderly shutdown",
        proves="leaders move away and back without loss or disorder",
        leaves="reassignment of replicas",
        strike=deeds.stop_broker,
        heal=deeds.start_brokers_and_elect,
        late=WITNESSED,
    ),
    Fault(
        name="Kafka away, all brokers killed",
        proves="events wait on the disks of both hosts and follow in order",
        leaves="hours of it: the spool is bounded by MIRROR_SPOOL_LIMIT",
        strike=deeds.kill_brokers(3),
        struck=deeds.spooling,
        heal=deeds.start_brokers,
        late=WITNESSED,
    ),
    Fault(
        name="Kafka away and listener killed with its spool",
        proves="what a dead listener left on disk is adopted and delivered",
        leaves="the loss of the disk",
        strike=deeds.freeze_brokers(3),
        struck=deeds.spooling_then_kill_listener,
        heal=deeds.thaw_brokers,
        late=WITNESSED,
    ),
    # --- disk --------------------------------------------------------------------------------
    Fault(
        name="spool disk full on one host, Kafka away",
        proves="a full disk alone costs nothing, also when Kafka comes back before the disk does",
        leaves="both disks full: the next row",
        strike=deeds.fill_disks("north"),
        struck=deeds.refusing("north"),
        heal=deeds.clear_disks,
        needs=deeds.small_disks,
        late=WITNESSED,
    ),
    Fault(
        name="spool disks full on both hosts, Kafka away",
        proves="what no disk takes waits in memory and goes to Kafka from there",
        leaves="memory full too, or the processes killed: then it is a gap",
        strike=deeds.fill_disks("north", "south"),
        struck=deeds.refusing("north", "south"),
        heal=deeds.clear_disks,
        needs=deeds.small_disks,
        late=WITNESSED,
    ),
    # --- sockets -----------------------------------------------------------------------------
    Fault(
        name="sockets of one client dropped",
        proves="the other replica covers while they reconnect",
        leaves=OTHER_REPLICA,
        strike=deeds.simulate(fault="drop", client=ONE_CLIENT),
    ),
    Fault(
        name="all sockets dropped",
        proves="the hole is filed and back-filled",
        leaves="rings, holds and parks inside the hole",
        strike=deeds.simulate(fault="drop"),
        window=UNTOLD_BY_REST,
    ),
    Fault(
        name="sockets of one client stalled",
        proves="silence is noticed by MIRROR_SILENCE, and its cover ends at the last frame",
        leaves=OTHER_REPLICA,
        strike=deeds.simulate(fault="stall", client=ONE_CLIENT),
    ),
    Fault(
        name="sockets of one client kicked",
        proves="being replaced by another socket ends in one socket, not in a fight",
        leaves=OTHER_REPLICA,
        strike=deeds.simulate(fault="kick", client=ONE_CLIENT),
    ),
    Fault(
        name="sockets closing for maintenance",
        proves="an announced end is taken over before it comes, on both replicas",
        leaves="an announcement that is not kept",
        strike=deeds.simulate(fault="closing", ms=8_000),
        under_fault=100,
        window=UNTOLD_BY_REST,
    ),
    Fault(
        name="all channels rotated (mirror rotate)",
        proves="make before break, on every seat",
        leaves="rotation by age: tests/unit/listeners",
        strike=deeds.rotate_all,
        struck=deeds.rotated,
    ),
    Fault(
        name="one replica loses half its frames",
        proves="two of everything; the next snapshot tells the rest",
        leaves="the same frame lost on both",
        strike=deeds.simulate(fault="lose", share=0.5, nth=0),
        heal=deeds.calm,
    ),
    Fault(
        name="garbage between frames",
        proves="garbage becomes dead letters and harms nobody else",
        leaves="garbage that is a well-formed lie",
        strike=deeds.noise,
        struck=deeds.buried,
        heal=deeds.calm,
    ),
    Fault(
        name="frames twice",
        proves="repetition costs nothing, by id",
        leaves="",
        strike=deeds.simulate(fault="duplicate", ms=80),
        heal=deeds.calm,
    ),
    # --- REST --------------------------------------------------------------------------------
    Fault(
        name="429 storm while sockets reconnect",
        proves="Retry-After is obeyed and no event waits for REST",
        leaves="a storm that outlasts both replicas' tokens",
        strike=deeds.storm(status=429, retry_after=2),
        heal=deeds.calm,
    ),
    Fault(
        name="401 storm, tokens of one client revoked",
        proves="new tokens and channels are made; the other client covers meanwhile",
        leaves="all clients revoked at once",
        strike=deeds.storm(status=401, share=0.5, revoke=True),
        heal=deeds.calm,
    ),
    Fault(
        name="5xx storm while sockets reconnect",
        proves="failures are retried with care and change nothing",
        leaves="a storm that outlasts both replicas' tokens",
        strike=deeds.storm(status=503, share=0.7),
        heal=deeds.calm,
    ),
    # --- network -----------------------------------------------------------------------------
    Fault(
        name="host cut off from everything",
        proves="the other host has a replica of every shard; the lost one comes back without harm",
        leaves="asymmetric cuts",
        strike=deeds.unplug("north"),
        struck=deeds.dead_host("north"),
        heal=deeds.plug,
        needs=deeds.cables,
        late=WITNESSED,
    ),
    Fault(
        name="host cut off from Redis",
        proves="its channels go on mirroring (static stability)",
        leaves="a cut longer than a token",
        strike=deeds.cut(("north", "redis")),
        struck=deeds.dead_host("north"),
        heal=deeds.mend,
        needs=deeds.cables,
    ),
    Fault(
        name="host cut off from Kafka",
        proves="its events wait on disk and follow in order",
        leaves="",
        strike=deeds.cut(("north", "kafka")),
        struck=deeds.spooling,
        heal=deeds.mend,
        needs=deeds.cables,
        late=WITNESSED,
    ),
    Fault(
        name="host cut off from Genesys",
        proves="silence on all its sockets is noticed, the other host covers",
        leaves="",
        strike=deeds.cut(("north", "genesys")),
        struck=deeds.silent("north"),
        heal=deeds.mend,
        needs=deeds.cables,
    ),
    Fault(
        name="both hosts cut off from Genesys",
        proves="the hole is filed from the last frame on, and back-filled",
        leaves="rings, holds and parks inside the hole",
        strike=deeds.cut(("north", "genesys"), ("south", "genesys")),
        struck=deeds.silent("north", "south"),
        heal=deeds.mend,
        window=UNTOLD_BY_REST,
        needs=deeds.cables,
        under_fault=20,
    ),
    # --- clocks and hosts --------------------------------------------------------------------
    Fault(
        name="wall clock of a listener stepped +1 h, then -2 h",
        proves="deadlines run by the monotonic clock; times of Genesys are kept",
        leaves="a monotonic clock that stands still",
        strike=deeds.step_clock,
        heal=deeds.set_clock_right,
        needs=deeds.faketime,
    ),
    Fault(
        name="host lost (power) and back",
        proves="one host can go without loss; what was on its disk is delivered",
        leaves="the loss of its disk while Kafka is away",
        strike=deeds.lose_host("south"),
        struck=deeds.dead_host("south"),
        heal=deeds.start_host,
    ),
    Fault(
        name="both hosts rolled, one after the other",
        proves="a deployment loses nothing",
        leaves="both at once: that is a hole",
        strike=deeds.roll_hosts,
    ),
)
