"""Why a mirror is not healthy, and the next step: one line per reason. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mirror.base.units import counted
from mirror.conversation.times import show_ms
from mirror.fleet.gaps import OngoingGap
from mirror.fleet.words import SERVING, Beat
from mirror.fleet.workers import (
    SILENT_MS,
    STARTING_MS,
    Worker,
    is_ahead,
    is_recent,
    working,
)

MAX_NAMED: Final = 5
DOCTOR: Final = "`mirror doctor` names the cure"
STARTING: Final = "the tracker is starting: conversations are not counted yet"
#: A conversation that waits so long for its verification waits for more than one sweep.
LATE_MS: Final = 900_000


def errors(listeners: Mapping[str, Beat], alive: set[str]) -> dict[str, str]:
    """Shard → the last error of its channels, as live listeners report it."""
    found: dict[str, str] = {}
    for listener_id in sorted(alive & listeners.keys()):
        for report in listeners[listener_id].channels:
            if report.error and report.state not in SERVING:
                found[report.shard] = report.error
    return found


def because(shard: str, found: Mapping[str, str]) -> str:
    """The last error of a shard's channels, and the next step; empty if none is known."""
    return f": {found[shard]}; {DOCTOR}" if shard in found else ""


def uncovered(lasting: Iterable[OngoingGap], found: Mapping[str, str]) -> list[str]:
    """One reason for each shard that no channel receives."""
    return [
        f"no channel receives shard {ongoing.shard} ({counted(ongoing.topics, 'topic')}) "
        + ("yet" if ongoing.fresh else f"since {show_ms(ongoing.from_ms)}")
        + because(ongoing.shard, found)
        for ongoing in lasting
    ]


def problems(seats: Mapping[str, str]) -> list[str]:
    """One reason for all seats that share it."""
    shared: dict[str, list[str]] = {}
    for seat, reason in sorted(seats.items()):
        shared.setdefault(reason, []).append(seat)
    return [
        f"{'seat' if len(names) == 1 else f'{len(names)} seats:'} "
        f"{', '.join(names[:MAX_NAMED])}{' …' if len(names) > MAX_NAMED else ''}: {reason}"
        for reason, names in shared.items()
    ]


def leading(
    leader: str | None, passed_ms: int | None, now_ms: int, patience_ms: int, advice: str
) -> list[str]:
    """The reason if there is no leader, or if its last pass, and so its state, is too old.

    `advice` is what to do about a missing leader.
    """
    old = passed_ms is not None and not is_recent(passed_ms, now_ms, patience_ms)
    age = "" if passed_ms is None else _age(passed_ms, now_ms)
    if leader is None:
        said = f"no coordinator leads, and dead listeners are not replaced{advice}"
        if old:
            said += f". What it last wrote is {age}"
        return [said]
    if old:
        said = f"the state is {age}: {leader} leads and writes nothing, so "
        return [said + "this status may be out of date; see its log"]
    return []


def foreign(keys: Sequence[str]) -> list[str]:
    """The reason if values under the mirror's keys were left out, because they are not its own."""
    if not keys:
        return []
    values = f"{counted(len(keys), 'value')} that the mirror cannot read, the first in {keys[0]}"
    cure = "keep other programs off the mirror's keys, or choose another MIRROR_NAMESPACE"
    return [f"Redis has {values}: {cure}"]


def _age(at_ms: int, now_ms: int) -> str:
    if is_ahead(at_ms, now_ms):
        return "of an unknown age, because Redis' clock went back"
    return f"{(now_ms - at_ms) / 1000:.0f} s old"


def tracking(workers: Sequence[Worker], now_ms: int, advice: str) -> list[str]:
    """Why the count of active conversations may be wrong."""
    known = [worker for worker in workers if worker.kind == "tracker"]
    heard = working(known, "tracker", now_ms, SILENT_MS)
    if not heard:
        return [f"the count of conversations is {_silence(known, 'tracker', now_ms)}{advice}"]
    said = list(dict.fromkeys(reason for status in heard for reason in status.reasons))
    if said:
        return said
    tracked = sum(status.partitions for status in heard)
    partitions = max(status.of for status in heard)
    if tracked < max(partitions, 1):
        if any(status.up_ms is not None and status.up_ms < STARTING_MS for status in heard):
            return [STARTING]
        if tracked:
            untracked = f"{partitions - tracked} of {counted(partitions, 'partition')}"
            why = "their conversations are not tracked; see the logs of the coordinators"
            return [f"{untracked} have no tracker: {why}"]
        return ["no tracker has a partition: conversations are not tracked; " + DOCTOR]
    stale = max(status.stale_ms for status in heard)
    if stale:
        lag = sum(status.lag for status in heard)
        why = f"has {counted(lag, 'record')} to read" if lag else "waits for Kafka"
        return [f"the count of conversations is {stale / 1000:.0f} s old: the tracker {why}"]
    return []


def projectors(workers: Sequence[Worker], now_ms: int, advice: str) -> list[str]:
    """Why the projector's topics may be old. A projector that never reported is not missed: not
    every mirror runs one, and its own start says what it waits for."""
    known = [worker for worker in workers if worker.kind == "projector"]
    heard = working(known, "projector", now_ms, SILENT_MS)
    if known and not heard:
        return [
            f"the state of the projector's topics is {_silence(known, 'projector', now_ms)}{advice}"
        ]
    said = dict.fromkeys(reason for status in heard for reason in status.reasons)
    return [f"projector: {reason}" for reason in said]


def _silence(known: Sequence[Worker], kind: str, now_ms: int) -> str:
    """Since when none of the `known` workers has reported."""
    if not known:
        return f"not known: no {kind} has reported yet"
    times = [status.at_ms for status in known if not is_ahead(status.at_ms, now_ms)]
    if not times:
        return f"of an unknown age: no {kind} has reported since Redis' clock went back"
    return f"as of {show_ms(max(times))}: no {kind} has reported since"


def janitors(
    workers: Sequence[Worker],
    now_ms: int,
    silent_ms: int,
    waited_ms: int,
    work: tuple[int, int],
    advice: str,
    overdue_ms: int = 0,
) -> list[str]:
    """Why conversations are not verified and gaps not filled.

    `work`: overdue conversations and open gaps; the oldest has waited for `waited_ms`, the oldest
    overdue conversation for `overdue_ms`. A janitor that never reported is missed once work waits.
    """
    overdue, gaps = work
    known = [worker for worker in workers if worker.kind == "janitor"]
    heard = working(known, "janitor", now_ms, silent_ms)
    if heard:
        said = dict.fromkeys(f"janitor: {reason}" for status in heard for reason in status.reasons)
        if said or overdue_ms <= max(LATE_MS, silent_ms):  # sweeps may be rare
            return list(said)
        late = (
            f"{counted(overdue, 'conversation')} overdue, the first for {overdue_ms / 60_000:.0f}"
        )
        return [f"{late} min: the janitors do not keep up; start another, or add an OAuth client"]
    if not known and (waited_ms <= silent_ms or not (overdue or gaps)):
        return []
    told = " and ".join(
        part
        for part in (
            f"{counted(overdue, 'conversation')} overdue" if overdue else "",
            f"{counted(gaps, 'gap')} open" if gaps else "",
        )
        if part
    )
    return [f"no janitor works{', with ' if told else ''}{told}{advice}"]


def draining(
    states: Mapping[str, tuple[str, int]], requested: set[str]
) -> tuple[list[str], list[str]]:
    """Reasons and notes on listeners that are drained on request; `states`: id → (state,
    channels)."""
    live = [
        listener
        for listener, (state, _) in states.items()
        if state == "live" and listener not in requested
    ]
    reasons, notes = [], []
    for listener in sorted(requested & states.keys()):
        state, channels = states[listener]
        if state == "dead":
            continue
        undo = f"`mirror undrain {listener}` ends it"
        if channels and not live:
            reasons.append(
                f"{listener} is to be drained, and its {counted(channels, 'channel')} have nowhere "
                f"to go: start another listener, or {undo}"
            )
        elif channels:
            notes.append(f"{listener} is drained: {counted(channels, 'channel')} left; {undo}")
        else:
            notes.append(f"{listener} is drained and gets no channel; {undo}")
    return reasons, notes
