"""`mirror tail`: live events."""

from __future__ import annotations

import click


@click.command()
@click.option("--dedupe", is_flag=True, help="Show each event once, however many replicas sent it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line.")
@click.option(
    "--from",
    "start",
    type=click.Choice(["now", "beginning"]),
    default="now",
    show_default=True,
    help="Where to start.",
)
@click.option("--limit", type=click.IntRange(1), help="End after so many events.")
def tail(dedupe: bool, as_json: bool, start: str, limit: int | None) -> None:
    """Show events as they reach Kafka. Ends with Ctrl-C.

    A time followed by ~ is ours, where Genesys gave none.
    """
    from console.render import echo, echo_json, event_line
    from mirror.kafka.consume import EventStream
    from mirror.kafka.repeats import Repeats
    from mirror.settings import load

    repeats = Repeats()
    shown = 0
    with EventStream(load(), "beginning" if start == "beginning" else "end") as stream:
        while True:
            for event in stream.read(timeout=0.5):
                if dedupe and repeats.is_repeat(event.event_id):
                    continue
                if as_json:
                    echo_json(event)
                else:
                    echo(event_line(event))
                shown += 1
                if limit is not None and shown >= limit:
                    return


COMMANDS = (tail,)
