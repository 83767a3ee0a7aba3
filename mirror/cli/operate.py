"""The commands that change something: topics, seats, channels, gaps."""

from __future__ import annotations

import click


@click.command()
def init() -> None:
    """Make the Kafka topics. Safe to repeat."""
    from mirror.kafka.admin import ensure_topics
    from mirror.settings import load

    settings = load()
    for topic in ensure_topics(settings, settings.startup_timeout):
        size = f"{topic.partitions} partitions, replication {topic.replication_factor}"
        did = "created" if topic.outcome == "created" else "is there"
        click.echo(f"{topic.name} {did}: {size}{f'. {topic.note}' if topic.note else ''}")


COMMANDS = (init,)
