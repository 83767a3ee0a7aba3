"""One reading of a gap: all that lived in it is read, or it says what was not (guarantee 6)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from janitor.gaps.plan import DAY_MS
from janitor.gaps.reading import GIVE_UP_AFTER, Desk, GapReading, Stopped
from janitor.gaps.unfinished import Unfinished
from janitor.gaps.withheld import LEAST_WITHHELD, MOST_SHARE, WAIT_MS, Withheld
from mirror.base.errors import GenesysError, GenesysUnavailable
from mirror.base.thread_watch import unwatched
from mirror.conversation.normaliser import Normaliser
from mirror.fleet.gaps import READINGS, Gap
from mirror.fleet.tracked import Tracked, TrackedLeg
from mirror.genesys.shapes import AnalyticsPage
from mirror.redis.keys import Keys
from tests.unit.janitor.fakes import (
    AckedProducer,
    Genesys,
    Memory,
    Odd,
    odd_request,
    refusal,
    unwell,
)

HOUR = 3_600_000
NOON = 20_000 * DAY_MS + 12 * HOUR
MINUTE = 60_000
KEYS = Keys("test")


class Stand:
    """A gap from noon on, ten minutes long, and all that its reading works with."""

    def __init__(self, **fields: Any) -> None:
        made = Gap(
            id="g",
            shard="0",
            topics=("v2.routing.queues.q1.conversations",),
            from_ms=NOON,
            to_ms=NOON + 10 * MINUTE,
        )
        self.gap = msgspec.structs.replace(made, **fields)
        self.memory = Memory(NOON + 11 * MINUTE)
        self.genesys = Genesys()
        self.producer = AckedProducer()
        self.stopping = False

    def change(self, **fields: object) -> None:
        self.gap = msgspec.structs.replace(self.gap, **fields)

    def beat(self) -> None:
        """The lease holds."""

    def track(self, name: str, since_ms: int, queue: str = "q1") -> None:
        """The tracker knows it as unfinished."""
        leg = TrackedLeg("p", f"{name}-leg", "call", queue_id=queue, answered=True)
        self.memory.track(KEYS, name, Tracked(since_ms, [leg]))

    def read(self) -> GapReading:
        """A reading with a memory of its own, as another janitor's."""
        redis: Any = self.memory
        producer: Any = self.producer
        sight = self.genesys.seeing(self.gap.topics)
        desk = Desk(
            client=redis,
            keys=KEYS,
            genesys=sight.genesys,
            parts=sight.parts,
            producer=producer,
            normaliser=Normaliser(),
            unfinished=Unfinished(redis, KEYS),
            horizon_ms=31 * DAY_MS,
            lag_ms=5 * MINUTE,
            stopping=lambda: self.stopping,
            report_progress=unwatched,
        )
        reading = GapReading(desk, self)
        reading.run()
        return reading

    def told(self) -> set[str]:
        """The conversations of which something was produced."""
        return {event.conversation_id for event in self.producer.events}


def test_what_lived_in_it_is_read_and_nothing_else() -> None:
    """Over within it, begun a week before, going on; not what ended before or began after."""
    stand = Stand()
    for name, began, ended in (
        ("inside", NOON + MINUTE, NOON + 2 * MINUTE),
        ("since last week", NOON - 7 * DAY_MS, None),
        ("until just now", NOON - 8 * HOUR, NOON + 5 * MINUTE),
        ("over before", NOON - 2 * HOUR, NOON - HOUR),
        ("begun after", NOON + 30 * MINUTE, None),
    ):
        stand.genesys.add(name, began, ended)
    reading = stand.read()
    assert reading.unread.errors() == ()
    assert stand.told() == {"inside", "since last week", "until just now"}
    assert sorted(stand.genesys.asked) == sorted(stand.told())
    assert (stand.gap.found, stand.gap.read, stand.gap.unread) == (3, 3, 0)


def test_calls_are_counted_beside_the_fewest_that_would_do() -> None:
    """Two queries and a GET for each; on the second reading two queries."""
    stand = Stand()
    for number in range(5):
        stand.genesys.add(f"c{number}", NOON, NOON + MINUTE)
    reading = stand.read()
    assert (stand.gap.calls, stand.gap.least_calls + reading.least_queries) == (7, 7)
    again = stand.read()
    assert (stand.gap.calls, again.least_queries) == (9, 2)
    assert len(stand.genesys.asked) == 5


def test_what_only_the_tracker_knows_is_asked_for_a_hundred_at_once() -> None:
    """Begun beyond the horizon, say: analytics tells for many whether they lived then."""
    stand = Stand()
    for number in range(150):
        name = f"t{number}"
        over = NOON - DAY_MS if number < 100 else None
        stand.genesys.add(name, NOON - 60 * DAY_MS, over, listed=False)
        stand.track(name, NOON - 60 * DAY_MS)
    stand.track("elsewhere", NOON - HOUR, queue="q2")
    stand.track("later", NOON + HOUR)
    reading = stand.read()
    assert [len(ids) for ids in stand.genesys.multi_gets] == [100, 50]
    assert len(stand.genesys.asked) == 50  # the others were over before
    assert reading.unread.errors() == ()


def test_an_odd_id_that_the_tracker_knows_stops_no_other() -> None:
    """Analytics refuses it with all others of its request; REST knows it."""
    stand = Stand()
    stand.genesys = Odd("t50")
    for number in range(100):
        stand.genesys.add(f"t{number}", NOON - HOUR, listed=False)
        stand.track(f"t{number}", NOON - HOUR)
    assert stand.read().unread.errors() == ()
    assert len(stand.told()) == 100
    assert stand.gap.calls == 100 + 2 + len(stand.genesys.multi_gets)


def test_an_odd_id_that_nobody_tells_of_keeps_the_gap_open() -> None:
    """With the reasons of both."""
    stand = Stand()
    stand.genesys = Odd("odd")
    stand.track("odd", NOON - HOUR)
    (error,) = stand.read().unread.errors()
    assert "404 not.found" in error
    assert "400 bad.request" in error


@pytest.mark.parametrize("error", [odd_request(), unwell()], ids=["400", "500"])
def test_an_odd_queue_stops_no_other(error: GenesysError) -> None:
    """The gap stays open for it, and says so; the others are read."""
    topics = tuple(f"v2.routing.queues.q{number}.conversations" for number in range(8))
    stand = Stand(kind="snapshot", topics=topics)
    stand.genesys = Odd("q5", error=error)
    stand.genesys.add("c", NOON)
    reading = stand.read()
    assert reading.unread.errors() == (f"analytics does not list q5: {error}",)
    assert stand.told() == {"c"}


def test_odd_queues_side_by_side_stop_no_other() -> None:
    """They are asked one after the other, which is no sign that analytics refuses all."""
    topics = tuple(f"v2.routing.queues.q{number}.conversations" for number in range(100))
    stand = Stand(kind="snapshot", topics=topics)
    stand.genesys = Odd("q53", "q54", "q55")
    stand.genesys.add("c", NOON)
    assert len(stand.read().unread.errors()) == 3
    assert stand.told() == {"c"}


@pytest.mark.parametrize("error", [odd_request(), unwell()], ids=["400", "500"])
def test_where_analytics_refuses_each_list_the_reading_fails(error: GenesysError) -> None:
    """After a few calls: these are no odd queues."""
    topics = tuple(f"v2.routing.queues.q{number}.conversations" for number in range(100))
    stand = Stand(kind="snapshot", topics=topics)
    stand.genesys = Odd(*(f"q{number}" for number in range(100)), error=error)
    with pytest.raises(GenesysError, match=str(error)):
        stand.read()
    assert stand.genesys.queries < 20


def test_where_analytics_fails_at_the_only_queue_the_reading_fails() -> None:
    """Genesys may be away. The reading still has the conversations that only the tracker knows."""
    stand = Stand()
    stand.genesys = Odd("q1", error=unwell())
    stand.genesys.add("c", NOON, listed=False)
    stand.track("c", NOON)
    with pytest.raises(GenesysError, match="500"):
        stand.read()
    assert stand.told() == {"c"}


def test_a_refusal_of_everything_keeps_the_gap_open_though_analytics_tells_it() -> None:
    """A right may be missing that comes back: what analytics tells is produced at once."""
    stand = Stand()
    for number in range(3):
        stand.genesys.add(f"c{number}", NOON, NOON + MINUTE)
        stand.genesys.errors[f"c{number}"] = refusal()
    reading = stand.read()
    (error,) = reading.unread.errors()
    assert error.startswith("3 conversations: GET answers 403")
    assert reading.unread.reasons() == {"refused": 3}
    assert (stand.gap.unread, stand.gap.read) == (3, 0)
    assert stand.told() == {"c0", "c1", "c2"}
    stand.genesys.errors.clear()
    assert stand.read().unread.errors() == ()
    assert stand.gap.unread == 3  # of the attempt before; whoever attempts anew sets it back


def test_a_refusal_of_everything_is_believed_after_an_hour() -> None:
    """They are of another division then, and analytics' word is the last one."""
    stand = Stand()
    stand.genesys.add("c", NOON, NOON + MINUTE)
    stand.genesys.errors["c"] = refusal()
    stand.change(failing_since_ms=stand.memory.now_ms)
    assert stand.read().unread.errors()
    stand.memory.now_ms += WAIT_MS
    assert stand.read().unread.errors() == ()


@pytest.mark.parametrize("kind", ["refused", "forgotten"])
@pytest.mark.parametrize(("given", "withheld"), [(0, 50), (1, 49), (30, 20), (40, 10), (49, 1)])
def test_many_withheld_conversations_keep_the_gap_open_for_an_hour(
    kind: str, given: int, withheld: int
) -> None:
    """REST refuses or no longer knows more than a fifth of what analytics lists: a right that may
    come back, or a REST that is unwell. Their events are produced at once, all the same."""
    stand = Stand()
    for number in range(given + withheld):
        stand.genesys.add(f"c{number}", NOON, NOON + MINUTE)
        if number >= given:
            status = 403 if kind == "refused" else 404
            stand.genesys.errors[f"c{number}"] = GenesysError(
                f"GET answers {status} [correlation id {number}]", status=status, code="a.code"
            )
    are_many = withheld / (given + withheld) > MOST_SHARE
    reading = stand.read()
    assert reading.unread.reasons() == ({kind: withheld} if are_many else {})
    assert all("analytics lists it" in error for error in reading.unread.errors())
    assert len(reading.unread.errors()) == are_many, "one line for all"
    assert (stand.gap.read, stand.gap.unread) == (
        (given, withheld) if are_many else (given + withheld, 0)
    )
    assert len(stand.told()) == given + withheld
    stand.change(failing_since_ms=stand.memory.now_ms)
    stand.memory.now_ms += WAIT_MS - 1
    assert bool(stand.read().unread.errors()) == are_many, "those given before do not count again"
    stand.memory.now_ms += 1
    assert stand.read().unread.errors() == ()


def test_a_conversation_that_rest_gave_for_another_gap_counts_as_given() -> None:
    """Gaps of one outage list the same conversations, and the first one has read most of them."""
    stand = Stand()
    for number in range(40):
        stand.genesys.add(f"c{number}", NOON, NOON + MINUTE)
        if number < 6:
            stand.genesys.errors[f"c{number}"] = refusal()
        else:
            stand.memory.zadd(KEYS.readings, {f"c{number}": stand.memory.now_ms - 1})
    assert stand.read().unread.errors() == ()
    assert len(stand.genesys.asked) == 6


@pytest.mark.parametrize("kinds", [{"refused"}, {"forgotten"}, {"refused", "forgotten"}])
@pytest.mark.parametrize("many", range(1, LEAST_WITHHELD))
def test_few_withheld_conversations_say_nothing_as_a_share(many: int, kinds: set[str]) -> None:
    """They are exceptions beside a given one; alone, only if all were purged."""
    order = sorted(kinds)
    found = {str(number): order[number % len(order)] for number in range(many)}
    is_refused = "refused" in found.values()
    assert Withheld(1, found).are_exceptions()
    assert Withheld(0, found).are_exceptions() == (not is_refused)


def test_an_exception_is_read_from_analytics() -> None:
    """Others are given: the refused one is of another division, the forgotten one was purged."""
    stand = Stand()
    for name in ("given", "refused", "forgotten"):
        stand.genesys.add(name, NOON, NOON + MINUTE)
    stand.genesys.errors["refused"] = refusal()
    del stand.genesys.rest["forgotten"]
    assert stand.read().unread.errors() == ()
    ends = {event.conversation_id for event in stand.producer.events if event.event_type == "end"}
    assert ends == {"given", "refused", "forgotten"}
    assert stand.gap.read == 3


def test_analytics_is_believed_of_what_goes_on_only_behind_its_lag() -> None:
    """Before, the conversation may have gone on within the gap in ways that it does not show."""
    stand = Stand()
    stand.genesys.add("c", NOON - HOUR)
    del stand.genesys.rest["c"]
    assert stand.read().unread.reasons() == {"forgotten": 1}
    stand.memory.now_ms = stand.gap.to_ms + 5 * MINUTE
    assert stand.read().unread.errors() == ()


def test_what_nobody_knows_yet_keeps_the_gap_open() -> None:
    """The tracker knows it, REST and analytics do not: it may be too young for them."""
    stand = Stand()
    stand.track("young", NOON + 9 * MINUTE)
    (error,) = stand.read().unread.errors()
    assert "neither REST nor analytics knows it yet; it may have just begun" in error
    stand.genesys.add("young", NOON + 9 * MINUTE, listed=False)
    assert stand.read().unread.errors() == ()
    assert stand.told() == {"young"}


@pytest.mark.parametrize("raw", [b"<html>busy</html>", b'{"id":"another","participants":[]}'])
def test_a_strange_answer_is_no_answer(raw: bytes) -> None:
    """A gateway's page, another conversation's body: not an event of it, and said."""
    stand = Stand()
    stand.genesys.add("c", NOON - HOUR)
    stand.genesys.rest["c"] = raw
    assert stand.read().unread.reasons() == {"strange": 1}
    assert stand.told() <= {"c"}  # what analytics tells of it


STRANGE = [b"<html>busy</html>", b'{"id":"another","participants":[]}', None]


@pytest.mark.parametrize("raw", STRANGE, ids=["page", "another's", "404 of a gateway"])
@pytest.mark.parametrize("many", [1, 30])
def test_where_all_answers_are_strange_the_gap_stays_open(many: int, raw: bytes | None) -> None:
    """A cache or a gateway answers, not Genesys: what analytics tells is produced, and however long
    that lasts, nothing counts as read."""
    stand = Stand()
    for number in range(many):
        stand.genesys.add(f"c{number}", NOON, NOON + MINUTE)
        if raw is None:
            stand.genesys.errors[f"c{number}"] = GenesysError("GET answers 404", status=404)
        else:
            stand.genesys.rest[f"c{number}"] = raw
    stand.change(failing_since_ms=stand.memory.now_ms)
    for _ in range(2):
        assert stand.read().unread.reasons() == {"strange": many}
        assert stand.gap.read == 0
        stand.memory.now_ms += WAIT_MS
    assert len(stand.told()) == many


def test_a_strange_answer_is_an_exception_where_genesys_answers_otherwise() -> None:
    """It gives others in this reading, or what it gave before."""
    stand = Stand()
    for name in ("given", "strange"):
        stand.genesys.add(name, NOON, NOON + MINUTE)
    stand.genesys.rest["strange"] = b"<html>busy</html>"
    assert stand.read().unread.errors() == ()
    assert stand.gap.read == 2
    stand.genesys.add("later", NOON, NOON + MINUTE)
    stand.genesys.rest["later"] = b"<html>busy</html>"
    assert stand.read().unread.errors() == ()


def test_one_failure_does_not_stop_the_others() -> None:
    """It is tried again with the next attempt; several in a row are an outage."""
    stand = Stand()
    for number in range(2 * GIVE_UP_AFTER):
        stand.genesys.add(f"c{number}", NOON, NOON + MINUTE)
    stand.genesys.errors["c1"] = GenesysUnavailable("GET answers 502", status=502)
    assert stand.read().unread.reasons() == {"failed": 1}
    assert stand.gap.read == 2 * GIVE_UP_AFTER - 1
    for name in stand.genesys.rest:
        stand.genesys.errors[name] = GenesysUnavailable("GET answers 502", status=502)
    for number in range(2 * GIVE_UP_AFTER):
        stand.genesys.add(f"d{number}", NOON, NOON + MINUTE)
        stand.genesys.errors[f"d{number}"] = GenesysUnavailable("GET answers 502", status=502)
    with pytest.raises(GenesysError):
        stand.read()


def test_many_that_always_fail_do_not_stop_the_others() -> None:
    """Genesys gives what it gave before: then it is not away, and the reading goes on behind them.
    A later reading, in which only they are left, reads new ones too."""
    stand = Stand()
    for number in range(3 * GIVE_UP_AFTER):
        stand.genesys.add(f"bad{number}", NOON, NOON + MINUTE)
        stand.genesys.errors[f"bad{number}"] = GenesysUnavailable("GET answers 500", status=500)
    stand.memory.zadd(KEYS.readings, {"read for another gap": NOON})
    stand.genesys.add("read for another gap", NOON - DAY_MS, NOON - HOUR, listed=False)
    for turn in range(2):
        for number in range(150):  # on a second page too
            stand.genesys.add(f"c{turn}-{number}", NOON, NOON + MINUTE)
        reading = stand.read()
        assert reading.unread.reasons() == {"failed": 3 * GIVE_UP_AFTER}
        assert len(stand.told()) == 150 * (turn + 1)


def test_a_recall_reads_what_the_tracker_does_not_know() -> None:
    """After a fold that began without the whole past."""
    stand = Stand(kind="recall", from_ms=NOON - 31 * DAY_MS)
    for name in ("known", "forgotten by the fold"):
        stand.genesys.add(name, NOON - 20 * DAY_MS)
    stand.genesys.add("over", NOON - 20 * DAY_MS, NOON - DAY_MS)
    stand.track("known", NOON - 20 * DAY_MS)
    assert stand.read().unread.errors() == ()
    assert stand.told() == {"forgotten by the fold"}


def test_a_reading_of_a_clock_that_stepped_back_since_is_not_believed() -> None:
    """It serves no other gap; one of the past does."""
    stand = Stand()
    for name in ("ahead", "just read"):
        stand.genesys.add(name, NOON, NOON + MINUTE)
    now_ms = stand.memory.now_ms
    stand.memory.zadd(KEYS.readings, {"ahead": now_ms + HOUR, "just read": now_ms - 1})
    assert stand.read().unread.errors() == ()
    assert stand.genesys.asked == ["ahead"]


def test_a_reading_stops_between_two_calls() -> None:
    """So that the process ends in time; what was read is marked."""
    stand = Stand()
    stand.stopping = True
    with pytest.raises(Stopped):
        stand.read()
    assert stand.genesys.queries == 0


class Crowded(Genesys):
    """One day of one queue has more conversations than analytics lists."""

    def __init__(self, hits: int) -> None:
        super().__init__()
        self.hits = hits

    def query_details(self, query: Any) -> Any:
        self.queries += 1
        first = query["paging"]["pageNumber"] * 100
        return AnalyticsPage(
            [self.named(number) for number in range(first, first + 100)], self.hits
        )

    def conversation(self, name: str) -> bytes:
        return self.rest["c"].replace(b'"id":"c"', f'"id":"{name}"'.encode())

    def named(self, number: int) -> Any:
        return msgspec.structs.replace(self.analytics["c"], conversation_id=f"c{number}")


@pytest.mark.parametrize("hits", [100_000, 250_000])
def test_a_day_that_cannot_be_listed_keeps_the_gap_open(
    monkeypatch: pytest.MonkeyPatch, hits: int
) -> None:
    """It is said which queue it is; nothing is called filled. Whether analytics counts beyond what
    it lists is not documented."""
    monkeypatch.setattr("janitor.gaps.listing.MAX_PAGES", 3)
    stand = Stand(kind="snapshot")
    stand.genesys = Crowded(hits)
    stand.genesys.add("c", NOON)
    reading = stand.read()
    assert reading.unread.reasons() == {"too_many": 1}
    assert reading.unread.errors() == (
        "one day of q1 has more conversations than analytics lists (100,000)",
    )


class Ending(Genesys):
    """Pages of `size` conversations until `after` are listed, with the true count on each."""

    def __init__(self, after: int, size: int = 100, counts: bool = True) -> None:
        super().__init__()
        self.after, self.size, self.counts = after, size, counts

    def query_details(self, query: Any) -> Any:
        number = query["paging"]["pageNumber"]
        paging = {"pageSize": self.size, "pageNumber": number}
        page = super().query_details({**query, "paging": paging})
        left = max(0, self.after - (number - 1) * self.size)
        found = (page.conversations or [])[:left]
        return AnalyticsPage(found or None, page.total_hits if self.counts else None)


@pytest.mark.parametrize(("after", "size"), [(0, 100), (40, 100), (100, 100), (240, 100), (80, 40)])
def test_a_list_that_ends_before_its_count_keeps_the_gap_open(after: int, size: int) -> None:
    """At the first page, within a page, between two pages; what was listed is read."""
    stand = Stand(kind="snapshot")
    stand.genesys = Ending(after, size)
    for number in range(250):
        stand.genesys.add(f"c{number}", NOON)
    reading = stand.read()
    assert len(stand.genesys.asked) == after
    assert reading.unread.reasons() == {"incomplete": 1}
    (error,) = reading.unread.errors()
    assert "ends the list of q1" in error
    assert f"after {after} of 250 conversations" in error


@pytest.mark.parametrize("counts", [True, False])
def test_small_pages_are_read_to_the_count(counts: bool) -> None:
    """The largest page of analytics is a guess; without a count a page that is not full is last."""
    stand = Stand(kind="snapshot")
    stand.genesys = Ending(250, 40, counts)
    for number in range(250):
        stand.genesys.add(f"c{number}", NOON)
    assert stand.read().unread.errors() == ()
    assert len(stand.genesys.asked) == (250 if counts else 40)


class Moving(Genesys):
    """While its pages are read, conversations at the front begin (or end)."""

    def __init__(self, more: int) -> None:
        super().__init__()
        self.more = more

    def query_details(self, query: Any) -> Any:
        page = super().query_details(query)
        if self.more < 0:
            for name in list(self.listed)[: -self.more]:
                self.listed.remove(name)
        elif self.queries == 1:
            old = self.analytics.copy()
            self.analytics.clear()
            for number in range(self.more):
                self.add(f"new{number}", NOON)
            self.analytics |= old
        return page


@pytest.mark.parametrize("more", [-10, 5])
def test_a_count_that_changes_while_pages_are_read_is_no_gap(more: int) -> None:
    """The lowest count of the pages is what they must list."""
    stand = Stand(kind="snapshot")
    stand.genesys = Moving(more)
    for number in range(250):
        stand.genesys.add(f"c{number}", NOON)
    assert stand.read().unread.errors() == ()


def test_an_answer_that_says_nothing_is_believed_after_an_hour() -> None:
    """Genesys may answer `{}` where nothing is found; so may something else."""
    stand = Stand(kind="snapshot")
    stand.genesys = Ending(0, counts=False)
    reading = stand.read()
    assert reading.unread.reasons() == {"incomplete": 1}
    assert reading.unread.errors() == ("analytics neither lists nor counts conversations of q1",)
    stand.change(failing_since_ms=stand.memory.now_ms)
    stand.memory.now_ms += WAIT_MS - 1
    assert stand.read().unread.errors()
    stand.memory.now_ms += 1
    assert stand.read().unread.errors() == ()


def test_a_count_of_nothing_is_believed_at_once() -> None:
    """`totalHits` 0 and no `conversations`: Genesys' own."""
    stand = Stand(kind="snapshot")
    stand.genesys = Ending(0)
    assert stand.read().unread.errors() == ()


def test_an_analytics_that_lists_nothing_at_all_is_believed_after_an_hour() -> None:
    """It counts no conversation of these topics, and knows no other: it is unwell, or very late.
    The reading that would fill the gap asks for any other."""
    stand = Stand(readings=READINGS - 2)
    assert stand.read().unread.errors() == ()
    stand.change(readings=READINGS - 1)
    assert stand.read().unread.reasons() == {"incomplete": 1}
    stand.change(failing_since_ms=stand.memory.now_ms)
    stand.memory.now_ms += WAIT_MS - 1
    (error,) = stand.read().unread.errors()
    assert "no conversation at all" in error
    stand.memory.now_ms += 1
    assert stand.read().unread.errors() == ()


class Elsewhere(Genesys):
    """Analytics lists conversations, but none of these topics."""

    def query_details(self, query: Any) -> Any:
        page = super().query_details(query)
        return AnalyticsPage(None, 0) if "segmentFilters" in query else page


def test_a_quiet_queue_is_believed_at_once_where_analytics_lists_others() -> None:
    """At one call more; none where the queue lists a conversation of another time."""
    stand = Stand(readings=READINGS - 1)
    stand.genesys = Elsewhere()
    stand.genesys.add("c", NOON)
    assert stand.read().unread.errors() == ()
    assert stand.genesys.queries == 3
    stand = Stand(readings=READINGS - 1)
    stand.genesys.add("c", NOON - DAY_MS, NOON - 23 * HOUR)
    assert stand.read().unread.errors() == ()
    assert stand.genesys.queries == 2


class Unreadable(Genesys):
    """The second page has nothing that can be read, the first one a conversation less."""

    def query_details(self, query: Any) -> Any:
        page = super().query_details(query)
        found = page.conversations or []
        kept = found[1:] if query["paging"]["pageNumber"] == 1 else []
        if query["paging"]["pageNumber"] == 3:
            kept = found
        return AnalyticsPage(kept, page.total_hits, len(found) - len(kept))


def test_conversations_without_an_id_keep_the_gap_open_and_the_others_are_read() -> None:
    """On the same page and on later ones."""
    stand = Stand(kind="snapshot")
    stand.genesys = Unreadable()
    for number in range(250):
        stand.genesys.add(f"c{number}", NOON)
    reading = stand.read()
    assert len(stand.genesys.asked) == 149
    assert set(reading.unread.reasons()) == {"incomplete"}
    assert "without an id that can be read" in reading.unread.errors()[0]


class Repeating(Genesys):
    """Each page is the first one, or the last one again and again."""

    def __init__(self, pages: int, total_hits: int | None) -> None:
        super().__init__()
        self.pages, self.total_hits = pages, total_hits

    def query_details(self, query: Any) -> Any:
        number = min(query["paging"]["pageNumber"], self.pages)
        page = super().query_details({**query, "paging": {"pageSize": 100, "pageNumber": number}})
        return AnalyticsPage(
            page.conversations, page.total_hits if self.total_hits is None else self.total_hits
        )


@pytest.mark.parametrize("total_hits", [None, 0], ids=["counted", "not counted"])
@pytest.mark.parametrize("pages", [1, 3])
def test_pages_that_repeat_end_the_listing(pages: int, total_hits: int | None) -> None:
    """At the first page without anything new. Only a listing that is whole counts."""
    stand = Stand(kind="snapshot")
    stand.genesys = Repeating(pages, total_hits)
    for number in range(300):
        stand.genesys.add(f"c{number}", NOON)
    reading = stand.read()
    assert stand.genesys.queries == pages + 1
    assert len(stand.genesys.asked) == 100 * pages
    is_whole = pages == 3 and total_hits is None
    assert reading.unread.reasons() == ({} if is_whole else {"repeated": 1})
    assert all("analytics repeats pages of q1" in error for error in reading.unread.errors())
