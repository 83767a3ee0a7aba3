"""Two rules over the live stream, each a few lines of state.

    pip install confluent-kafka
    KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 python fraud.py

- `Dropping`: an agent ends several answered calls within seconds of answering. Needs no personal
  data.
- `Fishing`: one caller reaches many different agents in a short time, as people do who try until
  somebody resets a password. Needs callers to be told apart: run the mirror with MIRROR_PII=hash,
  and `ani` is the same keyed hash for the same number, and says nothing else.

The rules are pure: events in, alerts out, by the events' own times.
"""

from __future__ import annotations

import signal
from collections import defaultdict, deque
from datetime import datetime
from typing import Any

from consume import connect, transitions

Event = dict[str, Any]


class Dropping:
    """An agent who hangs up on callers: `times` calls ended by the agent within `after` seconds
    of answering, in `window` seconds."""

    def __init__(self, times: int = 3, after: float = 10.0, window: float = 3600.0) -> None:
        self._times, self._after, self._window = times, after, window
        self._answered: dict[tuple[str, str], float] = {}
        self._dropped: defaultdict[str, deque[float]] = defaultdict(deque)

    def take(self, event: Event) -> str | None:
        """The alert that this event completes, or None."""
        if event["purpose"] != "agent" or event["media_type"] != "call" or not event["agent_id"]:
            return None
        leg = (event["conversation_id"], event["participant_id"])
        now = seconds(event["occurred_at"])
        if event["event_type"] == "answer":
            self._answered[leg] = now
        if event["event_type"] != "disconnect":
            return None
        answered = self._answered.pop(leg, None)
        # `client`: the agent's side ended it; `peer` would be the caller's.
        if answered is None or now - answered > self._after or event["disconnect_type"] != "client":
            return None
        dropped = self._dropped[event["agent_id"]]
        dropped.append(now)
        while dropped[0] < now - self._window:
            dropped.popleft()
        if len(dropped) < self._times:
            return None
        dropped.clear()
        return f"agent {event['agent_id']} dropped {self._times} calls at once after answering"


class Fishing:
    """A caller who tries many agents: `agents` different ones in `window` seconds."""

    def __init__(self, agents: int = 4, window: float = 900.0) -> None:
        self._agents, self._window = agents, window
        self._caller: dict[str, str] = {}
        self._reached: defaultdict[str, dict[str, float]] = defaultdict(dict)

    def take(self, event: Event) -> str | None:
        """The alert that this event completes, or None."""
        conversation = event["conversation_id"]
        if event["event_type"] in {"end", "finalize"}:
            self._caller.pop(conversation, None)
        if event["purpose"] in {"customer", "external"} and event["ani"]:
            self._caller[conversation] = event["ani"]
        if event["event_type"] != "answer" or event["purpose"] != "agent" or not event["agent_id"]:
            return None
        caller = self._caller.get(conversation)
        if caller is None:
            return None
        now = seconds(event["occurred_at"])
        reached = self._reached[caller]
        reached[event["agent_id"]] = now
        for agent in [agent for agent, then in reached.items() if then < now - self._window]:
            del reached[agent]
        if len(reached) < self._agents:
            return None
        reached.clear()
        return f"caller {caller} reached {self._agents} agents; latest conversation {conversation}"


def seconds(time: str) -> float:
    """An event's time as seconds since the epoch."""
    return datetime.fromisoformat(time).timestamp()


def main() -> None:
    """Print alerts until Ctrl-C."""
    stopping: list[int] = []
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, _frame: stopping.append(number))
    consumer = connect("interaction-fraud")
    rules = (Dropping(), Fishing())
    for event in transitions(consumer, until=lambda: bool(stopping)):
        if event["origin"] == "backfill":
            continue  # of interest to reports, too late for an alarm
        for rule in rules:
            if alert := rule.take(event):
                print(event["occurred_at"], alert, flush=True)
    consumer.close()


if __name__ == "__main__":
    main()
