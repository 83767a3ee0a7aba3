"""`mirror dlq`: lists, shows and retries dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from janitor.producer import AckedProducer
    from mirror.kafka.deadletters import DeadLetter


@click.group(no_args_is_help=False, short_help="List, show or retry dead letters.")
def dlq() -> None:
    """List, show or retry dead letters: what could not be read or written."""


@dlq.command("list")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_(limit: int, as_json: bool) -> None:
    """List the newest dead letters, the newest last: source, failed stage and reason.

    Contents are not shown. In JSON, `kept` is how many dead letters Kafka keeps.
    """
    from console.context import settings_of_environment
    from console.render import echo, echo_json, say
    from mirror.conversation.times import show_ms
    from mirror.kafka.deadletters import DeadLetters

    with DeadLetters(settings_of_environment()) as letters:
        found, kept = letters.newest(limit)
    if as_json:
        listed = [
            {
                "id": letter.id,
                "at": show_ms(letter.at_ms),
                "topic": letter.topic,
                "bytes": len(letter.value),
            }
            | {"errors": letter.details}
            for letter in found
        ]
        echo_json({"dead_letters": listed, "kept": kept})
    else:
        echo(letters_text(found))
    if kept > limit:
        say(f"mirror: the newest {len(found)} of {kept} dead letters: a higher --limit shows more")


def letters_text(found: list[DeadLetter]) -> str:
    """The output of `mirror dlq list`."""
    from console.render import NARROW, Column, table
    from mirror.conversation.times import show_ms

    return table(
        (
            "LETTER",
            "AT",
            Column("BYTES", drop=1),
            Column("STAGE", drop=2),
            Column("ERROR", NARROW, drop=3),
            Column("MESSAGE", 2 * NARROW),
            Column("TOPIC", 2 * NARROW, drop=4),
        ),
        (
            (
                letter.id,
                f"{show_ms(letter.at_ms)[:19]}Z",
                str(len(letter.value)),
                letter.details.get("stage", ""),
                letter.details.get("exception.class.name", ""),
                letter.details.get("exception.message", ""),
                letter.topic,
            )
            for letter in found
        ),
        empty="No dead letters.",
    )


@dlq.command()
@click.argument("letter")
def show(letter: str) -> None:
    """Write the bytes of LETTER to stdout, and the reason to stderr.

    Unless MIRROR_PII was keep, personal values in JSON are masked. Other content is unchanged and
    may hold personal data. On a terminal, control characters are made visible.
    """
    from console.context import settings_of_environment
    from console.render import echo_bytes, joined, say
    from mirror.kafka.deadletters import DeadLetters

    with DeadLetters(settings_of_environment()) as letters:
        found = letters.get(letter)
    for name, value in {"topic": found.topic, **found.details}.items():
        say(joined(": ", (name, value)))
    echo_bytes(found.value)


@dlq.command()
@click.argument("letters", nargs=-1, required=True)
def retry(letters: tuple[str, ...]) -> None:
    """Parse LETTERS again with this version and produce the resulting events.

    Event ids stay the same, so retrying twice does no harm. The letters stay where they are. Masked
    personal values stay masked. An event that Kafka refused is produced unchanged.
    """
    import time

    from console.context import redis_of_settings, settings_of_environment
    from console.render import echo, joined
    from janitor.producer import AckedProducer
    from mirror.base.errors import MirrorError
    from mirror.base.units import counted
    from mirror.conversation.masking import MASK
    from mirror.conversation.normaliser import Normaliser, Personal
    from mirror.conversation.times import show_ms
    from mirror.fleet.pinned import pin
    from mirror.kafka import registry
    from mirror.kafka.admin import check
    from mirror.kafka.client import check_properties
    from mirror.kafka.deadletters import DeadLetters

    settings = settings_of_environment()
    check_properties(settings, "dlq")
    schemas = registry.register(settings, settings.startup_timeout)
    counts = check(settings, settings.startup_timeout).partitions(settings)
    with redis_of_settings() as (client, keys, _):
        producer = AckedProducer(settings, schemas, partitions=pin(client, keys, counts))
    failed = 0
    with DeadLetters(settings) as dead:
        for letter in letters:
            found = dead.get(letter)
            if found.details.get("stage") == "produce":
                said = _produce(producer, found)
                failed += said != "1 event"
                echo(joined(": ", (letter, said)))
                continue
            if found.masked:  # keep hashes, which the events would hold too; drop masks
                is_told = found.masked == "hash" and settings.pii != "drop"
                personal = Personal() if is_told else None
            else:
                personal = Personal.of(settings.pii, settings.pii_key)
            normaliser = Normaliser(personal=personal)
            reading = normaliser.frame(found.value, show_ms(found.at_ms), time.monotonic())
            events = [
                event
                for event in reading.events
                if MASK not in (event.conversation_id, event.participant_id)
            ]
            producer.send(events)
            failed += not events
            said = counted(len(events), "event")
            if found.masked:
                said += ", personal fields stay masked"
            if reading.problem is not None:
                said += f", still wrong: {reading.problem.message}"
            echo(joined(": ", (letter, said)))
    producer.close()
    if failed:
        raise MirrorError(
            f"{failed} of {counted(len(letters), 'letter')} brought no event: `mirror dlq show "
            "LETTER` has its bytes and the reason"
        )


def _produce(producer: AckedProducer, letter: DeadLetter) -> str:
    """Produce an event again that Kafka refused. Returns the result in words."""
    from mirror.kafka.deadletters import refused_event

    event = refused_event(letter)
    if event is None:
        return "holds no whole event"
    refused = producer.dead_letters
    producer.send([event])
    return "1 event" if producer.dead_letters == refused else "Kafka refuses it still"


COMMANDS = (dlq,)
