"""Brokers killed, frozen, ended in order; all of Kafka away."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import ElectionType, KafkaException, TopicPartition

from harness.kafka import Broker
from mirror.kafka.admin import ensure_topics
from tests.chaos.faults.common import Deed, send
from tests.chaos.site import Site
from tests.chaos.trial import WITNESSED, Fault

ELECTION_SECONDS = 20.0


def kill_brokers(count: int) -> Deed:
    """SIGKILL for so many."""

    def strike(site: Site) -> Sequence[Broker]:
        brokers = site.kafka.brokers[:count]
        for broker in brokers:
            broker.kill()
        return brokers

    return strike


def freeze_brokers(count: int) -> Deed:
    """SIGSTOP for so many."""

    def strike(site: Site) -> Sequence[Broker]:
        brokers = site.kafka.brokers[-count:]
        for broker in brokers:
            broker.pause()
        return brokers

    return strike


def thaw_brokers(site: Site, hit: Sequence[Broker] | None) -> None:
    """Let them go on."""
    for broker in hit or ():
        broker.resume()


def leaderless(site: Site, hit: Sequence[Broker]) -> bool:
    """No partition is led by those that were hit."""
    gone = {broker.node for broker in hit}
    with suppress(KafkaException):
        found = site.kafka.admin().list_topics(site.settings.topic, timeout=2.0)
        partitions = found.topics[site.settings.topic].partitions.values()
        return not any(partition.leader in gone for partition in partitions)
    return False


def start_brokers(site: Site, hit: Sequence[Broker] | None) -> None:
    """Start them again on their data."""
    for broker in hit or ():
        broker.start()
    site.kafka.wait_ready()


def stop_broker(site: Site) -> Sequence[Broker]:
    """End one in order: its leaderships move first."""
    broker = site.kafka.brokers[0]
    broker.stop()
    return [broker]


def start_brokers_and_elect(site: Site, hit: Sequence[Broker] | None) -> None:
    """Start them again, and move every leadership back to where it was made."""
    start_brokers(site, hit)
    admin = site.kafka.admin()
    topic = site.settings.topic
    partitions = [TopicPartition(topic, number) for number in range(site.settings.partitions)]

    def elected() -> bool:
        found = admin.list_topics(topic, timeout=ELECTION_SECONDS).topics[topic].partitions
        if all(partition.leader == partition.replicas[0] for partition in found.values()):
            return True
        with suppress(KafkaException):  # the controller may not be there yet
            admin.elect_leaders(ElectionType.PREFERRED, partitions).result(ELECTION_SECONDS)
        return False

    site.until(elected, ELECTION_SECONDS, "the preferred brokers lead", interval=1.0)


def spooling_listeners(site: Site) -> list[str]:
    """The living listeners that keep records on disk; of the dead the last word is told for long"""
    return [
        listener.id
        for listener in site.mirror.status().listeners
        if listener.spool_records and listener.state != "dead"
    ]


def spooling(site: Site, _hit: Any) -> bool:
    """At least two listeners keep records on disk."""
    return len(spooling_listeners(site)) >= 2


def spooling_then_kill_listener(site: Site, _hit: Any) -> bool:
    """Once listeners spool, kill one of them with its spool."""
    holders = spooling_listeners(site)
    if len(holders) < 2:
        return False
    send(site, holders[0], signal.SIGKILL)
    return True


def roll_brokers(site: Site) -> None:
    """Restart every broker, one after the other, as an upgrade does."""
    for broker in site.kafka.brokers:
        broker.stop()
        broker.start()
        site.kafka.wait_ready()


def delete_dead_letter_topic(site: Site) -> str:
    """Delete the dead-letter topic while garbage comes; brokers here make none by themselves."""
    topic = site.settings.dead_letter_topic
    admin = site.kafka.admin()  # kept: its answers end with it
    admin.delete_topics([topic])[topic].result(ELECTION_SECONDS)
    site.fault(fault="noise", kind="not_json", share=0.1)
    return topic


def make_topics(site: Site, _hit: str | None) -> None:
    """Make it again, as `mirror init` does."""
    site.calm()
    site.until(lambda: ensure_topics(site.settings), ELECTION_SECONDS, "the topic is made again")


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="Kafka broker killed",
        proves="acks=all on two of three brokers loses nothing; order holds",
        leaves="the loss of its disk together with another's",
        strike=kill_brokers(1),
        struck=leaderless,
        heal=start_brokers,
        late=WITNESSED,
    ),
    Fault(
        name="Kafka broker frozen",
        proves="a broker that keeps its connections and answers nobody",
        leaves="freezes shorter than the broker's session",
        strike=freeze_brokers(1),
        struck=leaderless,
        heal=thaw_brokers,
        late=WITNESSED,
    ),
    Fault(
        name="Kafka leaders moved by an orderly shutdown",
        proves="leaders move away and back without loss or disorder",
        leaves="reassignment of replicas",
        strike=stop_broker,
        struck=leaderless,
        heal=start_brokers_and_elect,
        late=WITNESSED,
    ),
    Fault(
        name="Kafka away, all brokers killed",
        proves="events wait on the disks of both hosts and follow in order",
        leaves="hours of it: the spool is bounded by MIRROR_SPOOL_LIMIT",
        strike=kill_brokers(3),
        struck=spooling,
        heal=start_brokers,
        late=WITNESSED,
        under_fault=800,
    ),
    Fault(
        name="Kafka away and listener killed with its spool",
        proves="what a dead listener left on disk is adopted and delivered",
        leaves="the loss of the disk",
        strike=freeze_brokers(3),
        struck=spooling_then_kill_listener,
        heal=thaw_brokers,
        late=WITNESSED,
    ),
    Fault(
        name="two of three Kafka brokers killed",
        proves="without enough replicas in step events wait, and follow in order",
        leaves="the loss of their disks",
        strike=kill_brokers(2),
        struck=spooling,
        heal=start_brokers,
        late=WITNESSED,
        under_fault=500,
    ),
    Fault(
        name="Kafka rolled, one broker after the other",
        proves="an upgrade of Kafka loses nothing and keeps the order",
        leaves="a change of the protocol's version",
        strike=roll_brokers,
        late=WITNESSED,
    ),
    Fault(
        name="dead-letter topic deleted while garbage comes",
        proves="a dead letter that cannot be written holds up itself alone",
        leaves="a dead-letter topic that is away for days: the spool is bounded",
        strike=delete_dead_letter_topic,
        heal=make_topics,
        under_fault=500,
    ),
)
