"""The states of brokers in librdkafka's statistics.

librdkafka drops a broker that the cluster's metadata no longer names, and adds it again when it is
back (its pull request 4557). From then on its statistics have two brokers of one name: the new one,
and the old one in the state INIT. A decoder of JSON objects keeps only the last of equal names, so
this module reads the pairs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import msgspec

UP: Final = "UP"
NONE: Final = msgspec.Raw(b"{}")


class BrokerState(msgspec.Struct, frozen=True):
    """A broker. `nodename` is its host and port, `state` one of librdkafka's words."""

    nodeid: int
    nodename: str
    state: str


def states(brokers: msgspec.Raw) -> Mapping[int, BrokerState]:
    """Node id → broker, by the field `brokers` of the statistics. Where several have one node id,
    a connected one counts. Raises `msgspec.ValidationError` for other JSON."""
    found: dict[int, BrokerState] = {}
    for _, pairs in json.loads(bytes(brokers), object_pairs_hook=list):
        broker = msgspec.convert(dict(pairs), BrokerState)
        if broker.state == UP or broker.nodeid not in found:
            found[broker.nodeid] = broker
    return found
