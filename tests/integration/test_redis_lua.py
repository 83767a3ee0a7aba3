"""The shared Lua commands, on a real server."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import msgspec
import pytest
import redis

from coordinator.election import Deposed, Leadership, Write
from coordinator.store import FleetStore
from coordinator.tracker.batch import ConversationChange
from coordinator.tracker.store import ConversationStore
from janitor.claims import BEHIND_SECONDS, NEVER, Leases
from janitor.gaps.marks import Marks
from listeners.fleet_link import RESERVED_LEASES, FleetLink
from mirror.base.errors import RedisUnavailable
from mirror.fleet.gaps import Gap, file_gap, list_gaps
from mirror.fleet.pinned import pin
from mirror.fleet.tracked import count_conversations, oldest_due_seconds
from mirror.fleet.words import Assignment, Beat, Grant, Released, Shard
from mirror.genesys.handles import Handle
from mirror.kafka.partition import partition
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import check, connect, wait_for
from mirror.redis.keys import Keys
from mirror.redis.rate import BURST, LONGEST_PAUSE_SECONDS, RATE_PER_MINUTE, RateBudget, used_ahead
from mirror.settings import Settings, load

KEYS = Keys("test")
GRANT = Grant("1", "a", 3, "client", 7)
GAP = Gap(id="g", shard="1", topics=("t",), from_ms=0, to_ms=1)
BEAT = Beat(listener="l1", host="h", pid=1, version="0", state="live")


def settings_for(url: str, **more: str) -> Settings:
    """Settings of a mirror on the Redis at `url`."""
    return load({"REDIS_URL": url, "MIRROR_NAMESPACE": "test", **more})


@pytest.fixture
def settings(redis_url: str) -> Settings:
    """A mirror whose leases are short."""
    return settings_for(redis_url, MIRROR_LEASE="400ms", MIRROR_HEARTBEAT="100ms")


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """A connection as the product makes it."""
    with connect(settings) as client:
        yield client


@pytest.fixture
def link(client: redis.Redis, settings: Settings) -> FleetLink:
    """A listener's link."""
    return FleetLink(client, settings)


def until(deadline_seconds: float, done: object) -> None:
    """Wait for a condition on real time; the tests of lapses cannot do without."""
    assert callable(done)
    deadline = time.monotonic() + deadline_seconds
    while not done():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def test_a_beat_tells_and_asks(link: FleetLink, client: redis.Redis) -> None:
    """The beat is stored under Redis' time; the assignment comes where its version differs."""
    assert link.beat(BEAT, 0) is None
    assignment = Assignment(9, (GRANT,))
    client.set(KEYS.assignment("l1"), msgspec.json.encode(assignment))
    before_ms = redis_now_ms(client)
    assert link.beat(BEAT, 0) == assignment
    assert client.zcount(KEYS.beats, before_ms, redis_now_ms(client)) == 1
    assert link.beat(BEAT, 9) is None
    assert link.beat(BEAT, 10) == assignment, "a lower version is news too"
    assert msgspec.json.decode(client.get(KEYS.listener("l1")) or "", type=Beat) == BEAT


def test_leaving_leaves_nothing(link: FleetLink, client: redis.Redis) -> None:
    """Neither beat nor document nor assignment stays; leaving twice is harmless."""
    link.beat(BEAT, 0)
    client.set(KEYS.assignment("l1"), msgspec.json.encode(Assignment(1, ())))
    link.leave("l1")
    link.leave("l1")
    assert client.keys("*") == []


def test_the_budget_is_kept(link: FleetLink) -> None:
    """I5: the third of two channels is refused until one is released; a holder asks twice."""
    assert link.reserve_channel("c", "l1/1", 2)
    assert link.reserve_channel("c", "l1/2", 2)
    assert not link.reserve_channel("c", "l1/3", 2)
    assert link.reserve_channel("c", "l1/1", 2)
    assert link.reserve_channel("other", "l1/3", 2)
    link.release_channel("c", "l1/2")
    assert link.reserve_channel("c", "l1/3", 2)


def test_reservations_lapse_with_their_holder(
    link: FleetLink, client: redis.Redis, settings: Settings
) -> None:
    """Without beats a reservation is free after some leases, and not with the verdict of death,
    which may be wrong; with beats it is kept."""
    other = FleetLink(client, settings)
    started = time.monotonic()
    assert link.reserve_channel("c", "dead", 1)
    until(4, lambda: other.reserve_channel("c", "heir", 1))
    assert time.monotonic() - started > (RESERVED_LEASES - 0.5) * settings.lease
    deadline = time.monotonic() + (RESERVED_LEASES + 1.5) * settings.lease
    while time.monotonic() < deadline:
        other.beat(BEAT, 0)
        assert not link.reserve_channel("c", "late", 1)
        time.sleep(0.05)


def test_a_beat_restores_what_redis_forgot(link: FleetLink, client: redis.Redis) -> None:
    """After a flush the channels that exist are counted again, scripts are loaded again."""
    link.reserve_channel("c", "l1/1", 1)
    client.flushall()
    client.script_flush()
    link.beat(BEAT, 0)
    assert not link.reserve_channel("c", "l2/1", 1)


def test_a_channel_given_back_waits_for_its_next_holder(
    link: FleetLink, client: redis.Redis
) -> None:
    """The handle is stored for the leader, the reservation is free."""
    link.reserve_channel("client", "l1/1", 1)
    link.give_back(GRANT, Handle("streaming-1-x", "wss://h/x"), "l1/1")
    stored = msgspec.json.decode(client.hget(KEYS.released, "1/a") or "", type=Released)
    assert stored == Released("client", 3, Handle("streaming-1-x", "wss://h/x"))
    assert link.reserve_channel("client", "l2/1", 1)


def test_an_unknown_shard_is_none(link: FleetLink, client: redis.Redis) -> None:
    """A shard that Redis does not have is told as such."""
    shard = Shard("1", ("t",), 4)
    assert link.shards(["1"]) == {}
    client.set(KEYS.shard("1"), msgspec.json.encode(shard))
    assert link.shards(["1"]) == {"1": shard}


def test_one_leader_at_a_time(client: redis.Redis) -> None:
    """The lock is one's until it lapses or is given up; each election raises the fence."""
    leader, rival = (Leadership(client, KEYS, name, 0.3) for name in ("one", "two"))
    _, elected = leader.claim()
    first = leader.fence
    assert elected
    assert first > 0
    assert (leader.claim()[1], leader.fence) == (False, first)
    rival.claim()
    assert rival.fence == 0
    until(2, lambda: rival.claim()[1])
    second = rival.fence
    assert second > first
    leader.claim()
    assert leader.fence == 0
    rival.resign()
    leader.claim()
    assert leader.fence > second


def test_a_lock_of_before_the_clock_was_set_back_lapses(client: redis.Redis) -> None:
    """A dead leader's lock holds for a lease, not for the hour that Redis' clock lost."""
    client.set(KEYS.leader, "dead", px=3_600_000)
    heir = Leadership(client, KEYS, "heir", 0.3)
    assert not heir.claim()[1]
    until(2, lambda: heir.claim()[1])


def test_a_fence_is_never_given_twice(client: redis.Redis) -> None:
    """Redis came back empty and others led meanwhile: the old leader learns of its new election."""
    leader, rival = (Leadership(client, KEYS, name, 60) for name in ("one", "two"))
    rival.claim()
    rival.resign()
    leader.claim()
    client.flushall()
    rival.claim()
    rival.resign()
    _, elected = leader.claim()
    assert elected


def test_a_stale_leader_writes_nothing(client: redis.Redis) -> None:
    """I2: refused in the script where another leads, and where oneself was elected anew."""
    leader, rival = (Leadership(client, KEYS, name, 60) for name in ("one", "two"))
    leader.claim()
    leader.write([Write("SET", KEYS.seats, ("kept",))])
    client.delete(KEYS.leader)
    rival.claim()
    with pytest.raises(Deposed):
        leader.write([Write("SET", KEYS.seats, ("stale",)), Write("DEL", KEYS.shards)])
    assert (client.get(KEYS.seats), leader.fence) == ("kept", 0)

    stale = rival.fence
    rival.resign()
    rival.fence = stale
    other = Leadership(client, KEYS, "two", 60)
    other.claim()
    with pytest.raises(Deposed):
        rival.write([Write("SET", KEYS.seats, ("stale",))])
    assert client.get(KEYS.seats) == "kept"


def test_every_command_of_a_write(client: redis.Redis) -> None:
    """Each command does what Redis' own does; `FILE` files a gap."""
    leader = Leadership(client, KEYS, "one", 60)
    leader.claim()
    client.zadd("z", {"m": 5, "n": 6})
    leader.write(
        [
            Write("SET", "s", ("1",)),
            Write("HSET", "h", ("a", "1")),
            Write("HSET", "h", ("b", "2")),
            Write("HDEL", "h", ("a",)),
            Write("ZREM", "z", ("n",)),
            Write("FILE", KEYS.gap("g"), ("g", msgspec.json.encode(GAP))),
            Write("SET", "gone", ("1",)),
            Write("DEL", "gone"),
        ]
    )
    assert (client.get("s"), client.hgetall("h")) == ("1", {"b": "2"})
    assert client.zrange("z", 0, -1, withscores=True) == [("m", 5.0)]
    assert list_gaps(client, KEYS) == [GAP]
    assert not client.exists("gone")


def test_many_large_writes_go_in_several_scripts(client: redis.Redis) -> None:
    """Fifty shards of a thousand topics are written, in order."""
    leader = Leadership(client, KEYS, "one", 60)
    leader.claim()
    leader.write([Write("SET", f"k{n}", ("x" * 60_000,)) for n in range(50)])
    assert all(client.strlen(f"k{n}") == 60_000 for n in range(50))


def test_the_rate_is_shared_and_kept(client: redis.Redis) -> None:
    """Two processes together get the burst, then wait; any minute stays below Genesys' limit."""
    budget, second = (RateBudget(client, KEYS, "c") for _ in range(2))
    passed = 0
    while (budget if passed % 2 else second).ask() == 0.0:
        passed += 1
        assert passed <= 2 * BURST
    assert BURST <= passed <= BURST + 10
    assert RATE_PER_MINUTE + BURST < 300
    assert 0 < budget.ask() <= 60 / RATE_PER_MINUTE
    assert RateBudget(client, KEYS, "another").ask() == 0.0


def test_what_is_shown_of_a_budget_is_what_binds(client: redis.Redis) -> None:
    """Nothing of it used, a part, a pause of a 429, and what somebody else wrote there."""
    budget, burst_ms = RateBudget(client, KEYS, "c"), BURST * 60_000 / RATE_PER_MINUTE
    assert used_ahead(client, KEYS, "c") == 0.0
    assert budget.ask() == 0.0
    assert 0 < used_ahead(client, KEYS, "c") <= 60_000 / RATE_PER_MINUTE
    budget.push(LONGEST_PAUSE_SECONDS)
    assert 299_000 < used_ahead(client, KEYS, "c") - burst_ms <= 300_000
    client.set(KEYS.rate("c"), "no number")
    assert used_ahead(client, KEYS, "c") == 0.0
    assert budget.ask() == 0.0


def test_retry_after_binds_everybody(client: redis.Redis) -> None:
    """A 429 of one process keeps the other away for as long as Genesys asked."""
    budget, second = (RateBudget(client, KEYS, "c") for _ in range(2))
    budget.push(30)
    assert 29 < second.ask() <= 31
    budget.push(3)
    assert second.ask() > 28, "a shorter pause does not shorten a longer one"


@pytest.mark.parametrize("ahead_s", [3600, 1e12, float("nan"), float("inf")])
def test_a_budget_of_before_the_clock_was_set_back_is_not_believed(
    client: redis.Redis, ahead_s: float
) -> None:
    """Redis' clock steps back by an hour: calls go on, one at a time, and a 429 still binds."""
    budget = RateBudget(client, KEYS, "c")
    seconds, _ = client.time()
    client.set(KEYS.rate("c"), f"{(seconds + ahead_s) * 1000:.3f}")
    assert used_ahead(client, KEYS, "c") < BURST * 60_000 / RATE_PER_MINUTE
    assert budget.ask() == 0.0
    assert 0 < budget.ask() <= 60 / RATE_PER_MINUTE
    client.set(KEYS.rate("c"), f"{(seconds + ahead_s) * 1000:.3f}")
    budget.push(30)
    assert 29 < budget.ask() <= 31


def test_a_pause_is_believed_up_to_the_longest(client: redis.Redis) -> None:
    """What a server asks for beyond it, or what is no number, is the longest pause."""
    for number, seconds in enumerate((LONGEST_PAUSE_SECONDS, 1e15, math.inf, math.nan)):
        budget = RateBudget(client, KEYS, str(number))
        budget.push(seconds)
        assert LONGEST_PAUSE_SECONDS - 1 < budget.ask() <= LONGEST_PAUSE_SECONDS + 1
    budget = RateBudget(client, KEYS, "c")
    budget.push(-5)
    assert budget.ask() < 1


def test_reservations_of_before_the_clock_was_set_back_lapse(
    link: FleetLink, client: redis.Redis, settings: Settings
) -> None:
    """A dead holder's blocks a channel for a lease, not for the hour that the clock lost."""
    seconds, _ = client.time()
    client.zadd(KEYS.channels("c"), {"dead": (seconds + 3600) * 1000})
    assert not link.reserve_channel("c", "l1/1", 1)
    until(4 * settings.lease, lambda: link.reserve_channel("c", "l1/1", 1))


def test_a_beat_of_before_the_clock_was_set_back_ages(link: FleetLink, client: redis.Redis) -> None:
    """Who died since is missed after a lease: the beats of the living bring it to now."""
    seconds, _ = client.time()
    client.zadd(KEYS.beats, {"dead": (seconds + 3600) * 1000, "alive": (seconds - 1) * 1000})
    link.beat(BEAT, 0)
    heard = client.zscore(KEYS.beats, "l1")
    assert client.zscore(KEYS.beats, "dead") == heard
    assert client.zscore(KEYS.beats, "alive") == (seconds - 1) * 1000
    link.beat(BEAT, 0)
    assert client.zscore(KEYS.beats, "dead") == heard


def test_without_redis_a_process_keeps_to_a_part_of_the_rate() -> None:
    """I7: the budget never stops the work because Redis is away."""
    settings = settings_for("redis://127.0.0.1:1/0")
    budget = RateBudget(connect(settings), KEYS, "c")
    assert budget.ask() == 0.0
    budget.push(20)
    assert 19 < budget.ask() < 22


def test_an_unreachable_redis_is_told_in_one_line_without_its_password() -> None:
    """Start-up gives up after its time-out and names server and setting, never the secret."""
    settings = settings_for("redis://user:s3cret@127.0.0.1:1/0", MIRROR_STARTUP_TIMEOUT="200ms")
    client = connect(settings)
    for ask in (check, wait_for):
        with pytest.raises(RedisUnavailable) as caught:
            ask(client, settings)
        assert "127.0.0.1:1" in str(caught.value)
        assert "REDIS_URL" in str(caught.value)
        assert "s3cret" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_wrong_password_is_told(client: redis.Redis, settings: Settings) -> None:
    """Refused credentials are told apart from silence."""
    port = settings.redis_url.rsplit(":", 1)[1]
    wrong = settings_for(f"redis://nobody:wrong@127.0.0.1:{port}")
    with pytest.raises(RedisUnavailable, match="refuses the user name or password"):
        check(connect(wrong), wrong)


@pytest.fixture
def refusing(client: redis.Redis, settings: Settings) -> Iterator[Callable[[str], redis.Redis]]:
    """Makes a client to which Redis refuses one command: what it writes breaks off there."""
    with ExitStack() as stack:

        def make(command: str) -> redis.Redis:
            client.execute_command(  # type: ignore[no-untyped-call]  # redis-py leaves it so
                "ACL", "SETUSER", "halting", "on", ">halting", "~*", "+@all", f"-{command}"
            )
            url = settings.redis_url.replace("://", "://halting:halting@")
            refused: redis.Redis = stack.enter_context(connect(settings_for(url)))
            return refused

        yield make
        client.execute_command("ACL", "DELUSER", "halting")  # type: ignore[no-untyped-call]


def claimed(client: redis.Redis) -> tuple[str, ...]:
    """The gaps that a janitor gets now."""
    return Leases(client, KEYS, "events").claim_gaps(9, 60.0).ids


def test_a_filing_that_broke_off_is_completed(
    client: redis.Redis, refusing: Callable[[str], redis.Redis]
) -> None:
    """Redis failed after the document. Filed again, the gap is shown and can be claimed."""
    with pytest.raises(RedisUnavailable):
        file_gap(refusing("zadd"), KEYS, GAP)
    assert list_gaps(client, KEYS) == []
    assert file_gap(client, KEYS, GAP)
    assert not file_gap(client, KEYS, GAP)
    assert list_gaps(client, KEYS) == [GAP]
    assert claimed(client) == ("g",)
    assert not file_gap(client, KEYS, GAP), "a claimed gap keeps its lease"
    assert claimed(client) == ()


def file_as_leader(client: redis.Redis, keys: Keys, gap: Gap) -> None:
    """File a gap in the fenced writes of a pass."""
    leader = Leadership(client, keys, "one", 60)
    leader.claim()
    leader.write(FleetStore(client, keys).gap_writes([gap]))


@pytest.mark.parametrize("file", [file_gap, file_as_leader])
def test_a_gap_takes_no_place_of_a_done_one(
    client: redis.Redis, file: Callable[[redis.Redis, Keys, Gap], object]
) -> None:
    """The document of a done gap expired before its place in the ledger was swept."""
    client.zadd(KEYS.gaps, {"g": "+inf"})
    file(client, KEYS, GAP)
    assert claimed(client) == ("g",)
    file(client, KEYS, GAP)
    assert claimed(client) == (), "a claimed gap keeps its lease"


def test_a_drop_that_broke_off_hides_no_gap(
    client: redis.Redis, refusing: Callable[[str], redis.Redis]
) -> None:
    """A janitor drops an unreadable gap, so that the leader files it again from its memory."""
    file_gap(client, KEYS, GAP)
    client.set(KEYS.gap("g"), "unreadable")
    lease = Leases(client, KEYS, "events").claim_gaps(1, 60.0).lease
    with pytest.raises(RedisUnavailable):
        Leases(refusing("zrem"), KEYS, "events").drop_gap(lease, "g")
    Leases(client, KEYS, "events").drop_gap(lease, "g")
    assert file_gap(client, KEYS, GAP)
    assert claimed(client) == ("g",)


def test_a_lost_lease_drops_nothing(client: redis.Redis) -> None:
    """Only the holder of the lease is heard."""
    file_gap(client, KEYS, GAP)
    Leases(client, KEYS, "events").drop_gap("1", "g")
    assert list_gaps(client, KEYS) == [GAP]


def test_a_gap_is_done_only_once_its_document_says_so(
    client: redis.Redis, refusing: Callable[[str], redis.Redis]
) -> None:
    """Redis failed while a janitor wrote the end of a gap down: it can be claimed again."""
    file_gap(client, KEYS, GAP)
    leases = Leases(client, KEYS, "events")
    lease = leases.claim_gaps(1, 60.0).lease
    filled = msgspec.structs.replace(GAP, state="filled")
    with pytest.raises(RedisUnavailable):
        Leases(refusing("set"), KEYS, "events").write_gap(lease, filled, NEVER)
    assert client.zscore(KEYS.gaps, "g") == float(lease)
    assert leases.write_gap(lease, filled, NEVER)
    assert list_gaps(client, KEYS) == [filled]


def test_marks_that_cannot_expire_are_not_made(
    client: redis.Redis, refusing: Callable[[str], redis.Redis]
) -> None:
    """Without a time to live they would stay for ever."""
    with pytest.raises(RedisUnavailable):
        Marks(refusing("expire"), KEYS, GAP).mark("conversation")
    assert not client.exists(KEYS.gap_read("g"))


PARTITIONS = 4


def overdue(client: redis.Redis, count: int) -> dict[int, set[str]]:
    """Conversations that are due, by partition, while a tracker lives."""
    offsets = KEYS.offsets("events")
    client.hset(offsets, "beat", round(time.time() * 1000))
    found: dict[int, set[str]] = {}
    for number in range(count):
        name = f"c{number}"
        found.setdefault(partition(name, PARTITIONS), set()).add(name)
        client.zadd(KEYS.active, {name: 0})
    assert len(found) == PARTITIONS
    return found


def test_a_tracker_behind_in_a_partition_holds_up_its_conversations_alone(
    client: redis.Redis,
) -> None:
    """Their ends may be unread. They are put back, though they are more than fit a claim; and so
    they are if others share the work."""
    names = overdue(client, 100)
    leases = Leases(client, KEYS, "events", PARTITIONS)
    client.hset(KEYS.offsets("events"), mapping={"behind:1": 1, "behind:9": 1})
    for name in names[1]:
        client.zadd(KEYS.active, {name: -1})  # the first to be claimed
    claims = [leases.claim_conversations(10, 60.0) for _ in range(12)]
    claimed_ids = [id_ for claim in claims for id_ in claim.ids]
    assert sorted(claimed_ids) == sorted(names[0] | names[2] | names[3])
    assert claims[0].obstacle == "behind"
    assert claims[-1].obstacle == ""
    soon = (time.time() + BEHIND_SECONDS + 5) * 1000
    assert all(float(client.zscore(KEYS.active, name) or 0) < soon for name in names[1])


def test_a_partition_that_the_topic_no_longer_has_holds_up_nothing(client: redis.Redis) -> None:
    """The topic was made again with fewer partitions."""
    overdue(client, 50)
    client.hset(KEYS.offsets("events"), f"behind:{PARTITIONS}", 1)
    claim = Leases(client, KEYS, "events", PARTITIONS).claim_conversations(50, 60.0)
    assert (len(claim.ids), claim.obstacle) == (50, "")
    store = ConversationStore(client, KEYS, "events")
    assert store.anybody_behind(), "the number is not known yet"
    pin(client, KEYS, {"events": PARTITIONS})
    assert not store.anybody_behind()
    client.hset(KEYS.offsets("events"), "behind:0", 1)
    assert store.anybody_behind()


def test_a_tracker_behind_everywhere_holds_up_all(client: redis.Redis) -> None:
    """Nothing is claimed, and nothing put back. The same where the partitions are unknown."""
    overdue(client, 50)
    client.hset(KEYS.offsets("events"), mapping={f"behind:{n}": 1 for n in range(PARTITIONS)})
    for count in (0, PARTITIONS):
        claim = Leases(client, KEYS, "events", count).claim_conversations(50, 60.0)
        assert (claim.ids, claim.obstacle) == ((), "behind")
    assert client.zcount(KEYS.active, 0, 0) == 50


def test_an_old_conversation_that_is_new_to_us_has_not_waited_yet(client: redis.Redis) -> None:
    """A back-fill found it, or its thread of weeks goes on. It is due at once, and janitors are not
    behind with it by weeks. One that is due later keeps its time."""
    now_ms = redis_now_ms(client)
    young = now_ms + 50_000
    found = [
        ConversationChange("old", b"[]", None, now_ms - 20 * 86_400_000, 100_000),
        ConversationChange("young", b"[]", None, young, 100_000),
    ]
    assert ConversationStore(client, KEYS, "events").apply(0, "", 1, found, behind=False)
    assert client.zscore(KEYS.active, "young") == young
    assert count_conversations(client, KEYS) == (2, 1)
    assert oldest_due_seconds(client, KEYS) < 60.0
