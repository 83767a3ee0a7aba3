"""The topics of one channel: what is wanted, what is being set, what Genesys confirmed last. Pure.

A list is always set as a whole (I4), and what Genesys says that is set is compared with what is
wanted. Names compare without case. A topic that Genesys refused is not expected among those that
are set. Topics that were confirmed and are set no more were not heard since the confirmation: they
are `Missed`. All times are monotonic seconds.
"""

from __future__ import annotations

import msgspec


class Missed(msgspec.Struct, frozen=True):
    """Topics that a channel may not have heard from `since` to `until`, monotonic seconds.

    `name` tells one loss from every other one.
    """

    name: str
    shard: str
    replica: str
    topics: tuple[str, ...]
    since: float
    until: float


class TopicList:
    """What one channel is to receive."""

    def __init__(self, topics: tuple[str, ...], epoch: int) -> None:
        """`epoch` is the shard's, of `topics`."""
        self.wanted = topics
        self.epoch = epoch
        self.rejected: tuple[str, ...] = ()
        self.is_known = False  # this process has set topics on the present channel
        self.confirmed_at: float | None = None
        self.confirmed_epoch = 0  # 0 where it is not known what is set
        self._confirmed: tuple[str, ...] | None = None
        self._setting = topics
        self._setting_epoch = epoch

    @property
    def is_outdated(self) -> bool:
        """Whether another list is wanted than was set, or is being set."""
        return self._setting != self.wanted

    def want(self, topics: tuple[str, ...], epoch: int) -> None:
        """The shard's topics changed, or their epoch alone."""
        self.epoch = epoch
        if topics == self._setting:
            self._setting_epoch = epoch
        if topics == self._confirmed:
            self.confirmed_epoch = epoch
        self.wanted = topics

    def begin(self) -> tuple[str, ...]:
        """A PUT begins: the list that it sets."""
        self._setting, self._setting_epoch = self.wanted, self.epoch
        return self.wanted

    def was_set(self, rejected: tuple[str, ...], now: float) -> None:
        """The PUT succeeded, but for the `rejected` topics."""
        self.rejected = rejected
        self.is_known = True
        self.confirmed_at = now
        self._confirmed, self.confirmed_epoch = self._setting, self._setting_epoch

    def is_as_wanted(self, found: frozenset[str], now: float) -> bool:
        """Whether exactly the wanted topics are set, but for those that were rejected."""
        expected = _plain(self.wanted) - _plain(self.rejected)
        if _plain(found) != expected:
            return False
        self._confirmed, self.confirmed_epoch = self.wanted, self.epoch
        self.confirmed_at = now
        return True

    def missing(self, found: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """The topics that were confirmed last and are not among the `found` ones."""
        absent = _plain(found) | _plain(self.rejected)
        return tuple(topic for topic in self._confirmed or () if topic.lower() not in absent)

    def doubt(self) -> None:
        """What is set is not what was confirmed."""
        self._confirmed, self.confirmed_epoch, self.confirmed_at = None, 0, None

    def forget(self) -> None:
        """The channel is no more: on the next one nothing is set."""
        self.doubt()
        self.is_known = False


def _plain(topics: frozenset[str] | tuple[str, ...]) -> set[str]:
    return {topic.lower() for topic in topics}
