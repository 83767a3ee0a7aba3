"""The topics of one channel: the wanted list, the list being set, the last confirmed list. Pure.

A list is always set as a whole (I4), and Genesys' list is compared with the wanted one. Names
compare without case, and combined topics (`a.b?c&d`) by the topics that they stand for. A topic
that Genesys refused is not expected in its list. Topics that were confirmed and are not set any
more count as `Missed` since the confirmation. All times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mirror.genesys.topics import plain


class Missed(msgspec.Struct, frozen=True):
    """Topics that a channel may not have heard from `since` to `until`, monotonic seconds.

    `name` is unique to this loss.
    """

    name: str
    shard: str
    replica: str
    topics: tuple[str, ...]
    since: float
    until: float


class TopicList:
    """The topic lists of one channel."""

    def __init__(self, topics: tuple[str, ...], epoch: int) -> None:
        """`epoch` is the shard's epoch of `topics`."""
        self.wanted = topics
        self.epoch = epoch
        self.rejected: tuple[str, ...] = ()
        self.is_known = False  # this process has set topics on the present channel
        self.confirmed_at: float | None = None
        self.confirmed_epoch = 0  # 0 if the list on the channel is unknown
        self._confirmed: tuple[str, ...] | None = None
        self._setting = topics
        self._setting_epoch = epoch

    @property
    def is_outdated(self) -> bool:
        """Whether the wanted list differs from the list that was set, or is being set."""
        return self._setting != self.wanted

    @property
    def is_set(self) -> bool:
        """Whether the wanted list is the last confirmed one."""
        return self.confirmed_epoch == self.epoch

    def want(self, topics: tuple[str, ...], epoch: int) -> None:
        """The shard's topics changed, or only their epoch."""
        self.epoch = epoch
        if topics == self._setting:
            self._setting_epoch = epoch
        if topics == self._confirmed:
            self.confirmed_epoch = epoch
        self.wanted = topics

    def begin(self) -> tuple[str, ...]:
        """A PUT begins. Returns its list."""
        self._setting, self._setting_epoch = self.wanted, self.epoch
        return self.wanted

    def was_set(self, rejected: tuple[str, ...], now: float) -> None:
        """The PUT succeeded, except for the `rejected` topics."""
        self.rejected = rejected
        self.is_known = True
        self.confirmed_at = now
        self._confirmed, self.confirmed_epoch = self._setting, self._setting_epoch

    def is_as_wanted(self, found: frozenset[str], now: float) -> bool:
        """Whether exactly the wanted topics are set, except the rejected ones."""
        refused = _plain(self.rejected)
        # A combined topic may be listed as a whole, although one of its topics is refused.
        unseen = refused.difference(topic.lower() for topic in found)
        if _plain(found) - unseen != _plain(self.wanted) - refused:
            return False
        self._confirmed, self.confirmed_epoch = self.wanted, self.epoch
        self.confirmed_at = now
        return True

    def missing(self, found: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """The last confirmed topics that are not among the `found` ones."""
        seen = _plain(found) | _plain(self.rejected)
        return tuple(topic for topic in self._confirmed or () if not seen.issuperset(plain(topic)))

    def doubt(self) -> None:
        """The list on the channel is not the confirmed one."""
        self._confirmed, self.confirmed_epoch, self.confirmed_at = None, 0, None

    def forget(self) -> None:
        """The channel is gone: the next channel has no topics yet."""
        self.doubt()
        self.is_known = False


def _plain(topics: Iterable[str]) -> set[str]:
    return {name for topic in topics for name in plain(topic)}
