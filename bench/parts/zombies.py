"""Whether exactly those are finalized whose ends nobody saw, how soon and with how many calls."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Final

from bench.deployment import print_table, whole_mirror
from bench.parts.mirrored import ANALYTICS_LAG, SHORT, active, requests, violations
from harness.deployment import Deployment
from harness.oracle import judge
from harness.process import wait_until
from janitor.zombies.sweep import BATCH
from mirror.conversation.event import Event

AGE: Final = float(SHORT["MIRROR_ZOMBIE_AFTER"].rstrip("s"))
# A sweep's begin is read from its log line, which is written a moment after its end.
CLOCK_SLACK_SECONDS: Final = 0.05


def zombies(folder: Path, conversations: int, rate: float) -> bool:
    """The ends of one conversation in twenty are swallowed."""
    simulator = ["--users", "4000", "--queues", "40", "--speed", "10", "--rate", str(rate)]
    simulator += ["--conversations", str(conversations), "--retained", str(2 * conversations)]
    simulator += ["--analytics-lag", ANALYTICS_LAG, "--ledger", "2000000"]
    with whole_mirror(folder, simulator, SHORT) as mirror:
        mirror.org.fault(fault="swallow", event="end", share=0.05)
        before = requests(mirror)
        mirror.control(action="start")
        begun = time.monotonic()
        wait_until(
            lambda: mirror.stats()["conversations"]["started"] >= conversations, 500, "begun"
        )
        wait_until(lambda: not mirror.stats()["conversations"]["active"], 400, "all are over")
        over = time.monotonic()
        wait_until(lambda: not active(mirror), 300, "nothing is active")
        settled = time.monotonic()
        time.sleep(2.0)  # whatever might yet be finalized wrongly
        return _judge_zombies(mirror, before, (over - begun, settled - over))


def _judge_zombies(
    mirror: Deployment, before: Mapping[str, int], seconds: tuple[float, float]
) -> bool:
    ledger, events = mirror.ledger(), mirror.events()
    shown = {truth.conversation_id for truth in ledger if truth.first_sent_ms is not None}
    ends = {truth.conversation_id: truth for truth in ledger if truth.event_type == "end"}
    swallowed = {id_ for id_, end in ends.items() if end.first_sent_ms is None} & shown
    # The first gap, what was active before the mirror came, is read twice: that tells ends too.
    backfilled = {
        event.conversation_id
        for event in events
        if event.event_type == "end" and event.origin == "backfill"
    } & swallowed
    unseen = swallowed - backfilled
    final = {event.conversation_id: event for event in events if event.event_type == "finalize"}
    finals = {event.event_id for event in events if event.event_type == "finalize"}
    verdict = judge(ledger, events)
    claims, sweeps = _sweeps(mirror)
    # What went on at the age of verification was put back, and is no case for the first sweep.
    late, lasted = [], 0
    for name, since in _since(events, set(final)).items():
        ended = datetime.fromisoformat(ends[name].occurred_at).timestamp() if name in ends else 0.0
        if ended + float(ANALYTICS_LAG) > since + AGE:
            lasted += 1
        else:
            late.append(_late(claims[name], since + AGE, sweeps))
    calls = sum(requests(mirror).values()) - sum(before.values())
    janitors = [line for _, line in mirror.logged("janitor") if line["event"] == "sweep_finished"]
    count = {name: sum(line[name] for line in janitors) for name in janitors[0] if name in _COUNTS}
    least = len(unseen) + ceil(count["claimed"] / BATCH)
    print_table(
        f"zombies: {len(ends):,} conversations over, "
        f"{seconds[0]:.0f} s of load, {seconds[1]:.0f} s more until nothing was active",
        {
            "ends that no socket saw": f"{len(swallowed):,} of {len(shown):,} shown conversations",
            "their end told by a back-fill": len(backfilled),
            "finalized": f"{len(final):,} (ids: {len(finals):,})",
            "not finalized, though over": len(unseen - final.keys()),
            "finalized, though its end was seen": len(final.keys() - unseen),
            "verified, and going on": f"{count['active']:,} times",
            "in the first sweep after due": f"{sum(t <= 1 for t, _ in late):,} of {len(late):,}",
            "ended after due, found later": lasted,
            "seconds after due": _spread([wait for _, wait in late]),
            "sweeps": f"{len(janitors)}, longest {max(run['seconds'] for run in janitors):.1f} s",
            "REST calls of the janitors": f"{count['calls']:,}",
            "fewest: one GET a zombie": f"{least:,} with one analytics call for {BATCH} suspects",
            "fewest at this cadence": f"{count['least_calls']:,} (sweeps had smaller batches)",
            "all REST calls, analytics and GET": f"{calls:,}",
            "transitions sent but missing": len(verdict.missing),
            "events invented": len(verdict.invented),
            "rules of Genesys broken": violations(mirror),
        },
    )
    return (
        unseen == final.keys()
        and len(finals) == len(final)
        and all(turn <= 1 for turn, _ in late)
        and verdict.clean
    )


_COUNTS: Final = frozenset({"claimed", "finalized", "active", "calls", "least_calls", "failed"})


def _sweeps(mirror: Deployment) -> tuple[dict[str, tuple[str, float]], dict[str, list[float]]]:
    """Conversation → (janitor, when it was finalized); janitor → when its sweeps began."""
    claims: dict[str, tuple[str, float]] = {}
    sweeps: dict[str, list[float]] = {}
    for name, line in mirror.logged("janitor"):
        at = datetime.fromisoformat(line["time"]).timestamp()
        if line["event"] == "conversation_finalized":
            claims[line["conversation"]] = (name, at)
        elif line["event"] == "sweep_finished":
            sweeps.setdefault(name, []).append(at - line["seconds"])
    return claims, sweeps


def _since(events: Iterable[Event], wanted: set[str]) -> dict[str, float]:
    """Conversation → when it began, by the tracker's rule."""
    since: dict[str, float] = {}
    for event in events:
        conversation = event.conversation_id
        if conversation in wanted and (conversation not in since or event.event_type == "start"):
            since[conversation] = datetime.fromisoformat(event.occurred_at).timestamp()
    return since


def _late(
    claim: tuple[str, float], due: float, sweeps: Mapping[str, list[float]]
) -> tuple[int, float]:
    """In which of its janitor's sweeps after it was due it was finalized, and how late."""
    name, at = claim
    return sum(due + CLOCK_SLACK_SECONDS <= began <= at for began in sweeps[name]), at - due


def _spread(values: list[float]) -> str:
    ordered = sorted(values) or [0.0]
    middle, last = ordered[len(ordered) // 2], ordered[-1]
    return f"least {ordered[0]:.1f}, half within {middle:.1f}, all within {last:.1f}"
