"""What came out of Kafka and what truly happened, kept side by side while the site lives.

`Account` reads the interaction topic, and checks of every record what docs/event.md says of key,
partition and headers. `Books` adds the simulator's ledger and judges the conversations of one
trial.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Any

from harness import ledger
from harness.oracle import Name, Verdict, judge, name_of_event, name_of_truth
from mirror.conversation.event import Event
from mirror.kafka.record import UndecodableRecord, read_event
from mirror.settings import Settings
from simulator.ledger import Truth
from tests.chaos.follow import Follower

# Conversations of an earlier trial go on: how far back the ledger is read again.
OVERLAP = 4_000


class Account(Follower):
    """All events of the topic, by conversation, in the order of their partitions."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, settings.topic)
        self.records = 0
        self.wrong: list[str] = []  # records that break docs/event.md
        self._events: dict[str, list[Event]] = defaultdict(list)
        self._told: set[Name] = set()
        self._touched: set[str] = set()

    def told(self, truths: Iterable[Truth]) -> Callable[[Truth], bool]:
        """Whether a transition is among the events read so far."""
        names = {name_of_truth(truth) for truth in truths}
        with self.lock:
            self.check()
            known = names & self._told
        return lambda truth: name_of_truth(truth) in known

    def take_touched(self) -> set[str]:
        """Conversations with records since the last call."""
        with self.lock:
            self.check()
            touched, self._touched = self._touched, set()
        return touched

    def of(self, conversations: Iterable[str]) -> list[Event]:
        """All events of these conversations."""
        with self.lock:
            self.check()
            return [
                event
                for conversation in conversations
                for event in self._events.get(conversation, ())
            ]

    def take_record(self, message: Any) -> None:
        """Keep its event, and say where it is not as the contract has it."""
        self.records += 1
        try:
            event = read_event(message.value())
        except UndecodableRecord as error:
            self.wrong.append(f"{message.partition()}@{message.offset()}: {error}")
            return
        self._events[event.conversation_id].append(event)
        self._touched.add(event.conversation_id)
        self._told.add(name_of_event(event))
        self._inspect(message, event)

    def _inspect(self, message: Any, event: Event) -> None:
        headers: dict[str, Any] = dict(message.headers() or [])
        expected = {
            "ce_id": event.event_id.encode(),
            "ce_type": f"genesys.interaction.{event.event_type}".encode(),
            "ce_time": event.occurred_at.encode(),
            "ce_origin": event.origin.encode(),
        }
        wrong = [name for name, value in expected.items() if headers.get(name) != value]
        if message.key() != event.conversation_id.encode():
            wrong.append("key")
        if wrong:
            self.wrong.append(f"{event.event_id}: {', '.join(wrong)}")


class Books:
    """The simulator's ledger beside the account."""

    def __init__(self, account: Account, get: Callable[[str], Any]) -> None:
        """`get` asks the simulator's admin API."""
        self.account = account
        self.judged: set[str] = set()  # the conversations of the latest verdict
        self._get = get
        self._truths: dict[int, Truth] = {}
        self._by_conversation: dict[str, set[int]] = defaultdict(set)

    def last_seq(self) -> int:
        """The newest record of the ledger."""
        return ledger.last_seq(self._get)

    def truths(self, since: int, until: int) -> list[Truth]:
        """Records `since` < seq <= `until`, as the ledger has them now."""
        return ledger.truths(self._get, since, until)

    def untold(self, truths: list[Truth]) -> list[Truth]:
        """Of these records, those that Kafka does not have and that somebody could have told."""
        reachable = {t.conversation_id for t in truths if t.agent_id or t.queue_id}
        told = self.account.told(truths)
        return [
            truth
            for truth in truths
            if not truth.swallowed
            and (truth.first_sent_ms is not None or truth.conversation_id in reachable)
            and (truth.first_sent_ms is not None or not truth.replaced)
            and not told(truth)
        ]

    def judge(self, truths: list[Truth]) -> Verdict:
        """The verdict on all conversations of these records, and on all that Kafka had news of.

        What is missing `untold` tells better: here it may still be on its way.
        """
        since = truths[0].seq if truths else self.last_seq()
        conversations = self.account.take_touched() | {truth.conversation_id for truth in truths}
        self.judged = conversations
        events = self.account.of(conversations)
        self._refresh(since)  # after the events: what is in them has happened by now
        asked = {truth.seq: truth for truth in truths}
        found = {
            seq for conversation in conversations for seq in self._by_conversation[conversation]
        }
        return judge([asked.get(seq, self._truths[seq]) for seq in sorted(found)], events)

    def truths_of(self, conversations: Collection[str]) -> list[Truth]:
        """All records of these conversations, as the ledger has them now, oldest first."""
        self._refresh(self.last_seq())
        found = {
            seq for conversation in conversations for seq in self._by_conversation[conversation]
        }
        return [self._truths[seq] for seq in sorted(found)]

    def _refresh(self, since: int) -> None:
        for truth in self.truths(max(0, since - OVERLAP), self.last_seq()):
            self._truths[truth.seq] = truth
            self._by_conversation[truth.conversation_id].add(truth.seq)
