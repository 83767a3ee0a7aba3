"""A dashboard that opens with the projector's conversations shows what one shows that folds the
stream, and what the simulator's ledger says.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.dashboard import ROOT, Dashboard, conversation, dashboard, produce
from harness.process import ManagedProcess, free_ports, wait_until
from harness.simulated import Simulated, simulated
from tests.integration.projector_support import Stage
from tests.integration.test_dashboard_truth import World, sent

pytestmark = pytest.mark.alone

LOAD = 6.0  # conversations a second
STATES = ("talking", "held", "parked", "waiting")


def message_of(
    page: Dashboard, kind: str, is_wanted: Callable[[dict[str, Any]], Any]
) -> dict[str, Any]:
    """The first message of a kind that is wanted, of the view "Floor"."""
    with urllib.request.urlopen(f"{page.url}/stream?view=floor", timeout=10) as stream:
        current = ""
        for line in stream:
            if line.startswith(b"event:"):
                current = line.split()[1].decode()
            elif line.startswith(b"data:") and current == kind:
                found: dict[str, Any] = json.loads(line[5:])
                if is_wanted(found):
                    return found
    raise AssertionError("the stream ended")


def floor_of(page: Dashboard) -> dict[str, Any]:
    """The first message of the floor that has all of it."""
    return message_of(page, "floor", lambda found: found.get("full"))


def health_of(page: Dashboard) -> dict[str, Any]:
    """The page's health, once it says from which topic the page opened."""
    return message_of(page, "health", lambda found: found["opened"]["from"])


def in_order(rows: Iterable[Any]) -> list[Any]:
    """Rows that have nulls in them, in an order of their own."""
    return sorted(rows, key=json.dumps)


def shown(page: Dashboard) -> dict[str, Any]:
    """Figures, queues, today's figures and all conversations of a page; without ages."""
    full = floor_of(page)
    assert full["opening"] is None
    rows: list[Any] = []
    count = 1
    while len(rows) < count:
        path = f"/api/conversations?page={len(rows) // 50 + 1}"
        found = json.loads(page.fetch(path)[2])
        count = found["count"]
        rows += found["rows"]
    return {
        "live": full["live"],
        "total": full["total"],
        "acw": full["acw"],
        "agents": {state: number for state, number in full["agents"].items() if number},
        "queues": in_order(row for row in full["queues"] if any(row[4]) or row[3]),
        "today": in_order([row[0], row[5]] for row in full["queues"] if any(row[5])),
        "from": full["today"]["from"] > 0,
        "rows": in_order(rows),
        "media": found["media"],
    }


def truth(org: Simulated) -> dict[str, list[int]]:
    """Queue → waiting, talking, held, parked, after-call work, by the ledger."""
    world = World()
    for record in sent(org):
        world.apply(record)
    return {queue: row for queue, row in world.rows().items() if any(row)}


def as_truth(found: dict[str, Any]) -> dict[str, list[int]]:
    """The same from what a page shows."""
    rows = {}
    for queue, _, _, acw, counts, _ in found["queues"]:
        talking, held, parked, waiting, *_ = counts
        rows[queue or ""] = [waiting, talking, held, parked, acw]
    return {queue: row for queue, row in rows.items() if any(row)}


@pytest.fixture
def mirrored(
    tmp_path: Path, redis_url: str, kafka: str, make_topic: Callable[..., str]
) -> Iterator[tuple[Simulated, dict[str, str]]]:
    """A simulator, a coordinator, two listeners, a projector; nothing happens yet."""
    options = ["--users", "300", "--queues", "6", "--rate", str(LOAD), "--speed", "6"]
    options += ["--heartbeat", "1", "--rate-limit", "0", "--no-autostart"]
    with ExitStack() as stack:
        org = stack.enter_context(simulated(tmp_path, *options))
        env = {
            **org.env,
            "REDIS_URL": redis_url,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "MIRROR_TOPIC": make_topic(partitions=4),
            "MIRROR_ONCE_TOPIC": make_topic(partitions=4),
            "MIRROR_CONVERSATIONS_TOPIC": make_topic(
                partitions=4, config={"cleanup.policy": "compact"}
            ),
            "MIRROR_DEAD_LETTER_TOPIC": make_topic(),
            "MIRROR_SPOOL_DIR": str(tmp_path / "spool"),
            "MIRROR_STARTUP_TIMEOUT": "20s",
            "PYTHONPATH": str(ROOT),
        }
        for module, host in (
            ("coordinator", "c"),
            ("listeners", "north"),
            ("listeners", "south"),
            ("projector", "p"),
        ):
            stack.enter_context(
                ManagedProcess.python_module(
                    module, folder=tmp_path, name=host, env=env | {"MIRROR_HOST": host}
                )
            )
        wait_until(
            lambda: org.get("/_sim/stats")["subscriptions"] >= 2 * 306, 40, "all is subscribed"
        )
        yield org, env


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_both_ways_to_open_show_the_truth(
    mirrored: tuple[Simulated, dict[str, str]], tmp_path: Path
) -> None:
    """Opened under load, while conversations come and go: conversations, figures by queue and those
    of today are equal to each other, and to the ledger once little happens."""
    org, env = mirrored
    org.post("/_sim/control", {"action": "start"})
    wait_until(lambda: org.get("/_sim/stats")["conversations"]["ended"] > 30, 40, "a past")
    with ExitStack() as stack:
        ways = {"conversations": env["MIRROR_CONVERSATIONS_TOPIC"], "stream": "there-is-no-such"}
        pages = {
            way: dashboard(tmp_path, env | {"MIRROR_CONVERSATIONS_TOPIC": topic}, way)
            for way, topic in ways.items()
        }
        for page in pages.values():
            stack.enter_context(page.process)
        for page in pages.values():
            page.until_listening().until_open()
        opened = {way: health_of(page)["opened"] for way, page in pages.items()}
        assert opened["conversations"]["from"] == ways["conversations"]
        assert opened["conversations"]["reason"] == ""
        assert opened["stream"]["from"] == env["MIRROR_TOPIC"]
        assert opened["stream"]["reason"] == "Kafka has no topic there-is-no-such"
        time.sleep(2.0)
        org.post("/_sim/control", {"action": "pause", "speed": 0.02})
        compared: list[Any] = []

        def equal() -> bool:
            found = {way: shown(page) for way, page in pages.items()}
            compared[:] = [found, truth(org)]
            folded, projected = found.values()
            return folded == projected and folded["from"] and as_truth(folded) == compared[1]

        try:
            wait_until(equal, 30, "both pages show the same, and the truth", interval=1.0)
        except AssertionError:
            (folded, projected), ledger = compared[0].values(), compared[1]
            raise AssertionError(
                {
                    name: (folded[name], projected[name])
                    for name in folded
                    if folded[name] != projected[name]
                }
                | {"ledger": (as_truth(folded), ledger)}
            ) from None
        folded = compared[0]["conversations"]
        print(
            {name: folded[name] for name in ("live", "acw", "agents")}, len(folded["today"]), opened
        )
        assert folded["live"] > 15
        assert len(folded["today"]) == 6


@pytest.fixture
def stage(kafka: str, redis_url: str, make_topic: Callable[..., str]) -> Stage:
    """Topics of one test, where no projector has run."""
    return Stage(
        kafka,
        2,
        REDIS_URL=redis_url,
        MIRROR_DEAD_LETTER_TOPIC=make_topic(),
        MIRROR_STARTUP_TIMEOUT="20s",
    )


@pytest.mark.timeout(240)
def test_it_opens_without_a_projector_that_lives(stage: Stage, tmp_path: Path) -> None:
    """Where none ever ran it folds the stream. Where the last is dead it goes on behind it: what
    came since is folded."""
    env = {"PYTHONPATH": str(ROOT), **stage.env}
    produce(stage.settings, [e for n in range(9) for e in conversation(n, "talking")])
    page = dashboard(tmp_path, env, "never")
    with page.process:
        page.until_listening().until_open()
        assert floor_of(page)["live"] == 9
        assert health_of(page)["opened"]["reason"] == "no projector had written conversations yet"
    with stage.process(tmp_path, "projector"):
        stage.await_projected()
    produce(stage.settings, [e for n in range(9, 12) for e in conversation(n, "waiting")])
    (port,) = free_ports(1)
    page = dashboard(tmp_path, env | {"MIRROR_METRICS_PORT": str(port)}, "dead")
    with page.process:
        page.until_listening().until_open()
        own = Dashboard(page.process, f"http://127.0.0.1:{port}", env)
        assert b"mirror_dashboard_opened_from_conversations 1.0" in own.fetch("/metrics")[2]
        assert floor_of(page)["live"] == 12
        told = health_of(page)["opened"]
        assert (told["from"], told["reason"]) == (stage.settings.conversations_topic, "")
        assert '"conversations_read"' in page.process.stderr
        produce(stage.settings, conversation(12, "held"))
        wait_until(lambda: floor_of(page)["live"] == 13, 10, "the stream goes on")
