"""The commands that change something: topics, seats, channels, gaps."""

from __future__ import annotations

import click


@click.command()
def init() -> None:
    """Make the Kafka topics. Safe to repeat."""
    from mirror.kafka.admin import ensure_topics
    from mirror.settings import load

    for line in ensure_topics(load()):
        click.echo(line)


COMMANDS = (init,)
