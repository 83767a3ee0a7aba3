"""The leader's messages for people: seats that do not serve, refused topics. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from coordinator.plan.assignment import Why
from coordinator.plan.coverage import ChannelKey
from coordinator.plan.seats import Records
from mirror.conversation.times import show_ms
from mirror.fleet.words import Beat, Seat, Shard
from mirror.genesys.topics import is_of_conversations, plain

UNASSIGNED: Final[Mapping[Why, str]] = {
    "no listener": "no listener can take it",
    "no channel": "no OAuth client has a channel left for it",
}


def problems(
    seats: Records, vacant: Mapping[Seat, Why], doubted: Iterable[ChannelKey], before_ms: int
) -> dict[str, str]:
    """Seat → why it does not serve: it has no place (`vacant`), its channel has not been live since
    `before_ms` (Redis ms), or its channel hears nothing (`doubted`)."""
    not_live = {
        seat.name: f"no live channel on {record.current.listener} "
        f"since {show_ms(record.not_live_since_ms)}; the leader opens another"
        for seat, record in seats.items()
        if record.current is not None
        and record.not_live_since_ms is not None
        and record.not_live_since_ms < before_ms
    }
    deaf = {
        key.seat.name: f"hears nothing on {key.listener}, while another replica does"
        for key in doubted
    }
    return not_live | deaf | {seat.name: UNASSIGNED[reason] for seat, reason in vacant.items()}


def rejected(
    listeners: Mapping[str, Beat],
    alive: set[str],
    shards: Mapping[str, Shard],
    permissions: str,
) -> dict[str, str]:
    """Topic → why Genesys refuses it, from the reports of live listeners.

    A combined topic is refused if one of the topics that it stands for is. `permissions` are those
    of conversations.
    """
    refused: dict[str, set[str]] = {}  # shard → what its channels report
    for listener in alive & listeners.keys():
        for report in listeners[listener].channels:
            if report.rejected and report.shard in shards:
                names = refused.setdefault(report.shard, set())
                names.update(name for topic in report.rejected for name in plain(topic))
    found: dict[str, str] = {}
    for shard, names in refused.items():
        for topic in shards[shard].topics:
            if not names.isdisjoint(plain(topic)):
                found[topic] = "Genesys refuses the topic"
                if permissions and is_of_conversations(topic):
                    found[topic] += (
                        f": give the role {permissions} in the division of the queue or user, "
                        "unless that is deleted"
                    )
    return found
