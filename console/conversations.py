"""`mirror conversations`: lists active conversations, or shows one leg by leg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    import redis

    from console.names import Called
    from mirror.conversation.course import Course, LegCourse
    from mirror.fleet.tracked import ConversationView, TrackedLegView
    from mirror.redis.keys import Keys
    from mirror.settings import Settings

# The longest time to read a partition for one conversation.
READ_SECONDS: Final = 30.0
# A record may be a little older than the start of its conversation: clocks differ.
MARGIN_MS: Final = 60_000
LOOK_BACK: Final = "1d"


@click.command()
@click.argument("conversation_id", metavar="[ID]", required=False)
@click.option("--overdue", is_flag=True, help="Only conversations that are due for verification.")
@click.option("--queue", help="Only conversations with an open leg of this queue: its name or id.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@click.option(
    "--since",
    metavar="T",
    help=f"How far back to look for ID if it is not active, [default: {LOOK_BACK}]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def conversations(
    conversation_id: str | None,
    overdue: bool,
    queue: str | None,
    limit: int,
    since: str | None,
    as_json: bool,
) -> None:
    """List active conversations, soonest verification first, or show one, leg by leg.

    ID may be the beginning of an id; if several active conversations match, they are listed. To
    show an ended conversation give its whole id: its events are read from Kafka, as far as Kafka
    still has them. Times are UTC.

    In JSON, times are RFC 3339 as in events. `verification_due_at` is when a janitor will verify
    the conversation, null if it has ended.
    """
    from console.context import redis_of_settings
    from console.names import Called, find_ids, is_whole_id
    from console.render import echo, echo_json
    from mirror.fleet.names import Names
    from mirror.fleet.tracked import find_active, list_conversations, show_conversation

    with redis_of_settings() as (client, keys, settings):
        called = Called(Names(client, keys))
        if conversation_id is None:
            ids = find_ids(client, keys, "queues", "--queue", (queue,)) if queue else (None,)
            found = list(
                list_conversations(client, keys, overdue=overdue, queue=ids[0], limit=limit)
            )
        else:
            whole = is_whole_id(conversation_id)
            matches = [] if whole else find_active(client, keys, conversation_id, limit)
            if len(matches) < 2:
                found_id = matches[0] if matches else conversation_id
                _show_one(client, keys, settings, found_id, since, called, as_json)
                return
            shown = (show_conversation(client, keys, match) for match in matches)
            found = [view for view in shown if view is not None]
        if as_json:
            echo_json({"conversations": [document(view) for view in found]})
            return
        is_filtered = overdue or queue is not None
        echo(conversations_text(found, called, is_filtered=is_filtered))


def _show_one(
    client: redis.Redis,
    keys: Keys,
    settings: Settings,
    conversation_id: str,
    since: str | None,
    called: Called,
    as_json: bool,
) -> None:
    """Show a conversation from the tracker and from Kafka.

    Raises `MirrorError` if neither knows it, and `KafkaUnavailable` after showing the tracker's
    part.
    """
    import time

    from console.moments import epoch_ms
    from console.names import is_whole_id
    from console.render import echo, echo_json
    from mirror.base.errors import KafkaUnavailable, MirrorError
    from mirror.conversation.course import course
    from mirror.conversation.times import show_epoch
    from mirror.fleet.tracked import show_conversation
    from mirror.kafka.consume import conversation_events

    now_ms = round(time.time() * 1000)
    view = show_conversation(client, keys, conversation_id)
    if view is None and not is_whole_id(conversation_id):
        raise MirrorError(
            f"no active conversation begins with {conversation_id}. For an ended one, give the "
            f"whole id, or find it by `mirror tail --conversation {conversation_id} --since 2h`"
        )
    if since is not None:
        since_ms = epoch_ms("--since", since, now_ms)
    elif view is not None:
        since_ms = view.since_ms - MARGIN_MS
    else:
        since_ms = epoch_ms("--since", LOOK_BACK, now_ms)
    problem: KafkaUnavailable | None = None
    found: Course | None = None
    try:
        found = course(conversation_events(settings, conversation_id, since_ms, READ_SECONDS))
    except KafkaUnavailable as error:
        if view is None:
            raise
        problem = error
    if found is None and view is None:
        raise MirrorError(
            f"conversation {conversation_id} is not active, and Kafka has no event of it since "
            f"{show_epoch(since_ms / 1000)}: a longer --since looks further back"
        )
    if found is None:
        assert view is not None
        found = _tracked(view)
    for leg in found.legs:
        leg.queue_name = called.name("queues", leg.queue_id)
        leg.agent_name = called.name("users", leg.agent_id)
    if as_json:
        echo_json({"conversations": [course_document(found, view)]})
    else:
        echo(course_text(found, view.due_in_ms if view else None, show_epoch(now_ms / 1000)))
    if problem is not None:
        raise problem


def document(view: ConversationView) -> dict[str, object]:
    """One conversation in the list of `mirror conversations --json`. Times as in events."""
    from mirror.conversation.times import show_epoch

    return {
        "id": view.id,
        "state": "active" if view.active else "ended",
        "started_at": show_epoch(view.since_ms / 1000),
        "verification_due_at": _due_at(view),
        "legs": view.legs,
        "legs_over": view.legs_over,
    }


def course_document(found: Course, view: ConversationView | None) -> dict[str, object]:
    """The conversation of `mirror conversations ID --json`. Times as in events.

    `view` is what the tracker knows of it, None if it does not know it.
    """
    import msgspec

    return msgspec.structs.asdict(found) | {
        "verification_due_at": None if view is None else _due_at(view)
    }


def _due_at(view: ConversationView) -> str | None:
    from mirror.conversation.times import show_epoch

    return None if view.due_ms is None else show_epoch(view.due_ms / 1000)


def _tracked(view: ConversationView) -> Course:
    """The course from the tracker alone: open legs, without the times of their steps."""
    from mirror.conversation.course import Course, LegCourse
    from mirror.conversation.times import show_epoch

    return Course(
        id=view.id,
        state="active" if view.active else "ended",
        started_at=show_epoch(view.since_ms / 1000),
        ended_at=None,
        finalized=None,
        linked_conversation_id=None,
        legs=[
            LegCourse(
                participant_id=leg.participant_id,
                communication_id=None,
                media_type=leg.media_type,
                purpose=leg.purpose,
                role=leg.role,  # type: ignore[arg-type]  # the tracker keeps the event's word
                agent_id=leg.agent_id,
                queue_id=leg.queue_id,
                direction=None,
                state=leg.state,
                held=leg.held,
                ended=False,
            )
            for leg in view.legs
        ],
        events=0,
    )


def course_text(found: Course, due_in_ms: int | None, now: str) -> str:
    """The output of `mirror conversations ID`: a line per leg, then the steps of each.

    `due_in_ms` is `ConversationView.due_in_ms`. `now` is a time in the form of events; ages and
    today's date follow from it.
    """
    from console.events import SHORT_ID
    from console.render import NARROW, Column, facts, joined, styled, table, wrapped
    from mirror.base.units import counted
    from mirror.conversation.course import held_seconds

    def label(name: str | None, entity_id: str | None) -> str:
        return name or (entity_id or "-")[:SHORT_ID]

    def state(leg: LegCourse) -> str:
        word = leg.disconnect_type if leg.ended and leg.disconnect_type else leg.state
        return "held" if leg.held else f"ended ({word})" if leg.ended else word

    def holds(leg: LegCourse) -> str:
        return f"{len(leg.holds)}, {held_seconds(leg, now):.0f} s" if leg.holds else "-"

    def wrapup(leg: LegCourse) -> str:
        return leg.wrapup_code or ("working" if leg.acw == "working" else "-")

    known = [styled(found.state, bold=True)]
    if found.started_at:
        known.append(styled(f"since {_when(found.started_at, now, 'seconds')}"))
    if found.ended_at:
        known.append(styled(f"ended {_when(found.ended_at, now, 'seconds')}"))
    if found.finalized:
        known.append(styled(f"finalised by a janitor ({found.finalized})"))
    if due_in_ms is not None:
        known.append(joined(" ", ("verification due", _due(due_in_ms))))
    if found.linked_conversation_id:
        known.append(styled(f"linked to {found.linked_conversation_id}"))
    known.append(styled(counted(found.events, "event")))
    legs = table(
        (
            "LEG",
            Column("MEDIUM", NARROW, drop=1),
            Column("WHO", NARROW),
            Column("QUEUE", NARROW),
            Column("AGENT", NARROW),
            Column("STATE", 10),
            "SINCE",
            Column("HOLDS", drop=3),
            Column("WRAP-UP", NARROW, drop=2),
        ),
        (
            (
                str(number),
                leg.media_type,
                f"{leg.purpose or '-'}{f' ({leg.role})' if leg.role else ''}",
                label(leg.queue_name, leg.queue_id),
                label(leg.agent_name, leg.agent_id),
                state(leg),
                _when(leg.since, now, "seconds") if leg.since else "-",
                holds(leg),
                wrapup(leg),
            )
            for number, leg in enumerate(found.legs, 1)
        ),
        empty="No leg is known.",
    )
    steps = [
        wrapped(
            f"{number:>3}  ",
            [
                f"{_when(step.at, now)}{'~' if step.estimated else ''} {step.event_type}"
                + (f" ({step.origin})" if step.origin != "live" else "")
                for step in leg.steps
            ],
        )
        for number, leg in enumerate(found.legs, 1)
        if leg.steps
    ]
    parts = [joined(" ", ("Conversation", found.id)), facts(known), "", legs]
    return "\n".join([*parts, *([""] if steps else []), *steps])


def _when(time: str, now: str, precision: str = "milliseconds") -> str:
    """A time, without the date if that is today's."""
    clock = time[11:] if precision == "milliseconds" else f"{time[11:19]}Z"
    return clock if time[:10] == now[:10] else f"{time[:10]} {clock}"


def conversations_text(
    found: list[ConversationView], called: Called, *, is_filtered: bool = False
) -> str:
    """The output of `mirror conversations`: a line for each conversation, with its open legs."""
    from console.events import SHORT_ID
    from console.render import NARROW, Column, table
    from mirror.conversation.event import STAFF

    def queue(view: ConversationView) -> str:
        ids = [leg.queue_id for leg in view.legs if leg.queue_id and not leg.role]
        return called.name("queues", ids[-1]) or ids[-1][:SHORT_ID] if ids else "-"

    def agent(view: ConversationView) -> str:
        ids = dict.fromkeys(leg.agent_id for leg in view.legs if leg.agent_id and not leg.role)
        return ", ".join(called.name("users", agent) or agent[:SHORT_ID] for agent in ids) or "-"

    def legs(view: ConversationView) -> str:
        # Serving legs first: a narrow terminal has room only for them.
        ordered = sorted(view.legs, key=lambda leg: (leg.purpose not in STAFF, bool(leg.role)))
        return ", ".join(map(_leg_text, ordered)) or "-"

    return table(
        (
            Column("CONVERSATION", NARROW),
            "DUE",
            "LEGS",
            Column("MEDIUM", NARROW, drop=1),
            Column("QUEUE", NARROW),
            Column("AGENT", NARROW),
            Column("OPEN LEGS", 2 * NARROW),
        ),
        (
            (
                view.id,
                _due(view.due_in_ms),
                str(len(view.legs) + view.legs_over),
                ", ".join(dict.fromkeys(leg.media_type for leg in view.legs)) or "-",
                queue(view),
                agent(view),
                legs(view),
            )
            for view in found
        ),
        empty="No active conversation fits." if is_filtered else "No conversation is active.",
    )


def _leg_text(leg: TrackedLegView) -> str:
    """An open leg: its purpose (or its role, if it does not serve) and its state."""
    return f"{leg.role or leg.purpose} {'held' if leg.held else leg.state}"


def _due(due_in_ms: int | None) -> str:
    from console.render import age, styled

    if due_in_ms is None:
        return "ended"
    if due_in_ms < 0:
        return styled(f"{age(-due_in_ms)} ago", fg="yellow")
    return f"in {age(due_in_ms)}"


COMMANDS = (conversations,)
