"""`mirror tail`: live events."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from console.names import Called
    from mirror.conversation.agent_event import AgentEvent
    from mirror.conversation.event import Event
    from mirror.fleet.names import Family


@click.command()
@click.option("--dedupe", is_flag=True, help="Show each event once, however many replicas sent it.")
@click.option("--once", is_flag=True, help="Read the projector's topic, which has each event once.")
@click.option("--agents", is_flag=True, help="Presence and routing status of agents instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on each line.")
@click.option(
    "--conversation", metavar="ID", help="Only this conversation: its id or its beginning."
)
@click.option(
    "--queue", metavar="QUEUE", help="Only this queue: its name (a glob), id or beginning."
)
@click.option("--agent", metavar="AGENT", help="Only this agent: name (a glob), id or beginning.")
@click.option(
    "--type",
    "kinds",
    metavar="TYPE",
    multiple=True,
    help="Only this type, such as answer; may be repeated.",
)
@click.option("--since", metavar="T", help="From when: an age such as 2h or 7d, or RFC 3339 (UTC).")
@click.option(
    "--from",
    "start",
    type=click.Choice(["now", "beginning"]),
    default="now",
    show_default=True,
    help="Where to start, without --since.",
)
@click.option("--limit", type=click.IntRange(1), help="Stop after this many events.")
def tail(
    dedupe: bool,
    once: bool,
    agents: bool,
    as_json: bool,
    conversation: str | None,
    queue: str | None,
    agent: str | None,
    kinds: tuple[str, ...],
    since: str | None,
    start: str,
    limit: int | None,
) -> None:
    """Show events as they reach Kafka. Ends with Ctrl-C.

    \b
    mirror tail --queue 'Support*' --type answer --type hold
    mirror tail --conversation 5b91 --since 2h
    mirror tail --agents --agent 'Ada*' --type presence

    An event is shown if all filters match. If no mirrored queue or agent matches, a message says
    so, and `tail` waits: one may be made later. Past events come partition by partition, so their
    times may jump back. Times are UTC, with a date unless it is today's.
    `~` marks times set by the mirror because Genesys sent none.
    """
    import time

    from console.context import settings_of_environment
    from console.events import event_line, heading, state_line
    from console.moments import epoch_ms
    from console.names import names_if_any
    from console.render import echo, echo_json, say, terminal_width
    from mirror.conversation.event import Event
    from mirror.conversation.times import show_epoch
    from mirror.kafka.consume import AgentStream, EventStream, Start
    from mirror.kafka.repeats import Repeats

    if agents and (once or conversation or queue):
        raise click.UsageError(
            "--agents shows agents' states, which have no conversation and no queue, and which "
            "no projector writes: leave out --once, --conversation and --queue."
        )
    _check_types(kinds, agents=agents)
    if since is not None and start == "beginning":
        raise click.UsageError("--since and --from beginning contradict each other: give one.")
    since_ms = epoch_ms("--since", since, round(time.time() * 1000)) if since else None
    repeats = Repeats()
    shown = 0
    place: Start = "beginning" if start == "beginning" else "end"
    settings = settings_of_environment()
    if agents and not settings.agents:
        say("MIRROR_SUBSCRIBE has no agents here: perhaps no listener writes their states")
    stream: AgentStream | EventStream
    if agents:
        stream = AgentStream(settings, place, since_ms)
    else:
        stream = EventStream(settings, place, since_ms, once=once)
    with stream, names_if_any() as called:
        say_unmatched(called, queue, agent)
        fits = _filter(called, conversation, queue, agent, kinds)
        width = terminal_width()
        if width is not None and not as_json and not agents:
            say(heading(width))
        while True:
            for event in stream.read(timeout=0.5):
                if not fits(event) or (dedupe and repeats.is_repeat(event.event_id)):
                    continue
                today = show_epoch(time.time())[:10]
                if as_json:
                    echo_json(event)
                elif isinstance(event, Event):
                    echo(event_line(event, called, width=width, today=today))
                else:
                    echo(state_line(event, called, width=width, today=today))
                shown += 1
                if limit is not None and shown >= limit:
                    return


def say_unmatched(called: Called, queue: str | None, agent: str | None) -> None:
    """Warn on stderr of filters that match no mirrored queue or agent now.

    This is no error: the queue or user may be created while `tail` runs.
    """
    from console.render import say

    filters: tuple[tuple[Family, str, str | None], ...] = (
        ("queues", "--queue", queue),
        ("users", "--agent", agent),
    )
    for family, option, text in filters:
        line = text and called.unmatched(family, option, text)
        if line:
            say(line)


def _check_types(kinds: tuple[str, ...], *, agents: bool) -> None:
    """Raise `click.UsageError` for an unknown event type."""
    from typing import get_args

    from mirror.conversation.agent_event import AgentEventType
    from mirror.conversation.event import EventType

    known = get_args(AgentEventType if agents else EventType)
    for kind in kinds:
        if kind not in known:
            raise click.UsageError(f"--type is {kind!r}: it takes {', '.join(known)}.")


def _filter(
    called: Called,
    conversation: str | None,
    queue: str | None,
    agent: str | None,
    kinds: tuple[str, ...],
) -> Callable[[Event | AgentEvent], bool]:
    """Whether an event matches all given filters."""
    from mirror.conversation.agent_event import AgentEvent

    beginning = (conversation or "").lower()

    def fits(event: Event | AgentEvent) -> bool:
        if isinstance(event, AgentEvent):
            is_meant = agent is None or called.is_meant("users", event.user_id, agent)
            return is_meant and (not kinds or event.event_type in kinds)
        return (
            (not kinds or event.event_type in kinds)
            and event.conversation_id.lower().startswith(beginning)
            and (queue is None or called.is_meant("queues", event.queue_id, queue))
            and (agent is None or called.is_meant("users", event.agent_id, agent))
        )

    return fits


COMMANDS = (tail,)
