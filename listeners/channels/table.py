"""The state machines of a channel as data: (phase, input) → next phase.

`Channel` makes no other steps. docs/channel.md is generated from these tables, and tests check each
step of any history against them. An input that a phase does not know is a bug: `step` logs it and
stays in its phase, or raises `ImpossibleStep` while `STRICT` is set, as in tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeVar

from mirror.base.log import logger

Phase = Literal[
    "waiting",
    "reserving",
    "creating",
    "connecting",
    "subscribing",
    "verifying",
    "proving",
    "live",
    "closing",
    "closed",
]
Input = Literal[
    "reserve",
    "create",
    "connect",
    "opened",
    "reopened",
    "set",
    "outdated",
    "as wanted",
    "differs",
    "traffic",
    "refused",
    "failed",
    "timed out",
    "gone",
    "socket lost",
    "channel lost",
    "retired",
    "drained",
]

PHASES: Final[Mapping[Phase, str]] = {
    "waiting": "a pause before the next try",
    "reserving": "Redis is asked for one of the OAuth client's channels (I5)",
    "creating": "Genesys is asked for a channel",
    "connecting": "the socket is being opened",
    "subscribing": "the full list of topics is being set (I4)",
    "verifying": "the topics that are set are being read",
    "proving": "topics are set on an open socket, and nothing was received yet",
    "live": "frames come",
    "closing": "a retired channel still receives, for a while",
    "closed": "the end",
}
INPUTS: Final[Mapping[Input, str]] = {
    "reserve": "the pause is over, or the grant is new, and nothing is reserved",
    "create": "a channel is reserved, but its handle is not known yet",
    "connect": "a channel is reserved and its handle is known",
    "opened": "the socket of a channel is open whose topics were never set by this process",
    "reopened": "the socket of a channel is open whose topics this process has set before",
    "set": "Genesys has set the wanted list",
    "outdated": "Genesys has set a list, but another list is wanted by now",
    "as wanted": "exactly the wanted topics are set",
    "differs": "the topics that are set differ from the wanted ones",
    "traffic": "anything was read",
    "refused": "all channels of the OAuth client are reserved, or Redis does not answer",
    "failed": "a call or a handshake failed, and may succeed later",
    "timed out": "no outcome came in time",
    "gone": "Genesys says that the channel is gone, or its socket failed too often",
    "socket lost": "the socket is closed, broken or silent, for the first time since it was live",
    "channel lost": "the socket is lost again, or was lost right after it opened",
    "retired": "a successor is live, or the grant has ended",
    "drained": "the time for late frames is over",
}

TRANSITIONS: Final[Mapping[Phase, Mapping[Input, Phase]]] = {
    "waiting": {
        "reserve": "reserving",
        "create": "creating",
        "connect": "connecting",
        "retired": "closed",
    },
    "reserving": {
        "create": "creating",
        "connect": "connecting",
        "refused": "waiting",
        "failed": "waiting",
        "timed out": "waiting",
        "retired": "closed",
    },
    "creating": {
        "connect": "connecting",
        "failed": "waiting",
        "gone": "waiting",
        "timed out": "waiting",
        "retired": "closed",
    },
    "connecting": {
        "opened": "subscribing",
        "reopened": "verifying",
        "failed": "waiting",
        "gone": "waiting",
        "timed out": "waiting",
        "retired": "closed",
    },
    "subscribing": {
        "set": "proving",
        "outdated": "subscribing",
        "failed": "waiting",
        "gone": "waiting",
        "timed out": "waiting",
        "socket lost": "connecting",
        "channel lost": "waiting",
        "retired": "closed",
    },
    "verifying": {
        "as wanted": "proving",
        "differs": "subscribing",
        "failed": "waiting",
        "gone": "waiting",
        "timed out": "waiting",
        "socket lost": "connecting",
        "channel lost": "waiting",
        "retired": "closed",
    },
    "proving": {
        "traffic": "live",
        "socket lost": "connecting",
        "channel lost": "waiting",
        "retired": "closed",
    },
    "live": {
        "differs": "subscribing",
        "gone": "waiting",
        "socket lost": "connecting",
        "channel lost": "waiting",
        "retired": "closing",
    },
    "closing": {"drained": "closed", "socket lost": "closed"},
    "closed": {},
}
# In these phases a socket is open. A step that leads out of them closes it.
OPEN: Final[frozenset[Phase]] = frozenset(
    {"subscribing", "verifying", "proving", "live", "closing"}
)

# The calls of a live channel to Genesys while it receives: one at a time.
Upkeep = Literal["idle", "setting", "comparing"]
UpkeepInput = Literal["set", "compare", "done", "failed", "left"]

UPKEEPS: Final[Mapping[Upkeep, str]] = {
    "idle": "no call is under way",
    "setting": "the full list is being set: topics changed, or the channel is renewed",
    "comparing": "the topics that are set are being read",
}
UPKEEP_INPUTS: Final[Mapping[UpkeepInput, str]] = {
    "set": "topics changed, the renewal is due, or Genesys asks for it",
    "compare": "the comparison is due, or the leader doubts the channel",
    "done": "Genesys answered",
    "failed": "the call failed, or no answer came in time: it is put off, and the socket goes on",
    "left": "the channel is no longer live",
}
UPKEEP: Final[Mapping[Upkeep, Mapping[UpkeepInput, Upkeep]]] = {
    "idle": {"set": "setting", "compare": "comparing", "left": "idle"},
    "setting": {"set": "setting", "done": "idle", "failed": "idle", "left": "idle"},
    "comparing": {"set": "setting", "done": "idle", "failed": "idle", "left": "idle"},
}

# How a silent socket is found.
Silence = Literal["heard", "probed"]
SilenceInput = Literal["heard", "late", "silent"]

SILENCES: Final[Mapping[Silence, str]] = {
    "heard": "frames or heartbeats come in time",
    "probed": "a heartbeat is late: a ping was sent",
}
SILENCE_INPUTS: Final[Mapping[SilenceInput, str]] = {
    "heard": "something was read since",
    "late": "nine tenths of the permitted silence have passed",
    "silent": "all of it has passed: the socket is lost",
}
SILENCE: Final[Mapping[Silence, Mapping[SilenceInput, Silence]]] = {
    "heard": {"heard": "heard", "late": "probed", "silent": "heard"},
    "probed": {"heard": "heard", "silent": "heard"},
}

STRICT = False  # tests set it
_log = logger("listener.channel")
S = TypeVar("S", bound=str)
I = TypeVar("I", bound=str)  # noqa: E741 - an input


class ImpossibleStep(AssertionError):
    """A phase got an input that it does not know."""


def step(table: Mapping[S, Mapping[I, S]], state: S, occurred: I) -> S | None:
    """The next state, None if this input is impossible in this state."""
    follows = table[state].get(occurred)
    if follows is None:
        if STRICT:
            raise ImpossibleStep(f"{occurred!r} in {state!r}")
        _log.error("impossible_step", state=state, input=occurred)
    return follows
