"""Dead letters are read up to their end as it was when the reading began, the newest first."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from console import main
from harness.process import wait_until
from mirror.base.errors import MirrorError
from mirror.kafka.deadletters import DeadLetters
from mirror.settings import Settings, load

LETTERS = 7
FLOOD = 3_000  # a reader that does not end meets them all


@pytest.fixture
def producer(kafka: str) -> Producer:
    """Writes to the run's Kafka."""
    return Producer({"bootstrap.servers": kafka})


@pytest.fixture
def settings(kafka: str, make_topic: Callable[..., str], producer: Producer) -> Settings:
    """Their topic has two partitions, the first with letters."""
    topic = make_topic(partitions=2)
    for number in range(LETTERS):
        producer.produce(topic, str(number), partition=0)
    assert producer.flush(10) == 0
    return load({"KAFKA_BOOTSTRAP_SERVERS": kafka, "MIRROR_DEAD_LETTER_TOPIC": topic})


@pytest.fixture
def arriving(settings: Settings, producer: Producer) -> Iterator[threading.Event]:
    """Letters arrive all the time; set once the first did."""
    over, begun = threading.Event(), threading.Event()

    def write() -> None:
        while not over.wait(0.02):
            producer.produce(settings.dead_letter_topic, b"later", partition=0)
            producer.flush(10)
            begun.set()

    thread = threading.Thread(target=write)
    with DeadLetters(settings):  # the topic is known to the broker
        thread.start()
    try:
        yield begun
    finally:
        over.set()
        thread.join(15)


def test_a_list_ends_though_letters_arrive(settings: Settings, arriving: threading.Event) -> None:
    """Those that were there are listed, and few of the others."""
    wait_until(arriving.is_set, 10, "letters arrive")
    with DeadLetters(settings) as letters:
        found = letters.newest(FLOOD)[0]
    assert [letter.value for letter in found[:LETTERS]] == [b"%d" % n for n in range(LETTERS)]
    assert len(found) < FLOOD


def test_the_newest_are_listed_and_the_cut_is_told(
    settings: Settings,
    producer: Producer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A letter of now in the last partition is shown, though more than the limit are older."""
    producer.produce(settings.dead_letter_topic, b"now", partition=1)
    assert producer.flush(10) == 0
    for name, value in settings.environment.items():
        if name in {"KAFKA_BOOTSTRAP_SERVERS", "MIRROR_DEAD_LETTER_TOPIC"}:
            monkeypatch.setenv(name, value)

    def run(*options: str) -> tuple[dict[str, Any], str]:
        monkeypatch.setattr("sys.argv", ["mirror", "dlq", "list", "--json", *options])
        with pytest.raises(SystemExit, match="0"):
            main()
        said = capsys.readouterr()
        return json.loads(said.out), said.err

    cut, told = run("--limit", "3")
    assert [letter["id"] for letter in cut["dead_letters"]] == ["0-5", "0-6", "1-0"]
    assert cut["kept"] == LETTERS + 1
    assert told == "mirror: the newest 3 of 8 dead letters: a higher --limit shows more\n"
    whole, told = run("--limit", "8")
    assert len(whole["dead_letters"]) == whole["kept"] == LETTERS + 1
    assert told == ""


def test_each_is_found_by_its_id(settings: Settings) -> None:
    """Again and again, in any order, by one reader."""
    with DeadLetters(settings) as letters:
        for number in (5, 0, 6):
            assert letters.get(f"0-{number}").value == b"%d" % number


@pytest.mark.parametrize(
    "letter", ["0-7", "1-0", "9-0", "0-", "-1", "x", "0-²", "²-0", f"0-{10**20}", "0-" + "9" * 5000]
)
def test_what_is_no_letter_is_told(settings: Settings, letter: str) -> None:
    """In one line, whatever is asked for."""
    with (
        DeadLetters(settings) as letters,
        pytest.raises(MirrorError, match="there is no dead letter"),
    ):
        letters.get(letter)
