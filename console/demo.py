"""Shows a running sandbox to a person: the event stream, the mirror's status, and a check.

The check compares every event in Kafka with the simulator's ledger of truth. So the last line of a
demo is a test: exit code 0 only if no event is missing and none is invented.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import click
import msgspec
import urllib3

from console.events import event_line, heading
from console.render import echo, filled, say, styled, terminal_width
from console.views import status_text
from harness.ledger import truths
from harness.oracle import Verdict, judge
from harness.sandbox import Sandbox
from mirror.base.errors import DependencyError
from mirror.conversation.event import Event
from mirror.conversation.times import epoch
from mirror.fleet.status import MirrorStatus
from mirror.fleet.status_reader import read
from mirror.kafka.consume import EventStream
from mirror.kafka.repeats import Repeats
from mirror.redis.connect import connect

CHANNELS_WITHIN_SECONDS: Final = 40.0  # until every seat has a live channel
DRAIN_WITHIN_SECONDS: Final = 20.0  # until the last conversation has ended
QUIET_SECONDS: Final = 1.5  # without an event; then all have arrived
LINES_A_SECOND: Final = 12  # as many as an eye can follow; the others are only counted


class Demo:
    """One demo of a running sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._redis = connect(sandbox.settings)
        self._events: list[Event] = []
        self._consumed_at: dict[str, float] = {}
        self._repeats = Repeats()
        self._shown_in_second = (0, 0)

    def run(self, seconds: float | None) -> bool:
        """Show events for `seconds`, or until Ctrl-C, then check. Returns whether all is well."""
        with EventStream(self._sandbox.settings, "beginning") as stream:
            status = self._until_live()
            echo(status_text(status))
            echo("")
            echo("Events; ~ marks a time that the mirror set, because Genesys sent none.")
            echo(heading(terminal_width()))
            self._simulator("POST", "/_sim/control", {"action": "start"})
            try:
                self._watch(stream, seconds)
            except KeyboardInterrupt:
                say("")
            status = read(self._redis, self._sandbox.settings)
            say("\nLetting the last conversations end …")
            self._simulator("POST", "/_sim/control", {"action": "stop"})
            self._drain(stream)
        verdict = judge(truths(self._get), self._events)
        echo("")
        echo(status_text(status))
        echo("")
        echo(self._summary(verdict))
        return verdict.clean

    def _until_live(self) -> MirrorStatus:
        deadline = time.monotonic() + CHANNELS_WITHIN_SECONDS
        while True:
            status = read(self._redis, self._sandbox.settings)
            if status.health == "ok" and status.shards:
                return status
            if time.monotonic() > deadline:
                reason = "; ".join(status.reasons) or "no reason given"
                raise DependencyError(
                    f"the sandbox was not live within {CHANNELS_WITHIN_SECONDS:.0f} s: {reason}"
                )
            time.sleep(0.2)

    def _watch(self, stream: EventStream, seconds: float | None) -> None:
        deadline = None if seconds is None else time.monotonic() + seconds
        while deadline is None or time.monotonic() < deadline:
            for event in stream.read(0.2):
                self._take(event, self._show)

    def _drain(self, stream: EventStream) -> None:
        deadline = time.monotonic() + DRAIN_WITHIN_SECONDS
        quiet_since = time.monotonic()
        while time.monotonic() < deadline:
            events = stream.read(0.2)
            for event in events:
                self._take(event, None)
            if events or self._active():
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > QUIET_SECONDS:
                return

    def _take(self, event: Event, show: Callable[[Event], None] | None) -> None:
        self._events.append(event)
        if self._repeats.is_repeat(event.event_id):
            return
        self._consumed_at[event.event_id] = time.time()
        if show is not None:
            show(event)

    def _show(self, event: Event) -> None:
        second, shown = self._shown_in_second
        now = int(time.monotonic())
        shown = shown + 1 if second == now else 1
        self._shown_in_second = (now, shown)
        if shown <= LINES_A_SECOND:
            echo(event_line(event, width=terminal_width()))

    # --- the simulator ------------------------------------------------------------------------

    def _simulator(self, method: str, path: str, body: Any = None) -> Any:
        url = self._sandbox.services.simulator_url + path
        try:
            answer = urllib3.request(
                method,
                url,
                body=None if body is None else msgspec.json.encode(body),
                headers={"Content-Type": "application/json"},
                timeout=10.0,
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise DependencyError(f"the simulator at {url} does not answer: {error}") from error
        if answer.status != 200:
            raise DependencyError(f"the simulator at {url} answered {answer.status}")
        return msgspec.json.decode(answer.data)

    def _active(self) -> int:
        return int(self._simulator("GET", "/_sim/stats")["conversations"]["active"])

    def _get(self, path: str) -> Any:
        return self._simulator("GET", path)

    # --- the check ------------------------------------------------------------------------

    def _summary(self, verdict: Verdict) -> str:
        stats = self._simulator("GET", "/_sim/stats")
        media = sorted({e.media_type for e in self._events if e.media_type})
        latencies = sorted(
            1000 * (consumed - epoch(event.received_at))
            for event in self._events
            if (consumed := self._consumed_at.pop(event.event_id, None)) is not None
        )
        clean = styled("0", fg="green", bold=True)
        missing, invented = len(verdict.missing), len(verdict.invented)
        rows = {
            "frames sent": f"{stats['frames']['frames_sent']:,}",
            "events": f"{verdict.events:,} in {verdict.records:,} records",
            "repeats": f"{verdict.repeats:,} dropped by event_id (two of everything)",
            "media": ", ".join(media),
            "transitions": f"{verdict.transitions:,} in the simulator's ledger",
            **_besides(verdict),
            "missing": str(missing) if missing else clean,
            "invented": str(invented) if invented else clean,
            "latency": (
                f"p50 {_quantile(latencies, 0.5):.0f} ms, p99 {_quantile(latencies, 0.99):.0f} ms, "
                f"max {_quantile(latencies, 1.0):.0f} ms from socket to consumer"
            ),
        }
        lines: list[str] = [filled(f"  {name:<12} ", value) for name, value in rows.items()]
        lines += [f"  missing: {truth}" for truth in verdict.missing[:5]]
        lines += [f"  invented: {event}" for event in verdict.invented[:5]]
        return "\n".join([click.style("Summary", bold=True), *lines])


def _besides(verdict: Verdict) -> dict[str, str]:
    """What events there are beside the transitions, so that the figures above add up."""
    told = {
        "readings": (verdict.readings, "more events report a state that was read, no transition"),
        "pauses": (len(verdict.flapped), "more events end a pause that lasted until its leg ended"),
    }
    return {name: f"{number:,} {words}" for name, (number, words) in told.items() if number}


def _quantile(ordered: list[float], share: float) -> float:
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
