"""One fault on the living site, from the blow to the reckoning.

    strike → what the fault must cause is seen → heal → the site is whole again → fresh events flow

Nothing here sleeps for a set time: each step waits for something that it can see, with a deadline.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from harness.oracle import RESTORABLE, Difference, Verdict
from harness.process import ServiceError
from mirror.base.errors import MirrorError
from mirror.conversation.event import Event
from mirror.fleet.gaps import Gap
from simulator.ledger import Truth
from tests.chaos.projected import Projected
from tests.chaos.site import Site, complaints

STRUCK_SECONDS = 40.0
WHOLE_SECONDS = 75.0
FRESH_SECONDS = 20.0
# The projector may have to wait for a transaction that was left open, and for its group.
PROJECTED_SECONDS = 75.0
FRESH = 40  # transitions after recovery that must come through
UNDER_FAULT = 150  # transitions that happen while the fault lasts, two or three seconds of load
POLL_SECONDS = 0.25
#: What is lost for good where nobody received: REST does not tell it, or not always.
UNTOLD_BY_REST = frozenset({"alert", "dial", "hold", "resume", "park", "unpark", "transfer"})
#: What only those tell who saw it happen. While their way to Kafka is barred, a listener that sees
#: the conversation later, on another topic, tells what it can still see, and these come behind.
WITNESSED = UNTOLD_BY_REST
NOTHING: frozenset[str] = frozenset()
# Rules of Genesys that no fault excuses (docs/simulator.md).
NEVER_BROKEN = (
    *("rate_limit_exceeded", "too_many_topics", "conversation_disconnect", "invalid_topic"),
    *("early_retry", "bad_client_frame"),
)


def _nothing(_site: Site, _hit: Any) -> None:
    """There is nothing to heal."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault as data. What `strike` returns is handed to `struck` and `heal`."""

    name: str
    proves: str
    leaves: str  # what it does not prove
    strike: Callable[[Site], Any]
    struck: Callable[[Site, Any], bool] | None = None  # None: that conversations went on
    heal: Callable[[Site, Any], None] = _nothing
    window: frozenset[str] = NOTHING  # event types that may be lost, by GUARANTEES.md
    late: frozenset[str] = NOTHING  # event types that may come late, by GUARANTEES.md
    needs: Callable[[Site], str] = lambda _: ""  # why it cannot be had here, empty where it can
    rules: frozenset[str] = NOTHING  # rules of Genesys that it cannot keep
    under_fault: int = UNDER_FAULT
    struck_within: float = STRUCK_SECONDS
    strangers: bool = False  # frames of conversations that the ledger does not have are sent

    @property
    def id(self) -> str:
        """The name as one word, for `-k`."""
        return re.sub(r"[^a-zA-Z0-9]+", "-", self.name).strip("-")


@dataclass(kw_only=True)
class Row:
    """What came of one fault; a line of the table."""

    fault: str
    events: int = 0
    missing: int = 0
    invented: int = 0
    altered: int = 0
    disordered: int = 0
    repeats: int = 0
    windowed: int = 0  # lost inside the fault's named window
    late: int = 0  # behind a later one of their leg, inside the fault's named window
    unprojected: int = 0  # events that are not in the once topic
    twice: int = 0  # events that stand in it more than once
    views: int = 0  # conversations whose view is not the fold, or not what happened
    restored: int = 0  # gaps that were filled in this trial
    lasted: float = 0.0  # seconds from the strike to the heal
    recovery: float = 0.0  # seconds from the beginning of the heal until the site was whole
    problems: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        return "FAILED" if self.problems else "ok"


class Trial:
    """Runs one fault."""

    def __init__(self, site: Site, fault: Fault, whole_seconds: float = WHOLE_SECONDS) -> None:
        """`whole_seconds`: within what time all must be well again."""
        self._site = site
        self._fault = fault
        self._whole_seconds = whole_seconds
        self._since = site.books.last_seq()
        self._old_gaps = {gap.id for gap in site.gaps()}
        self._row = Row(fault=fault.name)
        site.account.take_touched()
        site.org.call("DELETE", "/_sim/violations")

    def run(self) -> Row:
        """Strike, heal, wait, judge. What goes wrong stands in the row's problems."""
        site, fault, row = self._site, self._fault, self._row
        began = time.monotonic()
        hit: Any = None
        try:
            hit = fault.strike(site)
            site.until(lambda: self._struck(hit), fault.struck_within, f"{fault.name}: struck")
        except (ServiceError, MirrorError, AssertionError) as error:
            row.problems.append(str(error).splitlines()[0])
        finally:
            healed = time.monotonic()
            row.lasted = healed - began
            self._heal(hit)
        try:
            self._until_whole()
            row.recovery = time.monotonic() - healed
            self._until_fresh()
        except ServiceError as error:
            row.problems.append(str(error).splitlines()[0])
        self._reckon()
        return row

    def _heal(self, hit: Any) -> None:
        try:
            self._fault.heal(self._site, hit)
        except (ServiceError, MirrorError, AssertionError) as error:
            self._row.problems.append(str(error).splitlines()[0])

    def _struck(self, hit: Any) -> bool:
        """Whether the fault has shown its effect and life went on under it."""
        happened = self._site.books.last_seq() - self._since
        if happened < self._fault.under_fault:
            return False
        return self._fault.struck is None or self._fault.struck(self._site, hit)

    def _until_whole(self) -> None:
        """Every seat live, spools empty, new gaps filled, all that happened is in Kafka."""
        site = self._site
        until = site.books.last_seq()
        reason = ""

        def whole() -> bool:
            nonlocal reason
            reason = "Redis does not answer"
            status = site.mirror.status()
            if reasons := complaints(status):
                reason = "; ".join(reasons[:3])
                return False
            if spooled := site.spooled():
                reason = f"{spooled} records are in spools"
                return False
            if gaps := [g.id for g in site.gaps() if self._is_open(g)]:
                reason = f"{len(gaps)} gaps are open"
                return False
            untold = self._demanded(site.books.untold(site.books.truths(self._since, until)))
            first = " ".join(map(_brief, untold[:1]))
            reason = f"{len(untold)} transitions are not in Kafka, first {first}"
            return not untold

        try:
            site.until(whole, self._whole_seconds, "", interval=POLL_SECONDS)
        except ServiceError:
            raise ServiceError(f"not whole after {self._whole_seconds:.0f} s: {reason}") from None

    def _is_open(self, gap: Gap) -> bool:
        """Whether it is a gap of this trial. What was filed by hand is work for janitors only."""
        return not gap.done and gap.filed_by == "leader" and gap.id not in self._old_gaps

    def _until_fresh(self) -> None:
        """What happens from now on comes through, whole."""
        site = self._site
        now = site.books.last_seq()
        site.until(lambda: site.books.last_seq() >= now + FRESH, STRUCK_SECONDS, "the load goes on")
        until = site.books.last_seq()
        site.until(
            lambda: not site.books.untold(site.books.truths(now, until)),
            FRESH_SECONDS,
            "fresh events come through whole",
        )

    def _demanded(self, untold: list[Truth]) -> list[Truth]:
        """What cannot be excused by the fault's window, nor by there having been no socket."""
        window = self._fault.window
        return [
            truth
            for truth in untold
            if truth.event_type not in window
            and not (window and truth.replaced)  # no body has a replaced code any more
            and (truth.first_sent_ms is not None or truth.event_type in RESTORABLE)
        ]

    def _reckon(self) -> None:
        site, row, fault = self._site, self._row, self._fault
        until = site.books.last_seq()
        truths: list[Truth] = []

        def told() -> bool:
            nonlocal truths
            truths = site.books.truths(self._since, until)
            return not self._demanded(site.books.untold(truths))

        try:
            site.until(told, FRESH_SECONDS, "all is in Kafka")
        except ServiceError as error:
            row.problems.append(str(error))
        lost = site.books.untold(truths)
        self._enter(site.books.judge(truths), lost)
        self._reckon_projected()
        row.restored = sum(g.done and g.id not in self._old_gaps for g in site.gaps())
        broken = site.org.get("/_sim/violations")["counts"]
        for rule in NEVER_BROKEN:
            if broken.get(rule) and rule not in fault.rules:
                row.problems.append(f"{broken[rule]} times {rule}")
        if site.account.wrong:
            row.problems.append(f"records unlike the contract: {site.account.wrong[:3]}")
            site.account.wrong.clear()

    def _reckon_projected(self) -> None:
        """Each event once, and each view as the fold of the stream and as it happened."""
        site, row = self._site, self._row
        found = Projected(site.books, site.once, site.views, site.books.judged, self._fault.window)
        with suppress(ServiceError):  # what is not right then stands in `found`
            site.until(found.look, PROJECTED_SECONDS, "all is projected", interval=POLL_SECONDS)
        twice = [event_id for event_id in site.once.twice() if event_id not in site.blamed]
        site.blamed |= set(twice)
        wrong = {**found.untrue, **found.unlike}
        row.unprojected, row.twice, row.views = len(found.missing), len(twice), len(wrong)
        row.problems += [f"not in the once topic: {event_id}" for event_id in found.missing[:4]]
        row.problems += [f"twice in the once topic: {event_id}" for event_id in twice[:4]]
        row.problems += [f"view of {key}: {reason}" for key, reason in sorted(wrong.items())[:4]]

    def _enter(self, verdict: Verdict, lost: list[Truth]) -> None:
        row, fault, blamed = self._row, self._fault, self._site.blamed
        missing = self._demanded(lost)
        disordered = [event for event in verdict.disordered if event.event_id not in blamed]
        late = [event for event in disordered if event.event_type in fault.late]
        invented = [event for event in verdict.invented if event.event_id not in blamed]
        if fault.strangers:
            begun = {event.conversation_id for event in invented if event.event_type == "start"}
            self._site.strangers |= begun
            if not begun:
                row.problems.append("no conversation of unknown words came through")
        # The janitor ends them later: Genesys does not know them.
        invented = [
            event for event in invented if event.conversation_id not in self._site.strangers
        ]
        findings: dict[str, list[Truth] | list[Event] | list[Difference]] = {
            "missing": missing,
            "invented": invented,
            "altered": [
                alteration
                for alteration in verdict.altered
                if alteration.event.event_id not in blamed
            ],
            "out of order": [event for event in disordered if event.event_type not in fault.late],
        }
        # A conversation outlives a trial: what was told of it is not told again.
        blamed |= {event.event_id for event in disordered + verdict.invented}
        blamed |= {alteration.event.event_id for alteration in verdict.altered}
        row.events, row.repeats = verdict.events, verdict.repeats
        row.windowed, row.late = len(lost) - len(missing), len(late)
        row.missing, row.invented, row.altered, row.disordered = map(len, findings.values())
        for name, found in findings.items():
            row.problems += [f"{name}: {_brief(item)}" for item in found[:4]]
        if row.windowed and not fault.window:
            row.problems.append(f"{row.windowed} transitions were received by nobody")


def _brief(found: Truth | Event | Difference) -> str:
    """A finding in one line."""
    if isinstance(found, Difference):
        told = getattr(found.event, found.field)
        return f"{found.field} is {told}, was {found.true}: {_brief(found.event)}"
    words = [found.event_type, found.media_type, found.conversation_id, found.participant_id]
    words += [f"at {found.occurred_at}", found.hold_started_at]
    if isinstance(found, Event):
        words += [found.origin, f"read {found.received_at}", found.source_topic]
    else:
        words += [f"seq {found.seq}", f"sent {found.first_sent_ms}"]
    return " ".join(word for word in words if word)


HEAD = (
    f"{'fault':<48} {'events':>6} {'missing':>7} {'invented':>8} {'altered':>7} {'disorder':>8} "
    f"{'late':>4} {'copies':>6} {'window':>6} "
    f"{'unproj':>6} {'twice':>5} {'views':>5} "
    f"{'gaps':>4} {'lasted':>8} {'recovery':>8}  verdict"
)


def line(row: Row) -> str:
    """One row for people, with its problems below."""
    text = (
        f"{row.fault:<48} {row.events:>6} {row.missing:>7} {row.invented:>8} {row.altered:>7} "
        f"{row.disordered:>8} {row.late:>4} {row.repeats:>6} {row.windowed:>6} "
        f"{row.unprojected:>6} {row.twice:>5} {row.views:>5} "
        f"{row.restored:>4} {row.lasted:>6.1f} s {row.recovery:>6.1f} s  {row.verdict}"
    )
    return "\n".join([text, *(f"    {problem[:400]}" for problem in row.problems)])


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    return "\n".join([HEAD, "-" * len(HEAD), *map(line, rows)])
