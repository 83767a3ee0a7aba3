"""What each of librdkafka's error codes means for a record that it was said of."""

from __future__ import annotations

from typing import get_args

import pytest
from confluent_kafka import KafkaError, KafkaException

from mirror.kafka import faults
from mirror.kafka.faults import KINDS, Kind


def every_code() -> dict[str, int]:
    """Name → code, of the installed librdkafka."""
    return {
        name: code
        for name in dir(KafkaError)
        if name.strip("_").isupper() and isinstance(code := getattr(KafkaError, name), int)
    }


def error(name: str, *, fatal: bool = False) -> KafkaError:
    """As librdkafka makes them."""
    return KafkaError(getattr(KafkaError, name), name, fatal, False, False)


def test_every_code_is_classified() -> None:
    """A librdkafka that brings a new code fails here, before it surprises somebody."""
    codes = every_code()
    assert len(codes) > 150
    assert {name for name, code in codes.items() if code not in KINDS} == set()


def test_every_name_of_the_table_exists() -> None:
    """A word that is no code of librdkafka is a slip."""
    named = {name for names in faults._NAMES.values() for name in names.split()}
    assert named - every_code().keys() == set()
    assert set(faults._NAMES) == set(get_args(Kind))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("MSG_SIZE_TOO_LARGE", "record"),
        ("TOPIC_AUTHORIZATION_FAILED", "topic"),
        ("_UNKNOWN_TOPIC", "topic"),
        ("NOT_ENOUGH_REPLICAS", "partition"),
        ("_MSG_TIMED_OUT", "partition"),
        ("_ALL_BROKERS_DOWN", "cluster"),
        ("SASL_AUTHENTICATION_FAILED", "cluster"),
        ("OUT_OF_ORDER_SEQUENCE_NUMBER", "client"),
        ("_PURGE_INFLIGHT", "ours"),
    ],
)
def test_whose_fault_it_is(name: str, kind: Kind) -> None:
    """Only a fault of the record itself costs the record; all else is tried again."""
    assert faults.judge(error(name)) == kind
    assert faults.is_refused(error(name)) == (kind == "record")


def test_a_fatal_error_costs_the_producer() -> None:
    """Whatever its code is: librdkafka takes nothing more on that producer."""
    assert faults.judge(error("MSG_SIZE_TOO_LARGE", fatal=True)) == "client"


def test_an_unknown_code_holds_up_its_partition_alone() -> None:
    """Nothing is thrown away for a code that this version does not know."""
    unknown = KafkaError(31_999, "new", False, False, False)
    assert faults.judge(unknown) == "partition"
    assert faults.step(unknown)


def test_every_code_has_a_next_step() -> None:
    """But for what we did ourselves."""
    for name in every_code():
        assert faults.step(error(name)) or faults.judge(error(name)) == "ours"
    assert "Write" in faults.step(error("TOPIC_AUTHORIZATION_FAILED"))


def test_the_cause_in_an_exception() -> None:
    """confluent-kafka wraps librdkafka's error, and raises errors of Python's own too."""
    inner = error("_QUEUE_FULL")
    assert faults.cause(KafkaException(inner)) is inner
    assert faults.cause(BufferError("full")) is None
    assert faults.cause(KafkaException("text")) is None


def test_an_error_has_one_wording_wherever_it_is_raised() -> None:
    """`produce` and a delivery report say the same of one cause, so health has one reason."""
    code = KafkaError.TOPIC_AUTHORIZATION_FAILED
    reported = KafkaError(code, "Broker: Topic authorization failed")
    raised = KafkaError(code, "Unable to produce message: Broker: Topic authorization failed")
    said = "TOPIC_AUTHORIZATION_FAILED: Broker: Topic authorization failed"
    assert faults.words(raised) == faults.words(reported) == said
