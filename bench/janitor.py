"""Whether the mirror's two rare promises hold at size: no zombie, no gap, whatever Redis forgets.

    python -m bench.janitor [zombies|cut|flush] [--conversations 20000] [--keep FOLDER]

    zombies   the ends of 5 % of the conversations never reach a socket: exactly those are
              finalized, in the first sweep after they fall due, with so many REST calls
    cut       every socket is cut for a minute under load: what REST can still tell is back-filled
    flush     Redis is emptied under load: the active set is the simulator's again

Without a word all three, one after the other. Each runs a simulator, Apache Kafka, Redis, two
listeners, two coordinators and two janitors, compares with the simulator's ledger, prints what it
found, and ends with 1 where a promise was broken. Shortened for it are only the ages and pauses
that `SHORT` names (`bench.parts.mirrored`); request limits are Genesys' own, for eight OAuth
clients.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bench.deployment import print_table, whole_mirror
from bench.parts.mirrored import (
    ANALYTICS_LAG,
    DETAILS,
    GET,
    QUERY,
    SHORT,
    active,
    filled,
    live,
    requests,
    violations,
)
from bench.parts.zombies import zombies
from harness.deployment import Deployment
from harness.oracle import RESTORABLE, judge, restorable
from harness.process import ServiceError, wait_until
from mirror.fleet.gaps import list_gaps
from simulator.ledger import Truth

CUT_SECONDS: Final = 60
LASTING: Final = 2_000  # calls that do not end while Redis is emptied
# From a frame to the active set: what is younger than this may be on its way.
ON_ITS_WAY_SECONDS: Final = 3.0


def cut(folder: Path, rate: float) -> bool:
    """Every socket is cut, and none let in for a minute, while conversations go on."""
    simulator = ["--users", "400", "--queues", "10", "--speed", "10", "--rate", str(rate)]
    simulator += ["--analytics-lag", ANALYTICS_LAG]
    settings = {**SHORT, "MIRROR_ZOMBIE_AFTER": "1h", "MIRROR_TOPICS_PER_CHANNEL": "150"}
    with whole_mirror(folder, simulator, settings) as mirror:
        wait_until(lambda: filled(mirror), 120, "the first snapshot is read")
        mirror.control(action="start")
        time.sleep(20)
        before = requests(mirror)
        mirror.org.fault(fault="handshake", status=503, seconds=CUT_SECONDS)
        struck = mirror.org.fault(fault="drop")["struck"]
        began = time.monotonic()
        shown: list[str] = []
        while time.monotonic() - began < CUT_SECONDS + 15 or not filled(mirror):
            _note_progress(mirror, shown, time.monotonic() - began)
            if time.monotonic() - began > CUT_SECONDS + 30:
                mirror.control(action="stop")
            if time.monotonic() - began > CUT_SECONDS + 240:
                raise ServiceError("the gaps are not filled in time")
            time.sleep(1.0)
        _note_progress(mirror, shown, time.monotonic() - began)
        mirror.control(action="stop")
        wait_until(lambda: not mirror.stats()["conversations"]["active"], 120, "all are over")
        wait_until(lambda: not active(mirror), 60, "nothing is active")
        print(f"\nmirror gaps, seconds after {struck} sockets were cut:")
        print("\n".join(shown))
        return _judge_cut(mirror, before)


def _judge_cut(mirror: Deployment, before: Mapping[str, int]) -> bool:
    everything, events = mirror.ledger(), mirror.events()
    # Without a queue and a user it has no topic, so no frame and no gap can tell of it.
    reachable = {truth.conversation_id for truth in everything if truth.queue_id or truth.agent_id}
    ledger = [truth for truth in everything if truth.conversation_id in reachable]
    # As if every frame had been sent: what was not is the gap.
    verdict = judge([_as_sent(truth) for truth in ledger], events)
    lost = Counter(truth.event_type for truth in verdict.missing)
    unsent = Counter(truth.event_type for truth in ledger if truth.first_sent_ms is None)
    happened = Counter(truth.event_type for truth in ledger)
    print(f"\n  {'transition':<12} {'happened':>9} {'not sent':>9} {'missing':>8}  told by REST")
    for kind in sorted(happened):
        told = "yes, the last code" if kind == "wrapup" else "yes"
        told = told if kind in RESTORABLE else "where segments do"
        print(f"  {kind:<12} {happened[kind]:>9,} {unsent[kind]:>9,} {lost[kind]:>8,}  {told}")
    unfilled = sum(map(restorable, verdict.missing))
    gaps = [gap for gap in list_gaps(mirror.redis, mirror.keys) if gap.kind == "gap"]
    after = requests(mirror)
    backfilled = {event.conversation_id for event in events if event.origin == "backfill"}
    print_table(
        "cut: all sockets down for 60 s under load",
        {
            "gaps": f"{len(gaps)}, of {len({gap.shard for gap in gaps})} shards",
            "conversations that they list": f"{sum(gap.found for gap in gaps):,}, "
            f"{len(backfilled):,} different ones back-filled",
            "GET of a conversation": f"{after[GET] - before[GET]:,}, least {len(backfilled):,}",
            "analytics calls": sum(after[route] - before[route] for route in (QUERY, DETAILS)),
            "REST calls of the gaps": f"{sum(gap.calls for gap in gaps):,}, "
            f"least {sum(gap.least_calls for gap in gaps):,}",
            "could not be read at first": sum(gap.unread for gap in gaps),
            "missing of what REST tells": unfilled,
            "missing of what it does not": sum(lost.values()) - unfilled,
            "left out: without queue or user": len(
                {truth.conversation_id for truth in everything} - reachable
            ),
            "events invented": len(verdict.invented),
            "rules of Genesys broken": violations(mirror),
        },
    )
    for truth in [missing for missing in verdict.missing if restorable(missing)][:5]:
        print("  missing:", truth)
    for event in verdict.invented[:5]:
        print("  invented:", event)
    return unfilled == 0 and not verdict.invented


def flush(folder: Path, rate: float) -> bool:
    """Redis is emptied while conversations begin and end."""
    simulator = ["--users", "2000", "--queues", "20", "--speed", "5", "--rate", str(rate)]
    simulator += ["--analytics-lag", ANALYTICS_LAG]
    settings = {**SHORT, "MIRROR_ZOMBIE_AFTER": "1h"}
    with whole_mirror(folder, simulator, settings) as mirror:
        mirror.control(action="spawn", scenario="endless_call", count=LASTING)
        mirror.control(action="start")
        time.sleep(30)
        steady = _until_equal(mirror, 30)
        size = len(active(mirror))
        mirror.redis.flushall()
        left = len(active(mirror))
        back = _until_equal(mirror, 30)
        mirror.control(action="pause")
        wait_until(
            lambda: mirror.stats()["conversations"]["live"] <= LASTING, 150, "the others ended"
        )
        time.sleep(ON_ITS_WAY_SECONDS)
        mine, true = active(mirror), live(mirror)
        mirror.control(action="stop")
        wait_until(lambda: not active(mirror), 60, "nothing is active")
        verdict = judge(mirror.ledger(), mirror.events())
        print_table(
            f"flush: Redis emptied with {size:,} active, {rate:g} conversations begun a second",
            {
                "equal before, within": _seconds(steady),
                "active right after the flush": left,
                "equal again, within": _seconds(back),
                "at rest: active, simulator": f"{len(mine):,}, {len(true):,}",
                "at rest: difference": len(mine ^ true),
                "transitions sent but missing": len(verdict.missing),
                "events invented": len(verdict.invented),
                "rules of Genesys broken": violations(mirror),
            },
        )
        return back is not None and mine == true and verdict.clean


def _until_equal(mirror: Deployment, seconds: float) -> float | None:
    """After how long the active set equals the simulator's, but for what is on its way.

    What is live now and was so `ON_ITS_WAY_SECONDS` ago must be in it, and what is in it must have
    been live at some moment of that time. So `ON_ITS_WAY_SECONDS` is also the least that this can
    tell.
    """
    began = time.monotonic()
    seen: list[tuple[float, set[str]]] = []
    while (now := time.monotonic()) - began < seconds + ON_ITS_WAY_SECONDS:
        seen.append((now, live(mirror)))
        seen = [(at, ids) for at, ids in seen if now - at <= ON_ITS_WAY_SECONDS + 0.5]
        mine = active(mirror)
        lasting = set.intersection(*(ids for _, ids in seen))
        ever = set.union(*(ids for _, ids in seen))
        if now - seen[0][0] >= ON_ITS_WAY_SECONDS and lasting <= mine <= ever:
            return now - began
        time.sleep(0.1)
    print(f"  lacking {len(lasting - mine)}, too many {len(mine - ever)}")
    return None


def _note_progress(mirror: Deployment, shown: list[str], seconds: float) -> None:
    """What `mirror gaps` shows of the gap, one line a change."""
    raw = {gap.id: gap for gap in list_gaps(mirror.redis, mirror.keys) if gap.kind == "gap"}
    gaps = [gap for gap in mirror.document("gaps")["gaps"] if gap["id"] in raw]
    states = Counter(gap["state"] for gap in gaps)
    words = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no gap"
    read = sum(gap.read for gap in raw.values())
    found = sum(gap.found for gap in raw.values())
    line = f" s  {words}; {read}/{found} read, {sum(gap['events'] for gap in gaps)} events"
    if not shown or not shown[-1].endswith(line):
        shown.append(f"{seconds:6.0f}{line}")


def _as_sent(truth: Truth) -> Truth:
    from msgspec.structs import replace

    return truth if truth.first_sent_ms is not None else replace(truth, first_sent_ms=0)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def main() -> int:
    """Run what is asked for; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="?", choices=("zombies", "cut", "flush"))
    parser.add_argument("--conversations", type=int, default=20_000)
    parser.add_argument("--rate", type=float, help="conversations begun a second")
    parser.add_argument("--keep", type=Path, help="a folder for logs, which stays")
    options = parser.parse_args()
    runs: dict[str, Callable[[Path], bool]] = {
        "zombies": lambda at: zombies(at, options.conversations, options.rate or 100),
        "cut": lambda at: cut(at, options.rate or 8),
        "flush": lambda at: flush(at, options.rate or 25),
    }
    kept = True
    for name, run in runs.items():
        if options.which in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                held = run((options.keep or Path(folder)) / name)
            print(f"{name}: {'held' if held else 'BROKEN'}")
            kept = kept and held
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
