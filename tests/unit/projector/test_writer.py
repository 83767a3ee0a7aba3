"""What happens to a transaction that fails, whose fault it is, and what is known about it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from mirror.base.bounded import BoundedCalls, Stuck
from mirror.settings import load
from projector.writer import Aborted, Out, Writer


class Failing:
    """A producer of librdkafka's kind, one of whose calls fails."""

    def __init__(self, at: str, error: KafkaError) -> None:
        self._at, self._error = at, error
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any, **__: Any) -> None:
            self.calls.append(name)
            if name == self._at:
                raise KafkaException(self._error)

        return call


def failure(at: str, error: KafkaError) -> tuple[Aborted, Failing]:
    """Write with a producer that fails at a call."""
    made = Failing(at, error)
    writer = Writer(load({"HOME": "/root"}), "t-1", make=lambda *_, **__: made)
    with pytest.raises(Aborted) as caught:
        writer.write([Out("once", 0, b"k", b"v", None)], [], None)
    return caught.value, made


def test_who_was_deposed_is_fenced_and_knows_it() -> None:
    """The broker refuses its offsets: nothing is committed, the transaction is aborted."""
    refused = KafkaError(KafkaError.ILLEGAL_GENERATION, "", False, False, True)
    error, producer = failure("send_offsets_to_transaction", refused)
    assert (error.is_fenced, error.is_doubtful) == (True, False)
    assert producer.calls[-1] == "abort_transaction"
    assert "commit_transaction" not in producer.calls


def test_a_commit_without_an_answer_is_doubtful() -> None:
    """It may stand: the group's offset will say."""
    error, _ = failure("commit_transaction", KafkaError(KafkaError._TIMED_OUT))
    assert (error.is_fenced, error.is_doubtful) == (False, True)


def test_a_commit_that_is_refused_is_none() -> None:
    """As where the broker ended the transaction for its age."""
    error, _ = failure("commit_transaction", KafkaError(KafkaError._FENCED, "", True))
    assert (error.is_fenced, error.is_doubtful) == (True, False)


@pytest.mark.parametrize("at", ["init_transactions", "begin_transaction", "produce"])
def test_what_fails_before_the_commit_is_not_written(at: str) -> None:
    """For certain, whatever it was."""
    error, producer = failure(at, KafkaError(KafkaError._STATE))
    assert not error.is_doubtful
    assert "commit_transaction" not in producer.calls


class Hanging(Failing):
    """A producer whose call does not return before it is released."""

    def __init__(self, at: str) -> None:
        super().__init__("", KafkaError(KafkaError._STATE))
        self._hangs_at = at
        self.released = threading.Event()

    def __getattr__(self, name: str) -> Any:
        call = super().__getattr__(name)

        def hang(*_: Any, **__: Any) -> None:
            self.released.wait(60)

        return hang if name == self._hangs_at else call


@pytest.mark.parametrize(
    ("at", "is_doubtful"),
    [
        ("init_transactions", False),
        ("send_offsets_to_transaction", False),
        ("commit_transaction", True),
    ],
)
def test_a_producer_that_does_not_return_is_left_behind(at: str, is_doubtful: bool) -> None:
    """It is not touched again, be it to abort, and the next batch has another producer."""
    stuck, next_one = Hanging(at), Hanging("")
    made = [next_one, stuck]
    writer = Writer(
        load({"HOME": "/root"}), "t-1", make=lambda *_, **__: made.pop(), return_seconds=0.05
    )
    with pytest.raises(Aborted, match="did not return") as caught:
        writer.write([Out("once", 0, b"k", b"v", None)], [], None)
    assert caught.value.is_doubtful == is_doubtful
    assert "abort_transaction" not in stuck.calls
    writer.write([Out("once", 0, b"k", b"v", None)], [], None)
    assert next_one.calls[-1] == "commit_transaction"
    stuck.released.set()


def test_calls_that_are_stuck_are_counted() -> None:
    """Beyond a number of them the process is of no use; those that come back do not count."""
    calls, released = BoundedCalls(most_stuck=1), threading.Event()
    with pytest.raises(Stuck):
        calls.make(released.wait, 0.01)
    with pytest.raises(RuntimeError, match="2 calls"):
        calls.make(released.wait, 0.01)
    released.set()
    assert calls.make(lambda: 7, 5.0) == 7
