"""What consumers see behind late frames, restarts and losses, one way to be misled a test.

Two replicas read frames, and a consumer folds what they tell in the order of their readings.
"""

from __future__ import annotations

from typing import Any

from mirror.conversation.event import Event
from mirror.conversation.fold import ConversationView, LegView
from tests.unit.conversation.build import (
    Reader,
    at,
    conversation,
    folded,
    frame,
    leg,
    participant,
    types,
)

Shown = dict[str, Any]

RINGING = leg("alerting")
CONNECTED = leg("connected", connectedTime=at(1_000), held=False)


def held(since_ms: int) -> Shown:
    """The connected leg on hold."""
    return {**CONNECTED, "held": True, "startHoldTime": at(since_ms)}


class Pair:
    """The replicas `a` and `b`, and the view of a consumer."""

    def __init__(self) -> None:
        self.replicas = {"a": Reader(), "b": Reader()}
        self.seconds = 1_000
        self.view: ConversationView | None = None

    def starts(self, replica: str, *legs: Shown) -> list[str]:
        """A replica starts, knowing nothing, and reads a frame."""
        self.replicas[replica] = Reader()
        return self.reads(replica, *legs)

    def reads(self, replica: str, *legs: Shown, medium: str = "call") -> list[str]:
        """A replica reads a frame, by one leg for each of the agents p-1, p-2 and so on."""
        self.seconds += 1
        reader = self.replicas[replica]
        reader.seconds = self.seconds
        people = [
            participant(shown, medium=medium, participant_id=f"p-{number}")
            for number, shown in enumerate(legs, 1)
        ]
        return self.hears(reader.frame(*people))

    def hears(self, events: list[Event]) -> list[str]:
        """The consumer gets these events."""
        if events:
            self.view = folded(events, self.view)
        return types(events)

    def leg(self) -> LegView:
        """The leg of p-1 as the consumer sees it."""
        assert self.view is not None
        return next(iter(self.view.legs.values()))


def pair_of_a_hold_that_b_missed() -> Pair:
    """Both replicas saw the call; `a` told of a hold and of its end, which `b` has yet to read."""
    pair = Pair()
    pair.reads("a", CONNECTED)
    pair.reads("b", CONNECTED)
    pair.reads("a", held(5_000))
    pair.reads("a", CONNECTED)
    return pair


def test_a_hold_that_was_resumed_by_mistake_is_seen_again() -> None:
    """One replica's late frame made up a resume. Another, started late too, then sees the hold."""
    pair = Pair()
    pair.reads("a", CONNECTED)
    pair.reads("a", held(5_000))
    assert pair.reads("a", CONNECTED) == ["resume"]  # from before the hold
    pair.starts("a", held(5_000))
    assert pair.leg().held
    pair.starts("b", CONNECTED)  # from before the hold
    assert not pair.leg().held
    assert pair.reads("b", held(5_000)) == ["hold"]  # told before, and resumed
    assert pair.leg().held
    assert pair.leg().hold_started_at == at(5_000)


def test_a_hold_that_lags_behind_its_resume_stays_resumed() -> None:
    """Without a reading between there was no mistake: the replica that lags has it to tell yet."""
    pair = pair_of_a_hold_that_b_missed()
    assert pair.reads("b", held(5_000)) == ["hold"]
    assert not pair.leg().held


def test_a_repeat_from_before_the_last_reading_is_no_later_word() -> None:
    """A hold that comes out of a spool, read before others saw the leg connected again."""
    pair = Pair()
    pair.reads("a", CONNECTED)
    pair.reads("a", held(5_000))
    spooling = Reader()
    spooling.seconds = pair.seconds
    spooled = spooling.frame(participant(held(5_000)))
    pair.reads("a", CONNECTED)
    pair.starts("b", CONNECTED)
    pair.hears(spooled)
    assert not pair.leg().held


def test_an_earlier_hold_that_a_start_showed_is_resumed() -> None:
    """The first frame after a start is of an earlier hold than the latest; its resume ends it."""
    pair = Pair()
    for shown in (CONNECTED, held(5_000), CONNECTED, held(7_000), CONNECTED):
        pair.reads("a", shown)
    pair.starts("b", held(5_000))
    assert pair.leg().held
    assert pair.reads("b", CONNECTED) == ["resume"]
    assert not pair.leg().held
    assert pair.leg().hold_started_at is None


def test_a_park_is_the_end_of_a_hold_before_it() -> None:
    """Nobody saw the resume; the park says that there was one."""
    pair = Pair()
    base = leg("connected", connectedTime=at(1_000))
    parked = {**base, "state": "parked", "parkTime": at(7_000)}
    pair.reads("a", base, medium="email")
    pair.reads("b", base, medium="email")
    pair.reads("a", {**base, "held": True, "startHoldTime": at(5_000)}, medium="email")
    assert pair.leg().held
    assert pair.reads("b", parked, medium="email") == ["park"]
    assert (pair.leg().state, pair.leg().held, pair.leg().hold_started_at) == (
        "parked",
        False,
        None,
    )
    pair.reads("a", parked, medium="email")
    assert (pair.leg().state, pair.leg().held) == ("parked", False)


def test_a_resume_that_first_shows_in_a_late_frame_is_told_by_the_next() -> None:
    """What a late frame did not show counts as soon as a frame in time does not show it either."""
    pair = Pair()
    pair.reads("a", held(5_000), CONNECTED)
    assert pair.reads("a", CONNECTED, RINGING) == ["alert"]  # late: p-2 was connected
    assert pair.reads("a", CONNECTED, RINGING) == []
    assert pair.reads("a", CONNECTED, CONNECTED) == ["resume"]
    assert not pair.leg().held


def test_a_leg_that_stays_as_a_late_frame_showed_it_is_not_resumed() -> None:
    """Of two late frames the second shows another leg anew, which by itself may be in time."""
    pair = Pair()
    pair.reads("a", held(5_000), CONNECTED)
    pair.reads("a", RINGING, RINGING)
    assert pair.reads("a", RINGING, CONNECTED) == []
    assert pair.leg().held
    assert pair.reads("a", CONNECTED, CONNECTED) == ["resume"]


def test_a_frame_of_an_earlier_hold_is_late() -> None:
    """It says nothing against the latest one, not even while it is in doubt."""
    pair = Pair()
    for shown in (CONNECTED, held(5_000), held(7_000)):
        pair.reads("a", shown)
    pair.replicas["a"].normaliser.interrupted()
    assert pair.reads("a", held(5_000)) == []
    assert pair.leg().hold_started_at == at(7_000)
    pair.reads("a", held(7_000))
    assert pair.leg().hold_started_at == at(7_000)


def test_a_hold_that_lags_behind_a_first_sight_is_taken_back() -> None:
    """Seen alone it cannot be told from one that a late frame had resumed by mistake."""
    pair = pair_of_a_hold_that_b_missed()
    pair.starts("c", CONNECTED)
    assert pair.reads("b", held(5_000)) == ["hold"]
    assert pair.leg().held
    assert pair.reads("b", CONNECTED) == ["resume"]
    assert not pair.leg().held


def test_an_undated_unpark_that_lags_ends_no_newer_hold() -> None:
    """Its time is that of the reading, and says nothing of before and after."""
    pair = Pair()
    parked = {**CONNECTED, "state": "parked"}
    for replica in "ab":
        pair.reads(replica, CONNECTED, medium="email")
        pair.reads(replica, parked, medium="email")
    pair.reads("a", CONNECTED, medium="email")
    pair.reads("a", held((pair.seconds + 1) * 1_000 + 500), medium="email")
    assert pair.reads("b", CONNECTED, medium="email") == ["unpark"]
    assert pair.leg().held


def test_a_resume_of_the_hold_that_is_shown_counts_also_behind_a_park() -> None:
    """A reading that was late showed a hold from before the park; its resume ends it."""
    pair = Pair()
    parked = {**CONNECTED, "parkTime": at(7_000)}
    for shown in (CONNECTED, held(5_000), {**parked, "state": "parked"}, parked):
        pair.reads("a", shown, medium="email")
    pair.reads("b", held(5_000), medium="email")
    assert pair.leg().held
    pair.reads("b", parked, medium="email")
    assert not pair.leg().held


def test_a_resume_that_first_shows_in_a_broken_frame_is_told_by_the_next() -> None:
    """What a frame that is wrong in part did not show, counts when a whole one does not either."""
    reader = Reader()
    reader.frame(participant(CONNECTED))
    assert types(reader.frame(participant(held(5_000)))) == ["hold"]
    broken = reader.read(frame(conversation(participant(CONNECTED), {"id": 5})))
    assert broken.problem is not None
    assert broken.events == []
    assert types(reader.frame(participant(CONNECTED))) == ["resume"]


def test_an_unpark_that_lags_ends_no_newer_hold() -> None:
    """It names its park, which was over before that hold began."""
    pair = Pair()
    parked = {**CONNECTED, "state": "parked", "parkTime": at(3_000)}
    pair.reads("b", CONNECTED, medium="email")
    for shown in (CONNECTED, parked, CONNECTED, held(5_000)):
        pair.reads("a", shown, medium="email")
    pair.reads("b", parked, medium="email")
    assert pair.leg().held
    assert pair.reads("b", CONNECTED, medium="email") == ["unpark"]
    assert (pair.leg().held, pair.leg().parked_at) == (True, None)


def test_an_unpark_of_an_earlier_park_leaves_the_later_one() -> None:
    """A replica that lags tells it when the leg is parked again."""
    pair = Pair()
    parks = [{**CONNECTED, "state": "parked", "parkTime": at(ms)} for ms in (3_000, 7_000)]
    pair.reads("b", CONNECTED, medium="email")
    for shown in (CONNECTED, parks[0], CONNECTED, parks[1]):
        pair.reads("a", shown, medium="email")
    pair.reads("b", parks[0], medium="email")
    assert pair.reads("b", CONNECTED, medium="email") == ["unpark"]
    assert (pair.leg().state, pair.leg().parked_at) == ("parked", at(7_000))


def with_code(code: str, saved_ms: int | None = None) -> Shown:
    """The ended leg with a wrap-up code."""
    over = {**CONNECTED, "state": "disconnected", "disconnectedTime": at(9_000)}
    wrapup = {"code": code} if saved_ms is None else {"code": code, "endTime": at(saved_ms)}
    return {**over, "wrapup": wrapup}


def test_a_code_that_was_saved_earlier_does_not_win_by_coming_later() -> None:
    """A replica that lags tells it again."""
    pair = Pair()
    for shown in (CONNECTED, with_code("A", 9_100), with_code("B", 9_200)):
        pair.reads("a", shown)
    pair.reads("b", with_code("A", 9_100))
    assert pair.leg().wrapup_code == "B"
    pair.reads("b", with_code("B", 9_200))
    assert pair.leg().wrapup_code == "B"


def test_a_code_that_comes_back_counts_again() -> None:
    """A, B, A: the second A has the id of the first, so a reading says that it counts."""
    for times in ((9_100, 9_200, 9_300), (None, None, None)):
        pair = Pair()
        pair.reads("a", CONNECTED)
        told = []
        for code, saved in zip("ABA", times, strict=True):
            told += pair.reads("a", with_code(code, saved))
        assert told.count("wrapup") == 2
        assert pair.leg().wrapup_code == "A"
        assert pair.reads("b", with_code("A", times[2])) is not None
        assert pair.leg().wrapup_code == "A"


def test_a_late_frame_takes_no_dated_code_back() -> None:
    """It shows a code that was saved before the one that counts."""
    pair = Pair()
    for shown in (CONNECTED, with_code("A", 9_100), with_code("B", 9_200)):
        pair.reads("a", shown)
    assert pair.reads("a", with_code("A", 9_100)) == []
    assert pair.leg().wrapup_code == "B"


def test_the_role_that_was_read_last_counts() -> None:
    """A late frame shows an earlier one, which the next frame in time takes back."""
    pair = Pair()
    monitors = participant(CONNECTED, purpose="user", monitoredParticipantId="p-9")
    coaches = participant(CONNECTED, purpose="user", coachedParticipantId="p-9")
    serves = participant(CONNECTED, purpose="user")
    reader = pair.replicas["a"]
    for shown, role in (
        (monitors, "monitor"),
        (coaches, "coach"),
        (monitors, "monitor"),
        (coaches, "coach"),
        (serves, None),
    ):
        pair.hears(reader.frame(shown))
        assert (pair.leg().role, pair.leg().serves) == (role, role is None)
        assert pair.leg().role_participant_id == ("p-9" if role else None)


def test_who_is_consulted_serves_when_who_consulted_left() -> None:
    """Whether the consultation was seen to begin or not, and with or without the attribute."""
    party = {"consultParticipantId": "p-c"}
    answered = {**CONNECTED, "id": "comm-2", "connectedTime": at(3_000)}
    asked = participant(answered, participant_id="p-2", **party)
    serves = participant(answered, participant_id="p-2")
    asks = participant(CONNECTED, **party)
    over = {**CONNECTED, "state": "disconnected", "disconnectedTime": at(9_000)}
    left = participant({**over, "disconnectType": "transfer.consult"})
    for marks in ({}, {"attributes": {"consultInitiator": "true"}}):
        reader = Reader()
        reader.frame(participant(CONNECTED))
        view = folded(reader.frame({**asks, **marks}, asked))
        assert [leg.role for leg in view.legs.values()] == ["consult"]
        reader = Reader()
        view = folded(reader.frame({**asks, **marks}, asked))
        assert [leg.role for leg in view.legs.values()] == [None, "consult"]
        view = folded(reader.frame({**left, **marks}, serves), view)
        assert [(leg.role, leg.transferred) for leg in view.legs.values()] == [
            (None, True),
            (None, False),
        ]


def test_an_unpark_that_is_read_again_leaves_the_hold_that_began_since() -> None:
    """A late frame showed the park again; the next one shows the leg connected and held."""
    pair = Pair()
    parked = {**CONNECTED, "state": "parked", "parkTime": at(3_000)}
    for shown in (CONNECTED, parked, CONNECTED):
        pair.reads("a", shown, medium="email")
        pair.reads("b", shown, medium="email")
    pair.reads("b", held(5_000), medium="email")
    pair.reads("a", parked, medium="email")
    assert pair.leg().state == "parked"
    pair.reads("a", held(5_000), medium="email")
    assert (pair.leg().held, pair.leg().hold_started_at) == (True, at(5_000))


def test_a_resume_that_is_read_again_leaves_the_park() -> None:
    """A late frame showed the hold again; the next one shows the leg parked."""
    pair = Pair()
    parked = {**CONNECTED, "state": "parked", "parkTime": at(7_000)}
    for shown in (CONNECTED, held(5_000), CONNECTED, held(5_000), parked):
        pair.reads("a", shown, medium="email")
    leg = pair.leg()
    assert (leg.state, leg.held, leg.parked_at) == ("parked", False, at(7_000))


def test_a_code_that_a_late_frame_tells_does_not_outlive_the_one_that_came_back() -> None:
    """B, A, B: whoever missed A tells it late, and that B counts."""
    pair = Pair()
    for shown in (CONNECTED, with_code("B", 9_100), with_code("B", 9_300)):
        pair.reads("a", shown)
    assert pair.reads("a", with_code("A", 9_200)) == ["wrapup"]
    assert pair.leg().wrapup_code == "B"


def test_who_sees_after_call_work_first_takes_the_conversation_for_over() -> None:
    """As a consumer that starts in the middle of the log; a leg that lives says otherwise."""
    reader = Reader()
    over = {**CONNECTED, "state": "disconnected", "disconnectedTime": at(9_000)}
    reader.frame(participant(over))
    told = reader.frame(participant(over, startAcwTime=at(9_000)))
    assert types(told) == ["acw"]
    assert folded(told).state == "ended"
    told += reader.frame(participant(over), participant(CONNECTED, participant_id="p-2"))
    assert folded(told).state == "active"


def test_who_comes_after_a_consultation_takes_no_role_back() -> None:
    """A back-fill sees the leg over, without the keys that went with the consultation."""
    party = {"consultParticipantId": "p-c"}
    answered = {**CONNECTED, "id": "comm-2", "connectedTime": at(3_000)}
    asked = participant(answered, participant_id="p-2", **party)
    reader = Reader()
    told = reader.frame(participant(CONNECTED, **party), asked)
    over = {**answered, "state": "disconnected", "disconnectedTime": at(9_000)}
    work = {"afterCallWork": {"state": "pending", "startTime": at(9_000)}}
    late = Reader()
    late.seconds = reader.seconds
    told += late.rest(participant(CONNECTED), participant({**over, **work}, participant_id="p-2"))
    seen = folded(told).legs["p-2 comm-2"]
    assert (seen.ended, seen.acw, seen.role) == (True, "working", "consult")
