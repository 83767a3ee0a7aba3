"""The commands that change something, against a Redis that says what a mirror would say."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from console import main
from harness.process import wait_until
from harness.redis import RedisServer
from mirror.fleet.backfill import file_backfill, follow
from mirror.fleet.gaps import encode, file_gap, list_gaps
from mirror.fleet.names import slice_of
from mirror.fleet.requests import DRAIN
from mirror.fleet.words import Beat, ChannelReport, Shard
from mirror.fleet.workers import Reporter
from mirror.redis.keys import Keys

NOBODY = "127.0.0.1:1"
UNKNOWN = "0000000f-0000-4000-8000-00000000000f"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """The keys of this test's mirror."""
    return Keys(tmp_path.name)


@pytest.fixture
def run(
    redis_url: str,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs `mirror …`: exit code, stdout, stderr."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("MIRROR_NAMESPACE", keys.namespace)

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mirror", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    return command


@pytest.fixture
def beat(redis_server: RedisServer, keys: Keys) -> Callable[..., None]:
    """Has a listener beat once, with a live channel of the one shard, or with an error."""

    def once(name: str, error: str = "") -> None:
        report = ChannelReport(
            shard="0",
            replica="a",
            epoch=1,
            client="c",
            state="opening" if error else "live",
            error=error,
        )
        told = Beat(listener=name, host=name, pid=1, version="0", state="live", channels=(report,))
        topics = ("v2.routing.queues.q1.conversations",)
        with redis_server.client() as client:
            seconds, _ = client.time()
            client.zadd(keys.beats, {name: seconds * 1000})
            client.set(keys.listener(name), msgspec.json.encode(told))
            client.set(keys.shard("0"), msgspec.json.encode(Shard("0", topics, 1)))
            client.hset(keys.shards, "0", 1)
            client.set(keys.leader, "coordinator-1")

    return once


def test_a_drain_is_shown_and_taken_back(
    run: Run, beat: Callable[..., None], redis_server: RedisServer, keys: Keys
) -> None:
    """Where there is somewhere to go: draining in `listeners`, a note in `status`; undone."""
    beat("x")
    beat("y")
    code, _, err = run("drain", "x")
    assert code == 0
    assert "nowhere to go" not in err
    assert "draining" in run("listeners")[1]
    assert "`mirror undrain x` ends it" in run("status")[1]
    code, _, err = run("undrain", "x")
    assert (code, err) == (
        0,
        "x may have channels again; `mirror rebalance` gives it some now\n",
    )
    assert "draining" not in run("listeners")[1]
    with redis_server.client() as client:
        assert client.hkeys(keys.commands) == []
    code, _, err = run("undrain", "x")
    assert code == 1
    assert "x is not drained" in err


def test_a_drain_that_has_nowhere_to_go_says_so(run: Run, beat: Callable[..., None]) -> None:
    """At once, and in `status` for as long as it lasts; another that is drained takes nothing."""
    beat("x")
    code, _, err = run("drain", "x")
    assert code == 0
    assert "x has nowhere to go: no other listener takes channels" in err
    assert "have nowhere to go" in run("status")[1]
    beat("y")
    assert "have nowhere to go" not in run("status")[1]
    assert "y has nowhere to go" in run("drain", "y")[2]


def test_a_refused_topic_is_told_by_name(
    run: Run, beat: Callable[..., None], redis_server: RedisServer, keys: Keys
) -> None:
    """As elsewhere, beside the id; by the id alone if Redis has no name."""
    beat("x")
    with redis_server.client() as client:
        client.hset(keys.rejected, "v2.routing.queues.q1.conversations", "Genesys refuses")
        assert "shard 0: Genesys refuses: queue q1\n" in run("status")[1]
        client.hset(keys.names_of("queues", slice_of("q1")), "q1", "Support")
    assert "shard 0: Genesys refuses: queue Support (q1)\n" in run("status")[1]


def test_status_check_ends_with_one_where_the_mirror_is_down(
    run: Run, beat: Callable[..., None]
) -> None:
    """Not where it is degraded; without `--check` never."""
    assert run("status")[0] == 0
    code, out, told = run("status", "--check")
    assert code == 1
    assert "no listener is alive: start `mirror up` or `mirror listener`" in out
    (line,) = told.splitlines()
    assert line.startswith("mirror: the mirror is down: no listener is alive")
    beat("x", error="the channel's socket answered 403")
    code, out, _ = run("status", "--check")
    assert code == 1
    assert "the channel's socket answered 403; `mirror doctor` names the cure" in out
    beat("y")
    code, out, told = run("status", "--check", "--json")
    assert (code, told) == (0, "")
    assert '"degraded"' in out


def test_a_backfill_without_janitors_says_so(
    run: Run, beat: Callable[..., None], redis_server: RedisServer, keys: Keys
) -> None:
    """And that a queue is not among what is mirrored; with a janitor neither."""
    beat("x")
    code, _, err = run("backfill", "--since", "2h", "--queue", UNKNOWN, "--no-wait")
    assert code == 0
    assert f"queue {UNKNOWN} is not mirrored" in err
    assert ": 1 topic\n" in err
    assert "no janitor works, so nobody fills it yet: start `mirror janitor`" in err
    with redis_server.client() as client:
        reporter = Reporter(client, keys, "janitor", "j")
        reporter.note()
        _, _, err = run("backfill", "--since", "2h", "--queue", "q1", "--no-wait")
        assert "janitor" not in err
        assert "is not mirrored" not in err
        reporter.leave()
        assert client.hgetall(keys.workers) == {}


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_topics_without_kafka_end_as_an_outage(
    options: tuple[str, ...], run: Run, beat: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 3 and one line, behind what Redis knows."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", NOBODY)
    monkeypatch.setenv("MIRROR_STARTUP_TIMEOUT", "1s")
    beat("x")
    code, out, err = run("topics", *options)
    assert code == 3
    assert "q1" in out
    (line,) = err.splitlines()
    assert NOBODY in line


@pytest.mark.parametrize(
    "words",
    [
        ("topics", "--queue", "nope"),
        ("topics", "--queue", "nope", "--json"),
        ("conversations", "--queue", "nope"),
        ("backfill", "--since", "2h", "--queue", "nope"),
    ],
)
def test_a_queue_that_is_not_there_is_wrong_usage(
    words: tuple[str, ...], run: Run, beat: Callable[..., None]
) -> None:
    """The same answer of every command that takes the name of a queue."""
    beat("x")
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith(
        "mirror: --queue is 'nope': there is no such queue among 1 mirrored queues. `mirror topics`"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--json"),
        ("listeners",),
        ("topics", "--json"),
        ("conversations", "--json"),
        ("gaps",),
        ("rebalance",),
        ("backfill", "--since", "2h", "--no-wait"),
        ("tail", "--limit", "1"),
        ("dlq", "list"),
        ("up", "status"),
    ],
)
def test_every_command_warns_once_of_a_setting_that_does_nothing(
    words: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stderr: what a program reads from stdout stays as it is."""
    monkeypatch.setenv("MIRROR_RUN_DIR", "/none")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", NOBODY)
    monkeypatch.setenv("MIRROR_STARTUP_TIMEOUT", "1s")
    monkeypatch.setenv("MIRROR_TOPPIC", "x")
    _, out, err = run(*words)
    warning = "mirror: warning: nothing reads MIRROR_TOPPIC: the nearest name is MIRROR_TOPIC"
    assert err.splitlines().count(warning) == 1
    assert "MIRROR_TOPPIC" not in out


def test_a_shell_that_completes_a_word_hears_no_warning(
    run: Run, beat: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would stand in the midst of the command line."""
    beat("listener-1")
    monkeypatch.setenv("MIRROR_TOPPIC", "x")
    monkeypatch.setenv("_MIRROR_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "mirror drain li")
    monkeypatch.setenv("COMP_CWORD", "2")
    _, out, err = run()
    assert "listener-1" in out
    assert err == ""


def test_a_backfill_on_a_terminal_does_not_say_how_long_it_takes(
    run: Run, redis_server: RedisServer, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of it is a wait of a fixed time: an estimate from the share that is done would rise."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)

    def janitor() -> None:
        with redis_server.client() as client:
            wait_until(lambda: list_gaps(client, keys), 20, "the gap is filed")
            (gap,) = list_gaps(client, keys)
            for fields in ({"found": 4, "read": 1}, {"read": 3}, {"state": "filled"}):
                gap = msgspec.structs.replace(gap, **{"state": "filling", **fields})
                client.set(keys.gap(gap.id), encode(gap))
                time.sleep(1.2)  # longer than between two looks

    thread = threading.Thread(target=janitor)
    thread.start()
    code, _, err = run("backfill", "--since", "2h", "--queue", UNKNOWN)
    thread.join()
    assert code == 0
    assert "37%" in err
    assert re.search(r"\d\d:\d\d:\d\d", err) is None


def test_a_backfill_that_redis_lost_is_not_filled(redis_server: RedisServer, keys: Keys) -> None:
    """Flushed under way: it is open until the leader has filed it again."""
    with redis_server.client() as client:
        gaps = file_backfill(client, keys, 1, 2, queues=["q1", "q2"])
        ids = [gap.id for gap in gaps]
        assert not follow(client, keys, ids).done
        client.delete(keys.gaps, *map(keys.gap, ids))
        found = follow(client, keys, ids)
        assert (found.state, found.done) == ("open", False)
        assert f"Redis has lost gap {ids[0]}" in found.errors[0]
        assert file_gap(client, keys, gaps[0])
        assert follow(client, keys, ids).errors == ()


def test_init_says_that_it_waits_for_kafka(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, where, for how long, and why, once; a pipe hears the error alone."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", NOBODY)
    monkeypatch.setenv("MIRROR_STARTUP_TIMEOUT", "8s")
    code, _, err = run("init")
    assert code == 3
    assert "waiting" not in err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    code, _, err = run("init")
    assert code == 3
    assert err.count(f"waiting for Kafka at {NOBODY} (") == 1
    assert "in state" not in err


def test_a_silent_worker_is_forgotten(redis_server: RedisServer, keys: Keys) -> None:
    """By the next of its kind that says something; so is what nobody can read."""
    with redis_server.client() as client:
        now = [0.0]
        Reporter(client, keys, "janitor", "old").note()
        field = "janitor/old"
        text = client.hget(keys.workers, field)
        assert isinstance(text, str)
        old = msgspec.json.decode(text) | {"at_ms": 1}
        client.hset(keys.workers, mapping={field: msgspec.json.encode(old), "tracker/x": "garbage"})
        reporter = Reporter(client, keys, "janitor", "new", clock=lambda: now[0])
        reporter.note(("a reason",), partitions=3)
        assert set(client.hkeys(keys.workers)) == {"janitor/new"}
        client.delete(keys.workers)
        reporter.note(("a reason",))  # too soon, and nothing new
        assert client.hgetall(keys.workers) == {}
        reporter.note()
        assert client.hgetall(keys.workers) != {}


def test_a_drain_is_a_wish_that_the_leader_reads(
    run: Run, beat: Callable[..., None], redis_server: RedisServer, keys: Keys
) -> None:
    """It stays until it is taken back."""
    beat("x")
    run("drain", "x")
    with redis_server.client() as client:
        assert client.hkeys(keys.commands) == [f"{DRAIN}x"]
