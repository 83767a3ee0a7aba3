"""The numbers on the page against the simulator's ledger of truth, under load.

The truth is folded here, from the ledger alone and by rules written anew: it shares no code with
the mirror or its page.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from math import floor
from pathlib import Path
from typing import Any

import pytest

from harness.browser import Browser, BrowserUnavailable
from harness.dashboard import ROOT, Dashboard, dashboard
from harness.process import ManagedProcess, wait_until
from harness.simulated import Simulated, simulated
from tests.services.availability import unavailable

pytestmark = [
    pytest.mark.alone,
    pytest.mark.slow,
    # Selenium leaves a socket to its driver to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FIGURES = ("waiting", "talking", "held", "parked", "acw", "live")
SERVICE_LEVEL_SECONDS = 5.0
LOAD = 12.0  # conversations a second, about fifteen events each
WATCHED_SECONDS = 8.0
SPAWNED = 12
STAFF = {"agent", "user"}

SAMPLER = """
window.samples = [];
window.sampler = setInterval(() => window.samples.push([Date.now(), Object.fromEntries(
  [...document.querySelectorAll('#figures b')].map((one) => [one.dataset.figure,
    Number(one.textContent.replaceAll(',', ''))]))]), 100);
"""

QUEUE_ROWS = """
return [...document.querySelectorAll('#queues tr')].map((row) => [
  row.querySelector('button').title,
  ...[1, 3, 4, 5, 7].map((at) => Number(row.children[at].textContent))]);
"""


@dataclass
class Leg:
    """One leg as the ledger tells."""

    purpose: str
    queue: str | None
    role: str | None = None
    answered: bool = False
    held: bool = False
    parked: bool = False
    live: bool = True


@dataclass
class World:
    """All conversations as the ledger tells, up to some record."""

    legs: dict[str, dict[tuple[str, str], Leg]] = field(default_factory=lambda: defaultdict(dict))
    after: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def apply(self, record: dict[str, Any]) -> None:
        """Take one transition."""
        if record["participant_id"] is None:
            return
        kind = record["event_type"]
        leg_of_all = (record["conversation_id"], record["communication_id"])
        if kind == "acw":
            self.after[leg_of_all] = record["queue_id"]
        elif kind == "acw_end":
            self.after.pop(leg_of_all, None)
        elif kind != "wrapup":
            name = (record["participant_id"], record["communication_id"] or record["media_type"])
            leg = self.legs[record["conversation_id"]].setdefault(
                name, Leg(record["purpose"], record["queue_id"])
            )
            leg.queue = record["queue_id"] or leg.queue
            leg.role = record["role"]
            leg.answered = leg.answered or kind == "answer"
            leg.held = kind == "hold" or (leg.held and kind != "resume")
            leg.parked = kind == "park" or (leg.parked and kind != "unpark")
            leg.live = leg.live and kind != "disconnect"

    def figures(self) -> Counter[str]:
        """What the page should show."""
        found = Counter(state for state, _ in self.places())
        found["live"] = sum(found.values())
        found["acw"] = len(self.after)
        return found

    def rows(self) -> dict[str, list[int]]:
        """Queue → waiting, talking, held, parked, after-call work, as far as any is not zero."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for state, queue in self.places():
            found[queue or ""][state] += 1
        for queue in self.after.values():
            found[queue or ""]["acw"] += 1
        names = ("waiting", "talking", "held", "parked", "acw")
        return {queue: [row[name] for name in names] for queue, row in found.items()}

    def places(self) -> Iterator[tuple[str, str | None]]:
        """State and queue of each conversation that lives."""
        for legs in self.legs.values():
            alive = [leg for leg in legs.values() if leg.live]
            if not alive:
                continue
            staff = [leg for leg in alive if leg.purpose in STAFF and leg.answered]
            # Whom a consultation left serves; no transition tells of it.
            staff = [leg for leg in staff if leg.role is None] or [
                leg for leg in staff if leg.role == "consult"
            ]
            choices = (
                ("talking", [leg for leg in staff if not (leg.held or leg.parked)]),
                ("held", [leg for leg in staff if leg.held]),
                ("parked", [leg for leg in staff if leg.parked]),
                ("waiting", [leg for leg in alive if leg.purpose == "acd"]),
                ("other", alive),
            )
            state, of_it = next((state, found) for state, found in choices if found)
            known = [leg.queue for leg in legs.values() if leg.queue]
            yield state, of_it[0].queue or (known[-1] if known else None)


def sent(org: Simulated) -> list[dict[str, Any]]:
    """The transitions that were sent, in the order in which they were."""
    records = [record for record in org.ledger() if record["first_sent_ms"] is not None]
    return sorted(records, key=lambda record: (record["first_sent_ms"], record["seq"]))


def lags(records: list[dict[str, Any]], samples: list[Any]) -> list[float]:
    """For each sample and figure: how long ago that was last true, in milliseconds."""
    world, times = World(), [0.0]
    history: dict[str, list[int]] = {name: [0] for name in FIGURES}
    for record in records:
        world.apply(record)
        now = world.figures()
        times.append(record["first_sent_ms"])
        for name in FIGURES:
            history[name].append(now[name])
    found: list[float] = []
    for at, shown in samples:
        last = bisect_right(times, at) - 1
        for name in FIGURES:
            place, until = last, at
            while place >= 0 and history[name][place] != shown[name]:
                until = times[place]
                place -= 1
            found.append(at - until if place >= 0 else float("inf"))
    return sorted(found)


@pytest.fixture
def running(
    tmp_path: Path, redis_url: str, kafka: str, make_topic: Callable[..., str]
) -> Iterator[tuple[Simulated, Dashboard]]:
    """A simulator, a coordinator, two listeners and a dashboard; nothing happens yet."""
    options = ["--users", "600", "--queues", "8", "--rate", str(LOAD), "--speed", "6"]
    options += ["--heartbeat", "1", "--rate-limit", "0", "--no-autostart"]
    with ExitStack() as stack:
        org = stack.enter_context(simulated(tmp_path, *options))
        env = {
            **org.env,
            "REDIS_URL": redis_url,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "MIRROR_TOPIC": make_topic(partitions=4),
            "MIRROR_DEAD_LETTER_TOPIC": make_topic(),
            "MIRROR_SPOOL_DIR": str(tmp_path / "spool"),
            "MIRROR_STARTUP_TIMEOUT": "20s",
            "MIRROR_SERVICE_LEVEL": f"{SERVICE_LEVEL_SECONDS:g}s",
            "PYTHONPATH": str(ROOT),
        }
        for module, host in (("coordinator", "c"), ("listeners", "north"), ("listeners", "south")):
            stack.enter_context(
                ManagedProcess.python_module(
                    module, folder=tmp_path, name=host, env=env | {"MIRROR_HOST": host}
                )
            )
        page = dashboard(tmp_path, env)
        stack.enter_context(page.process)
        page.until_listening().until_open()
        wait_until(
            lambda: org.get("/_sim/stats")["subscriptions"] >= 2 * 608, 40, "all is subscribed"
        )
        yield org, page


def test_the_page_tells_the_truth_under_load(running: tuple[Simulated, Dashboard]) -> None:
    """About 200 events a second: what the page shows was true within the last second, and when
    little happens it is true at once, queue by queue."""
    org, page = running
    try:
        browser = Browser()
    except BrowserUnavailable as missing:
        unavailable(str(missing))
    with browser:
        browser.open(page.url + "/")
        wait_until(lambda: browser.text("[data-figure=live]") == "0", 10, "the page is open")
        org.post("/_sim/control", {"action": "start"})
        wait_until(lambda: org.get("/_sim/stats")["conversations"]["live"] > 60, 20, "a floor")
        browser.run(SAMPLER)
        time.sleep(WATCHED_SECONDS)
        samples = browser.run("clearInterval(window.sampler); return window.samples")
        found = lags(sent(org), samples)
        quantile = {share: found[int(share * (len(found) - 1))] for share in (0.5, 0.95, 1.0)}
        print(f"{len(samples)} samples, how long ago each figure was true: {quantile} ms")
        assert len(samples) > 20
        assert samples[-1][1]["live"] > 40
        assert quantile[0.95] < 1_000, quantile
        assert quantile[1.0] < 3_000, quantile

        org.post("/_sim/control", {"action": "pause", "speed": 0.05})
        compared: tuple[Any, Any] = ({}, {})

        def equal() -> bool:
            nonlocal compared
            world = World()
            for record in sent(org):
                world.apply(record)
            rows = {
                ("" if title.startswith("internal") else title): counts
                for title, *counts in browser.run(QUEUE_ROWS)
            }
            compared = (
                {queue: row for queue, row in rows.items() if any(row)},
                {queue: row for queue, row in world.rows().items() if any(row)},
            )
            return compared[0] == compared[1]

        try:
            wait_until(equal, 15, "every row is true")
        except AssertionError:
            raise AssertionError(compared) from None
        assert sum(map(sum, compared[0].values())) > 10


# --- today ------------------------------------------------------------------------------------

DAY_ROWS = """
return [...document.querySelectorAll('#day tr')].map((row) => [
  row.querySelector('th').title,
  ...[...row.querySelectorAll('td')].map((cell) => cell.textContent)]);
"""
NOTHING = "\N{EN DASH}"
CUSTOMERS = {"customer", "external"}


def clock(text: str) -> int:
    """Epoch milliseconds of a time of the ledger."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def day_of_truth(records: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Queue → offered, answered, abandoned, flowed out, service level, average wait and handle, as
    the page should show them once every conversation is over."""
    spans: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for record in records:
        if record["participant_id"] is None:
            continue
        who = record["participant_id"] + (record["communication_id"] or record["media_type"])
        span = spans[record["conversation_id"], who]
        span["purpose"] = record["purpose"]
        span["queue"] = record["queue_id"] or span.get("queue")
        span["beside"] = span.get("beside", False) or record["role"] is not None
        kind = {"alert": "begin", "dial": "begin", "transfer": "disconnect"}.get(
            record["event_type"], record["event_type"]
        )
        for name in {kind, "begin"} if kind == "answer" else {kind}:
            at = clock(record["occurred_at"])
            span[name] = min(at, span.get(name, at))
    days: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for conversation_id in {name for name, _ in spans}:
        legs = [span for (name, _), span in spans.items() if name == conversation_id]
        agents = [
            leg for leg in legs if leg["purpose"] in STAFF and "answer" in leg and not leg["beside"]
        ]
        left = [leg["disconnect"] for leg in legs if leg["purpose"] in CUSTOMERS]
        for leg in agents:
            if leg["queue"] and "disconnect" in leg:
                after = leg["acw_end"] - leg["acw"] if {"acw", "acw_end"} <= leg.keys() else 0
                days[leg["queue"]]["handle"].append(leg["disconnect"] - leg["answer"] + after)
        queued = [leg for leg in legs if leg["purpose"] == "acd" and "begin" in leg]
        for leg in sorted(
            queued, key=lambda queue_leg: -queue_leg["begin"]
        ):  # the latest takes its answers
            day = days[leg["queue"]]
            day["offered"].append(leg["begin"])
            mine = [
                agent
                for agent in agents
                if agent["queue"] == leg["queue"] and agent["answer"] >= leg["begin"]
            ]
            agents = [agent for agent in agents if agent not in mine]
            later = [
                queue_leg["begin"] for queue_leg in queued if queue_leg["begin"] > leg["begin"]
            ]
            later += [
                agent_leg["answer"]
                for agent_leg in agents + mine
                if agent_leg["answer"] >= leg["disconnect"]
            ]
            if mine:
                day["wait"].append(min(agent_leg["answer"] for agent_leg in mine) - leg["begin"])
            elif left and max(left) < leg["disconnect"] + 3_000 and not later:
                day["abandoned"].append(leg["disconnect"])
            else:
                day["flowed"].append(leg["disconnect"])
    return {queue: _shown(day) for queue, day in days.items()}


def _shown(day: dict[str, list[int]]) -> list[str]:
    counted = len(day["wait"]) + len(day["abandoned"])
    in_time = sum(wait <= 1000 * SERVICE_LEVEL_SECONDS for wait in day["wait"])
    averages = [
        "{}:{:02d}".format(*divmod(sum(day[name]) // len(day[name]) // 1000, 60))
        if day[name]
        else NOTHING
        for name in ("wait", "handle")
    ]
    counts = [str(len(day[name])) for name in ("offered", "wait", "abandoned", "flowed")]
    level = f"{floor(100 * in_time / counted + 0.5)} %" if counted else NOTHING
    return [*counts, level, *averages]


def test_todays_figures_are_true(running: tuple[Simulated, Dashboard]) -> None:
    """Once every conversation is over, each queue's day is what the ledger says, to the second,
    with callers who gave up in the queue and callers who were sent on to another; and a dashboard
    that starts only then says the same."""
    org, page = running
    for scenario in ("abandoned_call", "flowed_out_call"):
        org.post("/_sim/control", {"action": "spawn", "scenario": scenario, "count": SPAWNED})
    org.post("/_sim/control", {"action": "start"})
    time.sleep(WATCHED_SECONDS)
    org.drain(60.0)
    env = {name: value for name, value in page.env.items() if name != "MIRROR_DASHBOARD_PORT"}
    late = dashboard(page.process.stderr_path.parent, env, "late")
    try:
        browser = Browser()
    except BrowserUnavailable as missing:
        unavailable(str(missing))
    with browser, late.process:
        late.until_listening().until_open()
        for view in (page, late):
            browser.open(view.url + "/")
            compared: tuple[Any, Any] = ({}, {})

            def equal() -> bool:
                nonlocal compared
                shown = {queue: values for queue, *values in browser.run(DAY_ROWS)}
                compared = (shown, day_of_truth(sent(org)))
                return compared[0] == compared[1]

            try:
                wait_until(equal, 20, "every queue's day is true")
            except AssertionError:
                shown, truth = compared
                raise AssertionError(
                    {
                        queue: (shown.get(queue), truth.get(queue))
                        for queue in shown | truth
                        if shown.get(queue) != truth.get(queue)
                    }
                ) from None
        print(compared[1])
        offered, answered, abandoned, flowed = (
            sum(int(day[place]) for day in compared[1].values()) for place in range(4)
        )
        assert answered > 20
        assert min(abandoned, flowed) > SPAWNED // 2, "some give up in the menu"
        assert offered == answered + abandoned + flowed
