"""What the janitor says of a conversation: the true ids, and nothing of one that goes on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from coordinator.tracker.fold import TrackedEvent, fold
from janitor.answers import ask, judge
from janitor.zombies.doubt import contradicts
from janitor.zombies.verdict import closing, read, read_analytics, suspicion
from mirror.base.errors import GenesysError
from mirror.conversation.event import Event
from mirror.conversation.normaliser import Normaliser
from mirror.fleet.tracked import Tracked
from mirror.genesys.shapes import AnalyticsConversation

ID = "c0000000-0000-4000-8000-000000000002"
CONNECTED = "2026-11-23T10:00:00.000Z"
ENDED = "2026-11-23T10:05:00.250Z"
RECEIVED = "2026-11-23T10:00:01.000Z"
NOW_MS = 1_795_000_000_000


def person(name: str, *states: str) -> dict[str, Any]:
    """A participant with one call per state."""
    calls = []
    for number, state in enumerate(states):
        call = {"id": f"{name}-{number}", "state": state, "connectedTime": CONNECTED}
        if state == "disconnected":
            call |= {"disconnectedTime": ENDED, "disconnectType": "peer"}
        calls.append(call)
    return {"id": name, "purpose": name, "calls": calls}


def body(*people: dict[str, Any], **more: Any) -> bytes:
    """A REST conversation."""
    return msgspec.json.encode({"id": ID, "participants": list(people), **more})


def live(*bodies: bytes) -> list[Event]:
    """What listeners report of these bodies as frames."""
    normaliser = Normaliser()
    found: list[Event] = []
    for shown in bodies:
        frame = b'{"topicName":"v2.users.u.conversations","eventBody":' + shown + b"}"
        found += normaliser.frame(frame, RECEIVED, 0.0).events
    return found


def tracked(events: list[Event]) -> Tracked:
    """The tracker's view of these events."""
    view: Tracked | None = None
    for event in events:
        view = fold(view, msgspec.convert(msgspec.to_builtins(event), TrackedEvent))
    assert view is not None
    return view


TALKING = body(person("customer", "connected"), person("agent", "connected", "disconnected"))
OVER = body(
    person("customer", "disconnected"),
    person("agent", "disconnected", "disconnected"),
    endTime=ENDED,
)


def test_the_missing_events_have_the_ids_that_frames_would_have_given() -> None:
    """Exactly the disconnects that are missing, the `end`, then `finalize`."""
    witnessed = live(TALKING, OVER)
    seen = live(TALKING)
    lacking = {event.event_id for event in witnessed} - {event.event_id for event in seen}
    said = read(OVER, ID, tracked(seen), Normaliser(), NOW_MS)
    assert [event.event_type for event in said] == ["disconnect", "disconnect", "end", "finalize"]
    assert {event.event_id for event in said[:-1]} == lacking
    by_id = {event.event_id: event for event in witnessed}
    for event in said[:-1]:
        true = by_id[event.event_id]
        assert event.origin == "janitor"
        assert (event.occurred_at, event.estimated) == (true.occurred_at, true.estimated)
        assert event.disconnect_type == true.disconnect_type
    assert (said[-1].reason, said[-1].occurred_at, said[-1].estimated) == ("ended", ENDED, False)


def test_what_goes_on_is_left_alone() -> None:
    """A live leg and no end time: not one event."""
    assert read(TALKING, ID, tracked(live(TALKING)), Normaliser(), NOW_MS) == []
    assert read(b"<html>", ID, tracked(live(TALKING)), Normaliser(), NOW_MS) == []


def test_an_end_time_ends_a_conversation_whose_legs_look_alive() -> None:
    """`endTime` is Genesys' word; the legs close at that time, under their own ids."""
    said = read(
        body(person("customer", "connected"), endTime=ENDED),
        ID,
        tracked(live(TALKING)),
        Normaliser(),
        NOW_MS,
    )
    assert [event.event_type for event in said] == ["disconnect", "disconnect", "end", "finalize"]
    assert {event.occurred_at for event in said} == {ENDED}


def test_a_conversation_that_genesys_lost_is_closed_from_what_was_known() -> None:
    """The ids are the true ones all the same; the times are ours and say so."""
    witnessed = {event.event_id for event in live(TALKING, OVER)}
    said = closing(ID, tracked(live(TALKING)), "not_found", NOW_MS)
    assert {event.event_id for event in said[:-1]} <= witnessed
    assert [event.event_type for event in said] == ["disconnect", "disconnect", "end", "finalize"]
    assert said[-1].reason == "not_found"
    assert all(event.estimated and event.occurred_at == event.received_at for event in said)


def test_finalizing_ends_it_for_the_tracker_and_finalizing_anew_has_a_new_id() -> None:
    """One conversation that went on after its `finalize` can be finalized again."""
    seen = live(TALKING)
    first = closing(ID, tracked(seen), "not_found", NOW_MS)
    assert tracked([*seen, *first]).ended
    more = live(TALKING, OVER, body(person("agent2", "connected")))
    again = tracked([*seen, *first, *more])
    assert not again.ended
    second = closing(ID, again, "not_found", NOW_MS)
    assert second[-1].event_id != first[-1].event_id


def test_analytics_alone_never_finalizes() -> None:
    """It says active, over or unknown; the last two are only a suspicion."""
    assert suspicion(None, Normaliser()) == "unknown"
    assert suspicion(AnalyticsConversation(ID), Normaliser()) == "active"
    assert suspicion(AnalyticsConversation(ID, conversation_end=ENDED), Normaliser()) == "over"


UNREADABLE: list[Any] = [5, {"id": "agent", "purpose": "agent", "calls": [7]}, {"calls": 3}]


@pytest.mark.parametrize("part", UNREADABLE)
def test_a_part_that_cannot_be_read_may_be_a_leg_that_lives(part: Any) -> None:
    """All that can be read has ended; it is over only if Genesys says when."""
    seen = tracked(live(TALKING))
    people = [person("customer", "disconnected"), part]
    assert read(body(*people), ID, seen, Normaliser(), NOW_MS) == []
    said = read(body(*people, endTime=ENDED), ID, seen, Normaliser(), NOW_MS)
    assert [event.event_type for event in said][-2:] == ["end", "finalize"]
    assert read(body(part, endTime="some day"), ID, seen, Normaliser(), NOW_MS) == []


def test_a_medium_that_is_not_known_keeps_no_conversation_that_has_an_end() -> None:
    """The body was read as a whole all the same."""
    odd = {"id": "agent", "purpose": "agent", "holograms": [{"id": "h", "state": "connected"}]}
    people = (person("customer", "connected"), odd)
    seen = tracked(live(TALKING))
    assert read(body(*people), ID, seen, Normaliser(), NOW_MS) == []
    assert read(body(*people, endTime=ENDED), ID, seen, Normaliser(), NOW_MS)[-1].reason == "ended"


def test_only_a_body_with_this_id_as_its_own_is_given() -> None:
    """Not one that names the conversation in a message, or under another word."""
    other = "c0000000-0000-4000-8000-00000000000f"
    strange = [
        {"error": f"conversation {ID} is busy", "endTime": ENDED},
        {"conversationId": ID, "endTime": ENDED},
        {"id": None, "self": ID, "endTime": ENDED},
        {"id": 7, "self": ID},
        {"participants": [{"id": ID}], "endTime": ENDED},
        {"id": other, "self": ID},
    ]
    for document in strange:
        assert judge(msgspec.json.encode(document), ID).kind == "strange", document
    # What cannot be decoded is judged by its beginning.
    broken = b'\xff","participants":[]}'
    for begin, kind in (
        (f'{{"id":"{ID}","name":"', "given"),
        (f' {{ "name":"x", "id" : "{ID}","name":"', "given"),
        (f'{{"id":"{other}","self":"{ID}","name":"', "strange"),
        (f'{{"message":"conversation {ID}","name":"', "strange"),
        (f'{{"participants":[{{"id":"{ID}","name":"', "strange"),
        (f'<html>"id":"{ID}"', "strange"),
    ):
        raw = begin.encode() + broken
        assert judge(raw, ID).kind == kind, raw


def lingering(*, talking: bool = False, silent: bool = False) -> AnalyticsConversation:
    """As analytics shows a call of which only after-call work is left. `silent`: the customer's
    session does not say how it ended.
    """
    gone = {"segmentType": "interact", "segmentStart": CONNECTED, "segmentEnd": ENDED}
    work = {"segmentType": "wrapup", "segmentStart": ENDED}
    last = {} if talking or silent else {"disconnectType": "peer"}
    if talking:
        del gone["segmentEnd"]
    participants = [
        {
            "participantId": name,
            "purpose": name,
            "sessions": [
                {"sessionId": f"{name}-0", "mediaType": "voice", "segments": segments},
            ],
        }
        for name, segments in (
            ("customer", [{**gone, **last}]),
            ("agent", [{**gone, "disconnectType": "client", "segmentEnd": ENDED}, work]),
        )
    ]
    raw = msgspec.Raw(msgspec.json.encode(participants))
    return AnalyticsConversation(ID, CONNECTED, None, raw)


def test_after_call_work_keeps_no_conversation_active() -> None:
    """Analytics gives no end while an agent is stuck in it; what counts is that no leg is left."""
    assert suspicion(lingering(), Normaliser()) == "over"
    assert suspicion(lingering(talking=True), Normaliser()) == "active"
    assert suspicion(lingering(silent=True), Normaliser()) == "silent"
    over = body(person("customer", "disconnected"), person("agent", "disconnected"))
    seen = tracked(live(body(person("customer", "connected"), person("agent", "connected"))))
    said = read(over, ID, seen, Normaliser(), NOW_MS)  # REST has no endTime either
    assert [event.event_type for event in said][-2:] == ["end", "finalize"]


def test_what_rest_forgot_is_closed_with_the_times_of_analytics() -> None:
    """The last word on it, under the true ids, and `finalize` says `not_found`."""
    seen = live(body(person("customer", "connected"), person("agent", "connected")))
    said = read_analytics(lingering(), tracked(seen), Normaliser(), NOW_MS)
    kinds = [event.event_type for event in said]
    assert kinds[-2:] == ["end", "finalize"]
    assert kinds.count("disconnect") == 2
    assert {event.origin for event in said} == {"janitor"}
    assert (said[-1].reason, said[-1].occurred_at, said[-1].estimated) == (
        "not_found",
        ENDED,
        False,
    )


def test_a_fresh_frame_contradicts_an_end() -> None:
    """For some minutes; and not an end that came after what was heard."""
    heard = Tracked(0, heard_ms=NOW_MS - 30_000)
    assert contradicts(heard, NOW_MS, None)
    assert contradicts(heard, NOW_MS, NOW_MS - 600_000)
    assert not contradicts(heard, NOW_MS, NOW_MS - 10_000)
    assert not contradicts(heard, NOW_MS + 700_000, None)
    assert not contradicts(Tracked(0), NOW_MS, None)  # nothing was heard
    assert not contradicts(Tracked(0, heard_ms=NOW_MS + 3_600_000), NOW_MS, None)  # a clock


def test_only_genesys_own_word_on_this_conversation_is_an_answer() -> None:
    """Not another one's body, and not a gateway's page of whatever status."""

    class Says:
        def __init__(self, raw: bytes = b"", error: GenesysError | None = None) -> None:
            self.raw, self.error = raw, error

        def conversation(self, _: str) -> bytes:
            if self.error is not None:
                raise self.error
            return self.raw

    def kind(raw: bytes = b"", status: int = 0, code: str = "") -> str:
        error = GenesysError("x", status=status, code=code) if status else None
        return ask(Says(raw, error), ID).kind

    assert kind(OVER) == "given"
    assert kind(OVER.replace(ID.encode(), b"c0000000-0000-4000-8000-00000000000f")) == "strange"
    assert kind(b"<html>") == kind(b"[]") == kind(b"{}") == "strange"
    assert kind(status=404, code="not.found") == "forgotten"
    assert kind(status=404) == kind(status=403) == "strange"
    assert kind(status=403, code="not.authorized") == "refused"
    assert kind(status=502) == "failed"
    with pytest.raises(GenesysError):
        kind(status=401, code="bad.credentials")
