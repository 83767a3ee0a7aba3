"""Tables in a terminal of 80 columns: every view, with data wider than any real one."""

from __future__ import annotations

import click
import msgspec
import pytest

from console import conversation_views, events, topics, up, views
from console.inspect import channels
from console.names import Called
from console.render import Column, filled, styled, table, wrapped
from mirror.base.units import counted
from mirror.conversation.course import Course, Hold, LegCourse, Step
from mirror.conversation.event import Event
from mirror.fleet.gaps import Gap, view
from mirror.fleet.status import (
    ChannelStatus,
    ConversationCounts,
    GapCounts,
    ListenerStatus,
    MirrorStatus,
    ReplicaStatus,
    ShardStatus,
)
from mirror.fleet.topics import TopicView
from mirror.fleet.tracked import TrackedLegView, TrackedView
from mirror.settings import load

WIDTH = 80
ID = "5b2e6bfa-e439-4f0a-8a3e-93da132dee80"
HOST = "contact-centre-mirror-7f9c8b"
LISTENER = f"{HOST}-15062-58db93"
CHANNEL = "streaming-12-452n…"
NAME = "Customer care and returns, second level (Frankfurt)"
NOW = "2026-11-27T12:00:00.000Z"
DAYS_AGO = "2026-11-24T23:59:59.999Z"

REPLICAS = [
    ReplicaStatus(
        replica=letter,
        listener=LISTENER,
        channel=CHANNEL,
        state="rotating",
        client=ID,
        last_frame_ms=999_000,
    )
    for letter in "abcd"
]
LISTENERS = [
    ListenerStatus(id=LISTENER, host=HOST, state="draining", channels=20, last_beat_ms=99_900)
]
SHARDS = [ShardStatus(id="12", topics=1_000, replicas=REPLICAS)]
STATUS = MirrorStatus(
    health="degraded",
    reasons=[],
    leader=LISTENER,
    listeners=LISTENERS,
    shards=SHARDS,
    gaps=GapCounts(1, 22),
    conversations=ConversationCounts(1, 0),
)
CHANNELS = [
    ChannelStatus(
        channel=CHANNEL,
        listener=LISTENER,
        shard="12",
        replica="a",
        state="rotating",
        client=ID,
        topics=1_000,
        frames=123_456_789,
        events=98_765_432,
        expires_s=86_400,
        rotate="its topics are refused",
    )
]
GAPS = [
    view(
        Gap(
            id="6b097693-s1-539f67",
            shard="12",
            topics=("v2.users.u.conversations",) * 1_000,
            from_ms=1_795_478_400_000,
            to_ms=1_795_778_400_000,
            kind="snapshot",
            state="unfillable",
            attempts=12,
            events=1_234_567,
        )
    )
]
LEG = {
    "participant_id": ID,
    "media_type": "screen_monitoring",
    "purpose": "agent",
    "agent_id": ID,
    "queue_id": ID,
    "role": "monitor",
    "state": "transmitting",
    "held": True,
}
LISTED = [
    TrackedView(
        id=ID,
        since_ms=0,
        due_ms=1_000,
        read_ms=7_200_000,
        legs=tuple(TrackedLegView(**{**LEG, "role": None}) for _ in range(4)),  # type: ignore[arg-type]
        legs_over=100,
    )
]
COURSE = Course(
    id=ID,
    state="active",
    started_at=DAYS_AGO,
    ended_at=None,
    finalized=None,
    linked_conversation_id=None,
    legs=[
        LegCourse(
            **LEG,  # type: ignore[arg-type]
            communication_id=ID,
            direction="inbound",
            ended=False,
            since=DAYS_AGO,
            wrapup_code=ID,
            queue_name=NAME,
            agent_name=NAME,
            holds=[Hold(DAYS_AGO, None)] * 12,
            steps=[Step(at=DAYS_AGO, event_type="disconnect", estimated=True, origin="snapshot")]
            * 9,
        )
    ],
    events=1_234,
)
TOPICS = [
    TopicView(
        topic=f"v2.routing.queues.{ID}.conversations",
        kind="queue",
        id=ID,
        name=NAME,
        shard="12",
        replicas=REPLICAS,
        last_event_ms=119_900,
    )
]
EVENT = Event(
    event_id="0" * 32,
    event_type="disconnect",
    conversation_id=ID,
    participant_id=ID,
    media_type="internal_message",
    purpose="voicemail_and_more",
    agent_id=ID,
    queue_id=ID,
    role="consult",
    state="disconnected",
    disconnect_type="transfer.noanswer",
    wrapup_code=ID,
    occurred_at=DAYS_AGO,
    estimated=True,
    received_at=NOW,
    origin="backfill",
)


class AllCalled(Called):
    """Names as long as Genesys allows."""

    def name(self, _family: object, entity_id: str | None) -> str | None:
        return NAME if entity_id else None


SHOWN = {
    "status": lambda: views.status_text(STATUS),
    "listeners": lambda: views.listeners_text(LISTENERS),
    "shards": lambda: views.shards_text(SHARDS),
    "channels": lambda: views.channels_text(CHANNELS),
    "gaps": lambda: views.gaps_text(GAPS),
    "conversations": lambda: conversation_views.conversations_text(LISTED, AllCalled()),
    "conversation": lambda: conversation_views.course_text(COURSE, -5_000, NOW),
    "topics": lambda: topics.topics_text(TOPICS, 5_000),
    "tail": lambda: events.event_line(EVENT, AllCalled(), width=WIDTH, today=NOW[:10]),
    "heading of tail": lambda: events.heading(WIDTH),
}
EMPTY = {
    "No listener.": lambda: views.listeners_text([]),
    "No shard.": lambda: views.shards_text([]),
    "No channel is open.": lambda: views.channels_text([]),
    "No gap is recorded.": lambda: views.gaps_text([]),
    "No conversation is active.": lambda: conversation_views.conversations_text([], Called()),
    "No topic is mirrored: `mirror status` says why.": lambda: topics.topics_text([], None),
}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("table", SHOWN)
def test_a_line_fits_eighty_columns(table: str) -> None:
    """Whatever it holds: columns are shortened, and those that matter least are left out."""
    lines = [click.unstyle(line) for line in SHOWN[table]().splitlines()]
    assert {line for line in lines if len(line) > WIDTH} == set()


@pytest.mark.parametrize("table", SHOWN)
def test_a_pipe_gets_everything(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no terminal says how wide it is, nothing is shortened."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if "tail" not in table:
        assert SHOWN[table]().replace(CHANNEL, "").count("…") == 0


@pytest.mark.parametrize("words", EMPTY)
def test_an_empty_list_is_told_in_words(words: str) -> None:
    """And not by a heading alone."""
    assert EMPTY[words]() == words


@pytest.mark.usefixtures("narrow")
def test_ids_that_commands_take_stay_whole() -> None:
    """What `drain` and `rotate` are given is copied from the table."""
    assert LISTENER in views.listeners_text(LISTENERS)
    assert CHANNEL in views.channels_text(CHANNELS)
    assert CHANNEL in views.shards_text(SHARDS)


@pytest.mark.usefixtures("narrow")
def test_a_closed_gap_has_its_end() -> None:
    """Without it, it would look as if it lasted."""
    head, row = click.unstyle(views.gaps_text(GAPS)).splitlines()
    assert " TO " in head
    assert row[head.index(" TO ") + 1 :].startswith(GAPS[0].to[:10])


@pytest.mark.usefixtures("narrow")
def test_a_topic_shows_both_replicas() -> None:
    """Their states, and their listeners whole or not at all."""
    two = [
        ReplicaStatus(replica="a", state="rotating", listener=LISTENER),
        ReplicaStatus(replica="b", state="opening", listener=LISTENER),
    ]
    topic = msgspec.structs.replace(TOPICS[0], replicas=two)
    shown = topics.topics_text([topic], None)
    assert "a rotating, b opening" in shown
    assert LISTENER[:8] not in shown


def test_columns_go_in_their_order_and_only_where_they_must() -> None:
    """First what says nothing, then what is wide is shortened, then columns go."""
    columns = (Column("ID", 4), Column("EMPTY", drop=1), Column("MORE", drop=2))

    def shown(width: int) -> list[str]:
        return table(columns, [("0123456789", "-", "x")], width=width).splitlines()

    assert shown(40)[1].split() == ["0123456789", "-", "x"]
    assert shown(20)[1].split() == ["0123456789", "x"]
    assert shown(12)[1].split() == ["01234…", "x"]
    assert shown(8)[1].split() == ["0123456…"]


def test_numbers_have_their_nouns() -> None:
    """One gap, two gaps."""
    assert [counted(number, "gap") for number in (0, 1, 2_300)] == ["0 gaps", "1 gap", "2,300 gaps"]
    assert counted(2, "entry", "entries") == "2 entries"
    assert "1 conversation active · 0 overdue · 1 gap open" in views.status_text(STATUS)


def test_steps_are_wrapped_under_each_other() -> None:
    """None is cut in two."""
    text = wrapped("  1  ", ["a" * 10, "b" * 10, "c" * 10], 30)
    assert text.splitlines() == [f"  1  {'a' * 10}  {'b' * 10}", f"     {'c' * 10}"]


def test_the_help_of_channels_promises_what_is_shown() -> None:
    """They have no age, but a time until they expire."""
    assert "EXPIRES" in SHOWN["channels"]()
    assert "expire" in (channels.help or "")
    assert "age" not in (channels.help or "")


@pytest.mark.usefixtures("narrow")
def test_a_sentence_is_wrapped_behind_its_mark() -> None:
    """The colour of a mark takes no room; a pipe gets one line."""
    first, *rest = filled(styled("✗ ", fg="red"), "word " * 40).splitlines()
    assert click.unstyle(first).startswith("✗ word")
    assert all(line.startswith("  word") and len(line) <= WIDTH for line in rest)
    assert rest
    assert filled("missing ", styled("0", fg="green")) == "missing " + click.style("0", fg="green")


@pytest.mark.usefixtures("narrow")
def test_what_is_started_is_told_in_eighty_columns() -> None:
    """However many processes run; the state directory of a home is not too long either."""
    counts = ("COORDINATORS", "LISTENERS", "JANITORS", "DASHBOARDS", "PROJECTORS")
    settings = load({"HOME": "/home/somebody", **{f"MIRROR_{name}": "16" for name in counts}})
    assert [line for line in up.panel(settings).splitlines() if len(line) > WIDTH] == []
