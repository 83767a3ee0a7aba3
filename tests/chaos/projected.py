"""What the projector made of the stream, held against the stream and the ledger.

`Once` and `Views` read its two topics as any consumer would: committed records alone, from the
beginning, with nothing of the projector. `Projected` compares them for the conversations of a
trial. All of them live while it looks, so it looks again until each was right once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from harness.views import difference, folded, untruth
from mirror.conversation.event import Event
from mirror.conversation.published import PublishedView
from mirror.settings import Settings
from simulator.ledger import Truth
from tests.chaos.account import Books
from tests.chaos.follow import Follower


class Once(Follower):
    """How often each event stands in the once topic."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, settings.once_topic, committed=True)
        self._times: Counter[str] = Counter()

    def take_record(self, message: Any) -> None:
        """Count it by its `ce_id`."""
        self._times[dict(message.headers() or [])["ce_id"].decode()] += 1

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Of these events, those that do not stand in it."""
        with self.lock:
            self.check()
            return [event_id for event_id in ids if event_id not in self._times]

    def twice(self) -> list[str]:
        """The events that stand in it more than once."""
        with self.lock:
            self.check()
            return [event_id for event_id, times in self._times.items() if times > 1]


class Views(Follower):
    """The latest view of each conversation."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, settings.conversations_topic, committed=True)
        self._views: dict[str, bytes] = {}

    def take_record(self, message: Any) -> None:
        """Keep it, or forget a conversation that has left."""
        key = message.key().decode()
        if message.value() is None:
            self._views.pop(key, None)
        else:
            self._views[key] = message.value()

    def of(self, conversations: Iterable[str]) -> dict[str, PublishedView]:
        """The views of these conversations, of those that have one."""
        with self.lock:
            self.check()
            found = {key: self._views.get(key) for key in conversations}
        return {
            key: msgspec.json.decode(value, type=PublishedView)
            for key, value in found.items()
            if value is not None
        }


class Projected:
    """The conversations of one trial in both topics.

    `look` keeps what is not right yet: `missing` events by id, conversations whose view is
    `unlike` the fold or `untrue` by the ledger, each with what is wrong.
    """

    def __init__(
        self,
        books: Books,
        once: Once,
        views: Views,
        conversations: Iterable[str],
        lost: frozenset[str],
    ) -> None:
        """`lost` are the types of transitions that a fault may have lost for good."""
        self.missing: list[str] = []
        self.unlike = dict.fromkeys(conversations, "not looked at yet")
        self.untrue = dict(self.unlike)
        self._books, self._once, self._views, self._lost = books, once, views, lost

    def look(self) -> bool:
        """Whether all was right, now or at an earlier look."""
        conversations = self.unlike.keys() | self.untrue.keys()
        # The views first: what they tell stands in the stream, and has happened.
        shown = self._views.of(conversations)
        events = self._books.account.of(conversations)
        self.missing = self._once.missing({event.event_id for event in events} | set(self.missing))
        expected = folded(events)
        self.unlike = {
            key: reason
            for key in self.unlike
            if (reason := difference(shown.get(key), expected.get(key)))
        }
        self._look_at_truth(shown, events)
        return not (self.missing or self.unlike or self.untrue)

    def _look_at_truth(self, shown: Mapping[str, PublishedView], events: Iterable[Event]) -> None:
        if not self.untrue:
            return
        told = {event.conversation_id for event in events}
        happened: dict[str, list[Truth]] = defaultdict(list)
        truths = self._books.truths_of(self.untrue)
        for truth in truths:
            happened[truth.conversation_id].append(truth)
        # What nobody told, a view cannot know; the trial says what of it is missing. Of what the
        # ledger does not have, the fold alone can judge.
        unknown = {truth.conversation_id for truth in self._books.untold(truths)}
        unknown |= {truth.conversation_id for truth in truths if truth.swallowed}
        self.untrue = {
            key: reason
            for key in self.untrue
            if key in told
            and key in happened
            and key not in unknown
            and (reason := untruth(shown.get(key), happened[key], self._lost))
        }
