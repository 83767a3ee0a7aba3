"""What the sweep does not believe at once, and says so (guarantee 7: if and only if it is over)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from janitor.claims import Claim
from janitor.zombies.doubt import (
    BELIEVED_AFTER_SECONDS,
    BY_FRAME,
    FRESH_SECONDS,
    NOTHING_KNOWN,
)
from janitor.zombies.sweep import MOST_SILENT, Sweep, Zombies
from mirror.base.errors import GenesysError
from mirror.conversation.normaliser import Normaliser
from mirror.fleet.tracked import Tracked, TrackedLeg
from mirror.settings import Settings, load
from tests.unit.janitor.fakes import AckedProducer, Genesys

HOUR = 3_600_000


class Leases:
    """Overdue conversations, and since when each is doubted, or fails."""

    def __init__(self) -> None:
        self.overdue: dict[str, Tracked | None] = {}
        self.after: dict[str, float] = {}
        self.doubted: dict[str, float] = {}
        self.failing: dict[str, float] = {}

    def add(self, name: str, *, heard_ms: int = 0) -> None:
        leg = TrackedLeg("p", f"{name}-leg", "call", purpose="customer", answered=True)
        self.overdue[name] = Tracked(now_ms() - 5 * HOUR, [leg], heard_ms=heard_ms)

    def claim_conversations(self, *_: object) -> Claim:
        ids = tuple(self.overdue) if not self.after else ()
        return Claim("lease", now_ms(), ids)

    def tracked(self, ids: tuple[str, ...]) -> dict[str, Tracked | None]:
        return {id_: self.overdue[id_] for id_ in ids}

    def put_back(self, _lease: str, after: Mapping[str, float]) -> None:
        self.after.update(after)

    def doubted_since(self, name: str) -> float:
        return self.doubted.setdefault(name, 0.0)

    def trust(self, name: str) -> None:
        self.doubted.pop(name, None)

    def failing_since(self, name: str) -> float:
        return self.failing.setdefault(name, 0.0)

    def answered(self, name: str) -> None:
        self.failing.pop(name, None)


class Stand:
    """A janitor between a tracker and a Genesys of the test's own."""

    def __init__(self) -> None:
        self.leases, self.genesys, self.producer = Leases(), Genesys(), AckedProducer()

    def sweep(self, settings: Settings) -> Sweep:
        leases: Any = self.leases
        producer: Any = self.producer
        return Zombies(settings, leases, self.genesys, producer, Normaliser).sweep()

    def finalized(self) -> dict[str, str | None]:
        return {
            event.conversation_id: event.reason
            for event in self.producer.events
            if event.event_type == "finalize"
        }


@pytest.fixture
def settings() -> Settings:
    """The defaults."""
    return load({"GENESYS_CLIENT_ID": "a", "GENESYS_CLIENT_SECRET": "b"})


@pytest.fixture
def stand() -> Stand:
    """Nothing is overdue yet."""
    return Stand()


def now_ms() -> int:
    """This moment."""
    return round(time.time() * 1000)


def test_where_genesys_knows_nothing_at_all_nothing_is_finalized(
    stand: Stand, settings: Settings
) -> None:
    """Every GET 404 and analytics empty: a wrong host, a gateway. Asked for again, and said."""
    for number in range(5):
        stand.leases.add(f"c{number}")
    sweep = stand.sweep(settings)
    assert (sweep.finalized, sweep.doubted, sweep.doubt) == (0, 5, NOTHING_KNOWN)
    assert stand.finalized() == {}
    assert set(stand.leases.after) == {f"c{number}" for number in range(5)}
    assert all(0 < seconds <= 3600 for seconds in stand.leases.after.values())


def test_what_is_said_for_a_day_is_believed(stand: Stand, settings: Settings) -> None:
    """A doubt has an end: no zombie for ever."""
    stand.leases.add("c")
    stand.leases.doubted["c"] = BELIEVED_AFTER_SECONDS
    assert stand.sweep(settings).finalized == 1
    assert stand.finalized() == {"c": "not_found"}
    assert stand.leases.doubted == {}


def test_a_control_question_tells_a_purged_one_from_a_wrong_host(
    stand: Stand, settings: Settings
) -> None:
    """Both know another conversation: then their word on this one counts, at two calls more."""
    stand.leases.add("purged")
    stand.genesys.add("other", now_ms() - HOUR)
    sweep = stand.sweep(settings)
    assert stand.finalized() == {"purged": "not_found"}
    assert stand.genesys.asked == ["purged", "other"]
    assert sweep.calls == 4


def test_a_rest_api_that_knows_nothing_is_not_believed_beside_an_analytics_that_does(
    stand: Stand, settings: Settings
) -> None:
    """One of the batch that analytics knows is the control, and REST fails at it."""
    stand.leases.add("purged")
    stand.leases.add("going on")
    stand.genesys.add("going on", now_ms() - 5 * HOUR)
    stand.genesys.rest.clear()
    sweep = stand.sweep(settings)
    assert (sweep.active, sweep.doubted) == (1, 1)
    assert stand.finalized() == {}


def test_a_fresh_frame_is_believed_before_rest(stand: Stand, settings: Settings) -> None:
    """A leg was read to live a moment ago; also where REST says that all ended long before."""
    for name in ("gone", "over"):
        stand.leases.add(name, heard_ms=now_ms() - 60_000)
    stand.genesys.add("over", now_ms() - 5 * HOUR, now_ms() - HOUR)
    stand.genesys.add("other", now_ms() - HOUR)
    sweep = stand.sweep(settings)
    assert (sweep.finalized, sweep.doubted, sweep.doubt) == (0, 2, BY_FRAME)


@pytest.mark.parametrize("heard_ms_ago", [60_000, 700_000])
@pytest.mark.parametrize("source", ["REST", "analytics"])
@pytest.mark.parametrize("dated", [True, False], ids=["dated", "undated"])
def test_a_fresh_frame_is_believed_whether_or_not_the_end_has_a_time(
    stand: Stand, settings: Settings, dated: bool, source: str, heard_ms_ago: int
) -> None:
    """The answer without a time is doubted too, and believed when no more frame comes."""
    stand.leases.add("c", heard_ms=now_ms() - heard_ms_ago)
    stand.genesys.add("c", now_ms() - 5 * HOUR, now_ms() - HOUR)
    stand.genesys.add("other", now_ms() - HOUR)
    if source == "analytics":
        del stand.genesys.rest["c"]
    if not dated:
        if source == "REST":
            body = msgspec.json.decode(stand.genesys.rest["c"])
            del body["participants"][0]["calls"][0]["disconnectedTime"]
            stand.genesys.rest["c"] = msgspec.json.encode(body)
        else:
            shown = stand.genesys.analytics["c"]
            stand.genesys.analytics["c"] = msgspec.structs.replace(
                shown, conversation_end="some day", participants=msgspec.Raw(b"[]")
            )
    sweep = stand.sweep(settings)
    is_fresh = heard_ms_ago < FRESH_SECONDS * 1000
    assert (sweep.doubted, sweep.finalized) == ((1, 0) if is_fresh else (0, 1))
    assert sweep.doubt == (BY_FRAME if is_fresh else "")


def test_where_analytics_shows_nobody_and_no_end_rest_is_asked(
    stand: Stand, settings: Settings
) -> None:
    """Its end got lost in analytics. REST alone decides, and a 404 decides nothing: analytics does
    not say that the conversation is over.
    """
    for name in ("over", "going on", "forgotten"):
        stand.leases.add(name)
        stand.genesys.add(name, now_ms() - 5 * HOUR, now_ms() - HOUR)
        silence(stand.genesys, name)
    silent = stand.genesys.analytics["going on"]
    stand.genesys.add("going on", now_ms() - 5 * HOUR)
    stand.genesys.analytics["going on"] = silent
    del stand.genesys.rest["forgotten"]
    sweep = stand.sweep(settings)
    assert sorted(stand.genesys.asked) == ["forgotten", "going on", "over"]
    assert stand.finalized() == {"over": "ended"}
    assert (sweep.active, sweep.failed, sweep.doubted) == (2, 0, 0)
    assert set(stand.leases.after) == {"over", "going on", "forgotten"}


def test_only_a_few_silent_conversations_of_a_batch_are_asked_for(
    stand: Stand, settings: Settings
) -> None:
    """An analytics that shows no open segments at all costs no GET for each conversation."""
    for number in range(60):
        stand.leases.add(f"c{number}")
        stand.genesys.add(f"c{number}", now_ms() - 5 * HOUR, now_ms() - HOUR)
        silence(stand.genesys, f"c{number}")
    sweep = stand.sweep(settings)
    assert len(stand.genesys.asked) == sweep.finalized == MOST_SILENT
    assert sweep.active == 60 - MOST_SILENT
    assert len(stand.leases.after) == 60


def silence(genesys: Genesys, name: str) -> None:
    """Have analytics show all segments of a conversation as over, and say nothing of an end."""
    shown = genesys.analytics[name]
    participants = bytes(shown.participants).replace(b',"disconnectType":"peer"', b"")
    genesys.analytics[name] = msgspec.structs.replace(
        shown, conversation_end=None, participants=msgspec.Raw(participants)
    )


def test_an_end_that_came_after_the_last_frame_is_believed(
    stand: Stand, settings: Settings
) -> None:
    """The frame of the end was lost: that is what the sweep is for."""
    stand.leases.add("over", heard_ms=now_ms() - 120_000)
    stand.genesys.add("over", now_ms() - 5 * HOUR, now_ms() - 90_000)
    assert stand.sweep(settings).finalized == 1


def test_another_conversations_body_finalizes_nothing(stand: Stand, settings: Settings) -> None:
    """Nor does a gateway's page, with whatever status."""
    for name in ("mixed up", "html", "html 404"):
        stand.leases.add(name)
        stand.genesys.add(name, now_ms() - 5 * HOUR, now_ms() - HOUR)
    stand.genesys.add("another", now_ms() - 5 * HOUR, now_ms() - HOUR)
    stand.genesys.rest["mixed up"] = stand.genesys.rest["another"]
    stand.genesys.rest["html"] = b"<html>404</html>"
    stand.genesys.errors["html 404"] = GenesysError("GET answers 404", status=404)
    sweep = stand.sweep(settings)
    assert (sweep.finalized, sweep.failed) == (0, 3)
    assert stand.producer.events == []


def test_what_rest_forgot_and_analytics_knows_is_finalized_at_once(
    stand: Stand, settings: Settings
) -> None:
    """With the times of analytics, and no control question: one GET and one call for many."""
    stand.leases.add("purged")
    ended_ms = now_ms() - HOUR
    stand.genesys.add("purged", now_ms() - 5 * HOUR, ended_ms)
    stand.genesys.rest.clear()
    sweep = stand.sweep(settings)
    assert (sweep.finalized, sweep.not_found) == (1, 1)
    assert sweep.calls == sweep.least_calls == 2
    assert not any(event.estimated for event in stand.producer.events)


def test_one_that_the_tracker_lost_is_verified_all_the_same(
    stand: Stand, settings: Settings
) -> None:
    """It is in the active set, and nothing is kept of it: Genesys tells all there is."""
    stand.leases.overdue["lost"] = None
    stand.genesys.add("lost", now_ms() - 5 * HOUR, now_ms() - HOUR)
    assert stand.sweep(settings).finalized == 1
    assert {event.event_type for event in stand.producer.events} >= {"answer", "disconnect", "end"}
