"""Shows an event, or a state of an agent, on a line, for `mirror tail` and the demo. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from console.names import Called
from console.render import clipped, styled
from mirror.base.printable import printable

if TYPE_CHECKING:
    from mirror.conversation.agent_event import AgentEvent
    from mirror.conversation.event import Event

_COLOURS: Final = {
    "start": "cyan",
    "alert": "yellow",
    "dial": "yellow",
    "answer": "green",
    "hold": "magenta",
    "resume": "green",
    "disconnect": "red",
    "transfer": "blue",
    "end": "cyan",
    "finalize": "red",
}
# Media with words longer than their column.
_MEDIA: Final = {
    "internal_message": "internal",
    "screen_monitoring": "monitoring",
    "social_expression": "social",
    "screenshare": "screen",
}
SHORT_ID: Final = 8
# The longest text from outside in a line without a limit.
_LONGEST: Final = 100
_KIND: Final = 10
_STATE: Final = 14


class _Layout(NamedTuple):
    """The widths of the columns for a line width."""

    medium: int
    who: int
    queue: int
    agent: int
    milliseconds: bool
    state: bool


_NARROW: Final = _Layout(8, 8, 10, 10, milliseconds=False, state=False)
_MIDDLE: Final = _Layout(10, 10, 14, 12, milliseconds=True, state=False)
_WIDE: Final = _Layout(10, 12, 20, 16, milliseconds=True, state=True)
_MIDDLE_FROM: Final = 100
_WIDE_FROM: Final = 130


def event_line(
    event: Event, called: Called | None = None, *, width: int | None = None, today: str = ""
) -> str:
    """An event as a line: time (UTC), type, medium, person, queue, conversation.

    `called` knows names of queues and agents. The line has at most `width` characters; None means
    any length. Times of `today` (`2026-11-27`) have no date; if `today` is empty, no time has one.
    """
    called = called or Called()
    layout = _layout(width)
    cells = (
        _padded(_MEDIA.get(event.media_type or "", event.media_type or ""), layout.medium, width),
        _padded(event.purpose or "-", layout.who, width),
        _padded(event.conversation_id[:SHORT_ID], SHORT_ID, width),
        _padded(_name(called.name("queues", event.queue_id), event.queue_id), layout.queue, width),
        _padded(_name(called.name("users", event.agent_id), event.agent_id), layout.agent, width),
        _detail(event, layout),
    )
    clock = printable(_clock(event.occurred_at, today, layout), _LONGEST)
    head = f"{clock}{'~' if event.estimated else ' '}"
    rest = " ".join(cells).rstrip()
    if width is not None:
        rest = clipped(rest, max(1, width - len(head) - _KIND - 2)).rstrip()
    kind = styled(f"{event.event_type:<{_KIND}}", fg=_COLOURS.get(event.event_type))
    return f"{head} {kind} {rest}"


def state_line(
    state: AgentEvent, called: Called | None = None, *, width: int | None = None, today: str = ""
) -> str:
    """An agent's state as a line: time (UTC), agent, state. Arguments as in `event_line`."""
    called, layout = called or Called(), _layout(width)
    clock = printable(_clock(state.occurred_at, today, layout), _LONGEST)
    word = state.presence if state.event_type == "presence" else state.routing_status
    cells = (
        state.event_type.ljust(_STATE),
        _padded(_name(called.name("users", state.user_id), state.user_id), layout.queue, width),
        printable(word or "-", _LONGEST),
        state.origin if state.origin != "live" else "",
    )
    line = f"{clock}{'~' if state.estimated else ' '} {' '.join(cells)}".rstrip()
    return line if width is None else clipped(line, width)


def heading(width: int | None) -> str:
    """The line above the events of today."""
    layout = _layout(width)
    clock = "TIME (UTC)".ljust(14 if layout.milliseconds else 10)
    names = (
        "EVENT".ljust(_KIND),
        "MEDIUM".ljust(layout.medium),
        "WHO".ljust(layout.who),
        "CONV. ID".ljust(SHORT_ID),
        "QUEUE".ljust(layout.queue),
        "AGENT".ljust(layout.agent),
        "DETAIL",
    )
    return " ".join((clock, *names))


def _layout(width: int | None) -> _Layout:
    if width is None or width >= _WIDE_FROM:
        return _WIDE
    return _MIDDLE if width >= _MIDDLE_FROM else _NARROW


def _clock(occurred_at: str, today: str, layout: _Layout) -> str:
    clock = f"{occurred_at[11:23] if layout.milliseconds else occurred_at[11:19]}Z"
    if not today or occurred_at[:10] == today:
        return clock
    return f"{occurred_at[:10] if layout.state else occurred_at[5:10]} {clock}"


def _name(name: str | None, entity_id: str | None) -> str:
    return name or (entity_id or "-")[:SHORT_ID]


def _padded(text: str, size: int, width: int | None) -> str:
    shown = printable(text, _LONGEST)
    return (shown if width is None else clipped(shown, size)).ljust(size)


def _detail(event: Event, layout: _Layout) -> str:
    parts = (
        event.role,  # a leg that does not serve shows its role
        event.disconnect_type,
        event.wrapup_code,
        event.origin if event.origin != "live" else None,
        event.state if layout.state else None,
    )
    return ", ".join(printable(part, _LONGEST) for part in parts if part)
