"""What Redis answers while it fails over, loads, changes its password, is full or is a cluster."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from coordinator.election import Leadership
from harness.process import ManagedProcess, free_ports, wait_until
from harness.redis import RedisServer, find_server
from janitor.claims import Leases
from listeners.fleet_link import FleetLink
from mirror.base.errors import RedisUnavailable, RedisUnsupported
from mirror.checks.redis import check_redis
from mirror.fleet.status_reader import read
from mirror.fleet.words import Beat
from mirror.redis import connections
from mirror.redis.clock import redis_now_ms
from mirror.redis.connect import check, connect, explained, wait_for
from mirror.redis.keys import Keys
from mirror.settings import Settings, load
from tests.integration.secure_support import run_mirror
from tests.integration.small_mirror import HOSTS, small_mirror
from tests.services.switch import Switch

KEYS = Keys("default")
BEAT = Beat(listener="l1", host="h", pid=1, version="0", state="live")
BACK_SECONDS = 5.0
PASSWORD, ROTATED = "first-S3cret", "second-S3cret"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A master and its replica, in step."""
    with (
        RedisServer(tmp_path / "one") as master,
        RedisServer(tmp_path / "two", replica_of=master) as replica,
        master.client() as asking,
    ):
        wait_until(
            lambda: asking.info("replication").get("slave0", {}).get("state") == "online",
            20.0,
            "the replica is in step",
        )
        yield master, replica


def settings_of(port: int, **more: str) -> Settings:
    """A mirror on that port."""
    return load({"REDIS_URL": f"redis://127.0.0.1:{port}/0", **more})


def swap(old: RedisServer, new: RedisServer) -> None:
    """Make `new` the master and `old` its replica, as an operator's controller does."""
    with new.client() as client:
        client.replicaof("NO", "ONE")
    with old.client() as client:
        client.replicaof("127.0.0.1", str(new.port))
        wait_until(lambda: client.role()[0] in {"slave", b"slave"}, 10.0, "it is demoted")


def works(work: Callable[[], object]) -> Callable[[], bool]:
    """Whether it does; what Redis refuses meanwhile is what a process logs and goes on from."""

    def attempt() -> bool:
        try:
            work()
        except RedisUnavailable:
            return False
        return True

    return attempt


def test_every_process_follows_a_fail_over_that_leaves_old_connections_open(
    pair: tuple[RedisServer, RedisServer],
) -> None:
    """A listener's beats, an election and a janitor's claim go to the new master within seconds."""
    master, replica = pair
    with Switch(master.port) as switch:
        settings = settings_of(switch.port)
        clients = [connect(settings) for _ in range(3)]
        link = FleetLink(clients[0], settings)
        leader = Leadership(clients[1], KEYS, "me", 60)
        leases = Leases(clients[2], KEYS, "topic")
        clients[2].zadd(KEYS.gaps, {"gap": 0})
        jobs: list[Callable[[], object]] = [
            lambda: link.beat(BEAT, 0),
            leader.claim,
            lambda: leases.claim_gaps(1, 0.0),
        ]
        for job in jobs:
            job()
        before = len(switch.opened)
        swap(master, replica)
        switch.target = replica.port
        for job in jobs:
            wait_until(works(job), BACK_SECONDS, "it works again")
        assert set(switch.opened[before:]) == {replica.port}
        with replica.client() as new:
            assert new.zscore(KEYS.beats, "l1") is not None
            assert new.get(KEYS.leader) == "me"
        for client in clients:
            client.close()


def test_idle_connections_of_the_pool_are_given_up_too(
    pair: tuple[RedisServer, RedisServer],
) -> None:
    """The first refused write is enough: no thread reads from the demoted server after it."""
    master, replica = pair
    with Switch(master.port) as switch, closing(connect(settings_of(switch.port))) as client:
        pool = client.connection_pool
        several = [pool.get_connection() for _ in range(3)]
        for process in several:
            pool.release(process)
        swap(master, replica)
        switch.target = replica.port
        client.set("mirror:{default}:x", "new")
        with master.client() as old:
            old.replicaof("NO", "ONE")  # so that it no longer follows
            old.set("mirror:{default}:x", "stale")
        taken: list[Any] = [pool.get_connection() for _ in range(3)]
        for process in taken:
            process.send_packed_command(process.pack_command("GET", "mirror:{default}:x"))
            assert process.read_response() == "new"
            pool.release(process)


def test_who_only_reads_follows_too(
    pair: tuple[RedisServer, RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica refuses no read, so connections ask by themselves what their server is."""
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.0)
    master, replica = pair
    with Switch(master.port) as switch, closing(connect(settings_of(switch.port))) as client:
        client.get(KEYS.leader)
        swap(master, replica)
        switch.target = replica.port
        client.get(KEYS.leader)
        assert switch.opened[-1] == replica.port


def test_a_replica_by_choice_is_read_from(pair: tuple[RedisServer, RedisServer]) -> None:
    """A dashboard may be pointed at one; who writes is told in one line what it is."""
    _, replica = pair
    settings = settings_of(replica.port)
    with closing(connect(settings)) as client:
        check(client, settings)
        with pytest.raises(RedisUnavailable, match="read-only replica, not the master"):
            FleetLink(client, settings).beat(BEAT, 0)
        check(client, settings)
    findings = {finding.check: finding for finding in check_redis(settings)}
    assert "lead to the master" in findings["redis.rights"].cure
    assert "redis.acl" not in findings["redis.rights"].cure


@pytest.mark.parametrize(("plain", "around"), [(None, ""), (" ", ""), ("", " "), ("\n", " \n")])
def test_a_rotated_password_is_read_from_its_file(
    plain: str | None, around: str, tmp_path: Path
) -> None:
    """New connections log in with what REDIS_URL_FILE holds by then; nothing is started anew.

    White space does not count, beside the path and in REDIS_URL.
    """
    with RedisServer(tmp_path / "redis") as server, server.client() as admin:
        file = tmp_path / "url"

        def rotate(password: str) -> None:
            # The file first, as secret managers do; then the server, and old logins are cut off.
            file.write_text(f"redis://default:{password}@127.0.0.1:{server.port}/0\n")
            admin.config_set("requirepass", password)
            admin.client_kill_filter(_type="normal", skipme=True)

        rotate(PASSWORD)
        environ = {"REDIS_URL_FILE": f"{around}{file}{around}"}
        settings = load(environ if plain is None else environ | {"REDIS_URL": plain})
        with closing(connect(settings)) as client:
            link = FleetLink(client, settings)
            link.beat(BEAT, 0)
            rotate(ROTATED)
            link.beat(BEAT, 0)
            file.unlink()  # while it is replaced, the last that was read holds
            admin.client_kill_filter(_type="normal", skipme=True)
            link.beat(BEAT, 0)


def test_a_rotated_password_that_nobody_told_us(tmp_path: Path) -> None:
    """One line names the setting, and never a password; connections that are open go on."""
    with RedisServer(tmp_path / "redis") as server, server.client() as admin:
        admin.config_set("requirepass", PASSWORD)
        settings = load({"REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0"})
        with closing(connect(settings)) as client:
            check(client, settings)
            admin.config_set("requirepass", ROTATED)
            check(client, settings)
            admin.client_kill_filter(_type="normal", skipme=True)
            with pytest.raises(RedisUnavailable, match="refuses the user name") as caught:
                check(client, settings)
            assert "REDIS_URL_FILE" in str(caught.value)
            assert PASSWORD not in str(caught.value)


def test_a_server_that_loads_is_waited_for(tmp_path: Path) -> None:
    """`LOADING` is told as such, ends nothing, and passes by itself."""
    slow = ("--key-load-delay", "4000", "--loading-process-events-interval-bytes", "1024")
    server = RedisServer(tmp_path / "redis", arguments=slow)
    with server, server.client() as client:
        pipe = client.pipeline(transaction=False)
        for number in range(1500):
            pipe.set(f"k{number}", "x" * 100)
        pipe.execute()
        client.save()
    settings = settings_of(server.port, MIRROR_STARTUP_TIMEOUT="20s")
    server.process.start()
    try:
        with closing(connect(settings)) as asking:
            told: list[str] = []

            def loading() -> bool:
                try:
                    check(asking, settings)
                except RedisUnavailable as error:
                    told.append(str(error))
                return "is loading its data" in told[-1]

            wait_until(loading, 10.0, "it says that it loads")
            (finding,) = check_redis(settings)
            assert finding.check == "redis"
            assert "wait" in finding.cure
            wait_for(asking, settings)
            assert asking.get("k1499") == "x" * 100
    finally:
        server.process.stop()


def test_a_redis_cluster_is_refused_at_once(tmp_path: Path) -> None:
    """Exit code 2 and one line, whichever node it is; no start waits for it."""
    bus = ("--cluster-port", str(free_ports(1)[0]))
    with RedisServer(tmp_path / "redis", arguments=("--cluster-enabled", "yes", *bus)) as server:
        settings = settings_of(server.port, MIRROR_STARTUP_TIMEOUT="0")
        with closing(connect(settings)) as client:
            for ask in (check, wait_for):
                with pytest.raises(RedisUnsupported, match="is a Redis Cluster"):
                    ask(client, settings)
        (finding,) = check_redis(settings)
        assert (finding.check, finding.exit_code) == ("redis", 2)
        assert "redis+sentinel" in finding.cure
        code, _, stderr = run_mirror(tmp_path, {"REDIS_URL": settings.redis_url}, "status")
        assert (code, stderr.count("\n")) == (2, 1)
        assert "is a Redis Cluster" in stderr


def test_a_sentinel_given_as_a_server_is_told(tmp_path: Path) -> None:
    """The line says how to write it."""
    (port,) = free_ports(1)
    conf = tmp_path / "sentinel.conf"
    conf.write_text(f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n")
    argv = [str(find_server()), str(conf), "--sentinel"]
    settings = settings_of(port)
    with ManagedProcess(argv, tmp_path, name="sentinel"), closing(connect(settings)) as client:

        def told() -> bool:
            with pytest.raises(RedisUnavailable) as caught:
                check(client, settings)
            return isinstance(caught.value, RedisUnsupported)

        wait_until(told, 10.0, "it is known for a Sentinel")
        with pytest.raises(RedisUnsupported, match=r"redis\+sentinel://"):
            check(client, settings)


def test_under_misconf_what_only_reads_works(tmp_path: Path) -> None:
    """`mirror status` reads where Redis cannot save; doctor's cure is the disk, not the rights."""
    home = tmp_path / "redis"
    with RedisServer(home) as server, server.client() as admin:
        admin.config_set("save", "3600 1")
        shutil.rmtree(home)
        admin.bgsave()
        wait_until(
            lambda: admin.info("persistence")["rdb_last_bgsave_status"] == "err", 10.0, "it fails"
        )
        settings = settings_of(server.port)
        with closing(connect(settings)) as client:
            with pytest.raises(redis.ResponseError, match="MISCONF"):
                client.ping()
            check(client, settings)
            with pytest.raises(RedisUnavailable, match="cannot save to its disk"):
                FleetLink(client, settings).beat(BEAT, 0)
        findings = {finding.check: finding for finding in check_redis(settings)}
        assert findings["redis"].ok
        assert "free its disk" in findings["redis.rights"].cure
        code, _, stderr = run_mirror(tmp_path, {"REDIS_URL": settings.redis_url}, "status")
        assert code == 0, stderr
        admin.config_set("save", "")  # or it does not end without having saved


def test_a_full_redis_is_told_as_full(tmp_path: Path) -> None:
    """`OOM`: reads work, writes are refused, and the cure is memory."""
    with RedisServer(tmp_path / "redis") as server, server.client() as admin:
        settings = settings_of(server.port)
        with closing(connect(settings)) as client:
            link = FleetLink(client, settings)
            link.beat(BEAT, 0)
            admin.config_set("maxmemory", 1)
            check(client, settings)
            with pytest.raises(RedisUnavailable, match="is full and takes no writes"):
                link.beat(BEAT, 0)
            findings = {finding.check: finding for finding in check_redis(settings)}
            assert "raise its maxmemory" in findings["redis.rights"].cure
            admin.config_set("maxmemory", 0)
            link.beat(BEAT, 0)


def test_without_a_place_for_another_client(tmp_path: Path) -> None:
    """`max number of clients reached` is no network failure, and passes."""
    with RedisServer(tmp_path / "redis") as server, server.client() as admin:
        admin.ping()
        settings = settings_of(server.port)
        with closing(connect(settings)) as client:
            admin.config_set("maxclients", 1)
            with pytest.raises(RedisUnavailable, match="has no connection left for us"):
                check(client, settings)
            admin.config_set("maxclients", 100)
            check(client, settings)


def test_a_script_that_is_busy_is_no_reason_to_connect_anew(tmp_path: Path) -> None:
    """`BUSY` is told as what passes."""
    with RedisServer(tmp_path / "redis", arguments=("--busy-reply-threshold", "50")) as server:
        settings = settings_of(server.port)
        program = "import redis,sys; redis.Redis(port=int(sys.argv[1])).eval('while true do end',0)"
        with closing(connect(settings)) as client, server.client() as admin:
            check(client, settings)
            spinning = subprocess.Popen(
                [sys.executable, "-c", program, str(server.port)],
                stderr=subprocess.DEVNULL,
            )
            try:

                def busy() -> bool:
                    try:
                        check(client, settings)
                    except RedisUnavailable as error:
                        return "is busy with another program's script" in str(error)
                    return False

                wait_until(busy, 10.0, "it is busy")
            finally:
                admin.script_kill()
                spinning.wait(10)
            wait_until(works(lambda: check(client, settings)), 10.0, "it passes")


def test_explained_keeps_what_it_was(tmp_path: Path) -> None:
    """A command that Redis does not know is no reason to give anything up."""
    with RedisServer(tmp_path / "redis") as server:
        settings = settings_of(server.port)
        with closing(connect(settings)) as client:
            check(client, settings)
            before = client.client_id()
            with pytest.raises(RedisUnavailable, match="refuses a command"), explained():
                client.execute_command("NONSENSE")  # type: ignore[no-untyped-call]  # redis-py
            assert client.client_id() == before


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.timeout(120)
def test_a_whole_mirror_is_well_again_within_seconds(
    pair: tuple[RedisServer, RedisServer], kafka: str, tmp_path: Path
) -> None:
    """No process is restarted: leader, beats and tracker are at the new master, health is ok."""
    master, replica = pair
    with (
        Switch(master.port) as switch,
        small_mirror(
            tmp_path, kafka, {"REDIS_URL": f"redis://127.0.0.1:{switch.port}/0"}
        ) as mirror,
    ):
        settings = load(mirror.env)
        pids = {name: process.pid for name, process in mirror.processes.items()}

        def well_at(server: RedisServer) -> Callable[[], bool]:
            asked = load(mirror.env | {"REDIS_URL": server.url})

            def well() -> bool:
                with closing(connect(asked)) as client:
                    status = read(client, asked)
                return status.health == "ok" and len(status.listeners) == len(HOSTS)

            return well

        wait_until(well_at(master), 60.0, "all is well", interval=0.5)
        swap(master, replica)
        switch.target = replica.port
        with replica.client() as new:
            keys = Keys(settings.namespace)
            then_ms = redis_now_ms(new)
            wait_until(
                lambda: all(beat > then_ms for _, beat in new.zscan_iter(keys.beats)),
                BACK_SECONDS,
                "listeners beat at the new master",
            )
        wait_until(well_at(replica), 4 * BACK_SECONDS, "all is well again", interval=0.5)
        assert {name: process.pid for name, process in mirror.processes.items()} == pids
        logs = [process.stderr for process in mirror.processes.values()]
        assert sum("redis_server_left" in log for log in logs) >= len(HOSTS)
