"""docs/channel.md: the machines of a channel, drawn from `listeners.channels.table`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from listeners.channels.table import (
    INPUTS,
    OPEN,
    PHASES,
    SILENCE,
    SILENCE_INPUTS,
    SILENCES,
    TRANSITIONS,
    UPKEEP,
    UPKEEP_INPUTS,
    UPKEEPS,
)

Table = Mapping[Any, Mapping[Any, str]]
Words = Mapping[Any, str]
_OPENING: Final = """\
# The life of a channel

Made from `listeners/channels/table.py` by `python -m docs.build.pages`.

A listener opens one notification channel for each grant of the leader. The channel is a pure state
machine: an input and the time go in, actions for the shell come out, and nothing leads from a phase
to the next but the table below. A test drives it through random histories and holds each step to
the table, and each row of the table to the histories. An input that a phase does not know is an
error in tests; in production it is the log event `impossible_step`, and the channel stays where it
is.

- The socket is open before topics are subscribed, so that no frame is sent to nobody.
- Topics are set as one full list ([I4](invariants.md)): set again where they differ.
- A channel is reserved in Redis before it is made ([I5](invariants.md)).
- Coverage begins when topics are known to be set on an open socket, and ends with the last frame
  before a loss ([I10](invariants.md)).
- Topics that turn out not to be set were heard by nobody on this channel since they were confirmed
  last: the listener files a gap for them.
"""
_UPKEEP: Final = """
## While it is live

Beside receiving, a live channel asks one thing of Genesys at a time. Its topics are compared about
every 60 seconds, before they are set again, and at once where the leader doubts the channel: it
hears nothing while another replica of its shard hears frames.
"""
_SILENCE: Final = """
## Silence

Each socket is watched: heartbeats come every 30 seconds, and `MIRROR_SILENCE` is the longest
silence that is permitted.
"""


def channel_page() -> str:
    """The page."""
    lines = [*_OPENING.splitlines(), "", "## Phases", ""]
    lines += ["| phase | what it is | socket |", "|---|---|---|"]
    lines += [
        f"| `{phase}` | {meaning} | {'open' if phase in OPEN else ''} |"
        for phase, meaning in PHASES.items()
    ]
    lines += ["", *_diagram(TRANSITIONS, first="waiting", last="closed"), ""]
    lines += [*_inputs(INPUTS), "", *_rows(TRANSITIONS, "phase")]
    lines += [*_UPKEEP.splitlines(), "", *_states(UPKEEPS), "", *_diagram(UPKEEP, first="idle")]
    lines += ["", *_inputs(UPKEEP_INPUTS), "", *_rows(UPKEEP, "state")]
    lines += [*_SILENCE.splitlines(), "", *_states(SILENCES), "", *_inputs(SILENCE_INPUTS)]
    lines += ["", *_rows(SILENCE, "state")]
    return "\n".join(lines) + "\n"


def _states(states: Words) -> list[str]:
    return ["| state | what it is |", "|---|---|"] + [
        f"| `{state}` | {meaning} |" for state, meaning in states.items()
    ]


def _inputs(inputs: Words) -> list[str]:
    return ["| input | when |", "|---|---|"] + [
        f"| {name} | {meaning} |" for name, meaning in inputs.items()
    ]


def _rows(table: Table, state: str) -> Iterator[str]:
    """What follows: a line for each phase and each phase that it leads to."""
    yield f"| {state} | inputs | leads to |"
    yield "|---|---|---|"
    for before, edges in _edges(table):
        for after, inputs in edges.items():
            yield f"| `{before}` | {', '.join(inputs)} | `{after}` |"


def _diagram(table: Table, first: str, last: str = "") -> Iterator[str]:
    """The same as a picture."""
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {first}"
    for before, edges in _edges(table):
        for after, inputs in edges.items():
            yield f"    {before} --> {after}: {', '.join(inputs)}"
    if last:
        yield f"    {last} --> [*]"
    yield "```"


def _edges(table: Table) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """State → the states that it leads to, each with its inputs."""
    for before, inputs in table.items():
        edges: dict[str, list[str]] = {}
        for name, after in inputs.items():
            edges.setdefault(after, []).append(name)
        yield before, edges
