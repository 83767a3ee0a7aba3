"""One reading of a gap: finds its conversations, reads each, and reports those it could not read.

    analytics' queries (`janitor.gaps.plan`)  the conversations that lived in the gap
    the tracker's active set                  unfinished conversations at these topics that the
                                              queries did not list; analytics is asked, a hundred
                                              at once, whether they lived then
    GET, by id                                the whole history of each

Conversations that REST refuses or has forgotten, or about which it gives a strange answer, are
taken from analytics, which listed them. If they are many, they do not count as read in the first
hour, or at all (`janitor.gaps.withheld`).

A conversation touches topics of several shards, so one outage makes several gaps that all list it.
A GET returns the whole history of a conversation up to the moment of the request. So a GET made
after a gap's end, and acknowledged, serves that gap too, whichever gap it was made for.

Readings carry the time *before* the request: a live event that comes while the answer is on its way
is then newer than the answer, and wins.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Final, Protocol

import msgspec
import redis

from janitor.agreement import Agreement
from janitor.answers import Answer, ask
from janitor.control import any_conversation
from janitor.details import ask_details
from janitor.gaps.listing import Listing
from janitor.gaps.marks import Marks
from janitor.gaps.plan import MARGIN_MS, PAGE_SIZE, lived, predicates, questions
from janitor.gaps.unfinished import Unfinished
from janitor.gaps.unread import INCOMPLETE, PARTITION, Unread
from janitor.gaps.withheld import WAIT_MS, Withheld
from janitor.genesys import Genesys, Part
from janitor.producer import AckedProducer, PartitionUnavailable
from mirror.base.errors import GenesysUnavailable
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress
from mirror.conversation.normaliser import Normaliser, Reading
from mirror.conversation.times import show_epoch
from mirror.fleet.gaps import READINGS, Gap
from mirror.genesys.shapes import AnalyticsConversation
from mirror.redis.clock import redis_now_ms
from mirror.redis.keys import Keys

# Conversations that began this short before the request may be unknown to REST and analytics yet.
PROPAGATION_MS: Final = 10 * 60_000
# After this many failed calls in a row, each with its own retries, Genesys counts as unavailable,
# unless REST still returns a conversation that it returned before. Then only these conversations
# fail.
GIVE_UP_AFTER: Final = 3


class Stopped(Exception):
    """This process is stopping."""


class Desk(msgspec.Struct, kw_only=True):
    """The tools of a reading. `parts` lists conversations, `genesys` has them by id."""

    client: redis.Redis
    keys: Keys
    genesys: Genesys
    parts: Sequence[Part]
    producer: AckedProducer
    normaliser: Normaliser
    unfinished: Unfinished
    agreement: Agreement = msgspec.field(default_factory=Agreement)
    horizon_ms: int
    lag_ms: int
    stopping: Callable[[], bool]
    report_progress: ReportProgress


class Holder(Protocol):
    """Holds the gap: its state and its lease."""

    gap: Gap

    def change(self, **fields: object) -> None:
        """Change fields of the gap."""

    def beat(self) -> None:
        """Renew the lease. Raises `LeaseLost`."""


class GapReading:
    """One reading of one gap."""

    def __init__(self, desk: Desk, holder: Holder) -> None:
        self.conversations = 0
        self.events = 0
        self.unread = Unread()
        self.least_queries = 0  # the fewest queries that could have listed the found conversations
        self._desk = desk
        self._holder = holder
        self._marks = Marks(desk.client, desk.keys, holder.gap)
        self._seen: set[str] = set()
        self._withheld = Withheld()
        self._unasked: dict[str, str] = {}  # id that analytics refuses → why
        self._standing: dict[int, str] = {}  # partition that takes no events → why
        self._failed_in_a_row = 0
        self._listing = Listing(
            self._before_call,
            self.unread,
            believes_silence=self._failing_ms() >= WAIT_MS,
        )
        self._log = logger("janitor.gaps")

    # --- finding ----------------------------------------------------------------------------------

    def run(self) -> None:
        """Read all conversations of the gap.

        Raises `GenesysError` if no call can be made, `KafkaUnavailable`, `RedisUnavailable`,
        `LeaseLost`, `Stopped`.
        """
        gap = self._holder.gap
        if gap.kind == "recall":
            self._desk.unfinished.at(frozenset(), gap.to_ms)
        for part in self._desk.parts:
            self._read_part(part)
        if gap.kind == "gap":
            self._read_tracked()
        self._judge_withheld()
        self._listing.end()

    def _read_part(self, part: Part) -> None:
        """Read what the queries on a part's topics list."""
        asks = lists = False
        gap = msgspec.structs.replace(self._holder.gap, topics=part.topics)
        for question in questions(gap, self._desk.horizon_ms, self._now_ms()):
            asks = True
            lived_in_it = 0
            for page in self._listing.pages(part.genesys, question):
                lists = True
                lived_in_it += self._read_page(page)
            self.least_queries += max(1, ceil(lived_in_it / PAGE_SIZE))
        # A snapshot or a recall lists nothing where nothing goes on. A first reading fills no gap.
        if asks and not lists and gap.kind == "gap" and gap.readings + 1 >= READINGS:
            self._doubt_silence(part)

    def _doubt_silence(self, part: Part) -> None:
        """Note that nothing was listed, if analytics lists no other conversation either.

        It may be unwell, or late by more than its lag. After a while it is believed.
        """
        if self._failing_ms() >= WAIT_MS or self.unread.errors():
            return
        self._before_call()
        if any_conversation(part.genesys, self._now_ms()) is None:
            line = "analytics lists no conversation at all, of any queue or user, for a week"
            self.unread.note(INCOMPLETE, line)

    def _read_page(self, page: Sequence[AnalyticsConversation]) -> int:
        """Read a page's unread conversations that lived in the gap. Returns how many lived."""
        gap, desk = self._holder.gap, self._desk
        known = {
            conversation.conversation_id: conversation
            for conversation in page
            if conversation.conversation_id not in self._seen
            and lived(conversation, gap.from_ms, gap.to_ms)
        }
        self._seen.update(conversation.conversation_id for conversation in page)
        if gap.kind == "recall":
            known = {
                name: conversation
                for name, conversation in known.items()
                if not desk.unfinished.knows(name)
            }
        self._take(known)
        return len(known)

    def _read_tracked(self) -> None:
        """Read the tracker's unfinished conversations at the gap's topics that no query listed."""
        gap, desk = self._holder.gap, self._desk
        places = {place for _, place in predicates(gap.topics)}
        names = desk.unfinished.at(places, gap.to_ms + MARGIN_MS)
        todo = self._marks.left_of([name for name in names if name not in self._seen])
        for first in range(0, len(todo), PAGE_SIZE):
            group = todo[first : first + PAGE_SIZE]
            details = ask_details(desk.genesys, group, self._before_call)
            shown = details.shown
            self._unasked.update(details.refused)
            self.least_queries += 1
            self._take(
                {
                    id_: shown.get(id_)
                    for id_ in group
                    if id_ not in shown or lived(shown[id_], gap.from_ms, gap.to_ms)
                }
            )

    # --- reading ----------------------------------------------------------------------------------

    def _take(self, known: Mapping[str, AnalyticsConversation | None]) -> None:
        """Read conversations; `known` has analytics' answer on each."""
        todo = self._marks.left_of(list(known))
        # Janitors at gaps of one outage should not ask for the same conversations at once.
        random.shuffle(todo)
        gap, desk = self._holder.gap, self._desk
        self._holder.change(found=gap.found + len(known), read=gap.read + len(known) - len(todo))
        for id_ in todo:
            self._turn()
            if self._standing and (why := self._standing.get(desk.producer.partition_of(id_))):
                self._note(PARTITION, why)
                continue
            asked_ms = self._now_ms()
            if self._marks.read_elsewhere(id_, asked_ms):
                self._withheld.given += 1  # for another gap's reading
                self._mark(id_)
                continue
            try:
                is_read = self._read(id_, known[id_], asked_ms)
            except PartitionUnavailable as error:
                self._standing[error.partition] = str(error)
                self._note(PARTITION, str(error))
                continue
            if is_read:
                self._mark(id_)
                self._least(1)

    def _read(
        self, conversation_id: str, shown: AnalyticsConversation | None, asked_ms: int
    ) -> bool:
        """Read one conversation and produce its events. Returns whether REST gave all of it."""
        desk = self._desk
        asked_at = time.time()
        self._called()
        answer = ask(desk.genesys, conversation_id)
        self._count_failures(answer)
        if answer.kind == "given":
            if shown is not None:
                desk.agreement.look(answer.raw, shown)
            reading = desk.normaliser.conversation(
                answer.raw, show_epoch(asked_at), asked_at, origin="backfill"
            )
            self._produce(reading)
            if reading.problem is None:
                self._withheld.given += 1
                self._marks.share(conversation_id, asked_ms)
                return True
            answer = Answer("strange", reason=f"its body cannot be read: {reading.problem.message}")
        self._log.warning(
            "gap_conversation_read_failed",
            conversation=conversation_id,
            answer=answer.kind,
            error=answer.reason,
        )
        self._read_analytics(conversation_id, shown, answer, asked_at, asked_ms)
        return False

    def _read_analytics(
        self,
        conversation_id: str,
        shown: AnalyticsConversation | None,
        answer: Answer,
        asked_at: float,
        asked_ms: int,
    ) -> None:
        """Take a conversation from analytics that REST does not return. Whether it counts as read
        is decided later, or noted."""
        desk = self._desk
        if answer.kind == "failed" or shown is None:
            reason = answer.reason
            if conversation_id in self._unasked:
                reason += f"; {self._unasked[conversation_id]}"
            elif answer.kind == "forgotten":
                reason = "neither REST nor analytics knows it" + self._perhaps_young(asked_ms)
            self._note(answer.kind, reason)
            return
        if not desk.agreement.holds:
            self._note(answer.kind, f"{answer.reason}; analytics names legs differently from REST")
            return
        raw = msgspec.json.encode(shown)
        reading = desk.normaliser.analytics(raw, show_epoch(asked_at), asked_at)
        self._produce(reading)
        # Analytics lags: a conversation that goes on may have had more events within the gap.
        is_late = asked_ms >= self._holder.gap.to_ms + desk.lag_ms
        if reading.problem is not None:
            self._note("strange", f"analytics cannot be read: {reading.problem.message}")
        elif shown.conversation_end is None and not is_late:
            self._note(answer.kind, answer.reason)
        else:
            self._withheld.add(conversation_id, answer.kind, answer.reason)

    def _judge_withheld(self) -> None:
        """Decide whether withheld conversations, read from analytics, count as read."""
        withheld = self._withheld
        if not withheld.given and "strange" in withheld.kinds.values() and self._answers():
            withheld.given += 1  # it is Genesys that answers
        waited_ms = self._failing_ms()
        for id_, kind in withheld.kinds.items():
            if withheld.are_read(kind, waited_ms):
                self._mark(id_)
                self._least(1)
            else:
                self._note(kind, f"{withheld.lines[kind]}; analytics lists it")

    def _produce(self, reading: Reading) -> None:
        self._desk.producer.send(reading.events)
        self.conversations += 1
        self.events += len(reading.events)
        self._holder.change(events=self._holder.gap.events + len(reading.events))

    def _note(self, reason: str, line: str) -> None:
        self.unread.note(reason, line)
        self._holder.change(unread=self._holder.gap.unread + 1)

    def _count_failures(self, answer: Answer) -> None:
        self._failed_in_a_row = self._failed_in_a_row + 1 if answer.kind == "failed" else 0
        if self._failed_in_a_row >= GIVE_UP_AFTER:
            if not self._answers():
                raise GenesysUnavailable(answer.reason)
            self._failed_in_a_row = 0

    def _answers(self) -> bool:
        """Whether REST returns a conversation that it returned before."""
        control = self._marks.last_shared()
        if control is None:
            return False
        self._before_call()
        return ask(self._desk.genesys, control).kind == "given"

    def _perhaps_young(self, asked_ms: int) -> str:
        young = asked_ms - self._holder.gap.to_ms < PROPAGATION_MS
        return " yet; it may have just begun" if young else ""

    # --- house-keeping ----------------------------------------------------------------------------

    def forget(self, shared_ms: int) -> None:
        """Delete the marks of the filled gap. Raises `RedisUnavailable`."""
        self._marks.forget(shared_ms)

    def _mark(self, conversation_id: str) -> None:
        self._marks.mark(conversation_id)
        self._holder.change(read=self._holder.gap.read + 1)

    def _turn(self) -> None:
        self._desk.report_progress()
        if self._desk.stopping():
            raise Stopped
        self._holder.beat()

    def _before_call(self) -> None:
        self._turn()
        self._called()

    def _called(self) -> None:
        self._holder.change(calls=self._holder.gap.calls + 1)

    def _least(self, calls: int) -> None:
        self._holder.change(least_calls=self._holder.gap.least_calls + calls)

    def _failing_ms(self) -> int:
        """Milliseconds since the first reading of this gap that was incomplete."""
        since = self._holder.gap.failing_since_ms
        return self._now_ms() - since if since else 0

    def _now_ms(self) -> int:
        return redis_now_ms(self._desk.client)
