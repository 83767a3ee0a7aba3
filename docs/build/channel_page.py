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
machine: it takes an input and the time, and returns actions for the shell. Only the table below
leads from one phase to the next. A test drives the machine through random histories. It checks that
each step is in the table, and that each row of the table occurs. If a phase does not know an input,
tests fail; in production the log says `impossible_step`, and the channel stays in its phase.

- The socket is open before topics are subscribed, so that no frame gets lost in between.
- Topics are set as one full list ([I4](invariants.md)), and set again if Genesys has others.
- A channel is reserved in Redis before it is made ([I5](invariants.md)).
- Coverage begins when topics are known to be set on an open socket, and ends with the last frame
  before a loss ([I10](invariants.md)).
- If topics turn out not to be set, this channel has not received them since they were last
  confirmed. The listener files a gap for that time.
"""
_UPKEEP: Final = """
## While it is live

While it receives, a live channel makes one request to Genesys at a time. Its topics are compared
about every 60 seconds, before they are set again, and at once if the leader doubts the channel,
because it receives nothing while another replica of its shard receives frames. If Genesys has not
said for five minutes which topics are set, or if new topics cannot be set for half a minute, the
listener's health says so.
"""
_SILENCE: Final = """
## Silence

Each socket is watched. Genesys sends a heartbeat every 30 seconds, and `MIRROR_SILENCE` is the
longest silence that is permitted.
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
