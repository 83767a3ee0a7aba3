"""Clients of Kafka are opened, or say why not, and what becomes of librdkafka's words."""

from __future__ import annotations

import socket
import time

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from mirror.base import log
from mirror.base.errors import KafkaUnavailable, SettingsError
from mirror.kafka.client import (
    REPEAT_AFTER_SECONDS,
    ClientLog,
    check_properties,
    explain,
    open_client,
)
from mirror.kafka.config import consumer_config, producer_config
from mirror.settings import load


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        # librdkafka itself calls this one queue.buffering.max.ms.
        (
            "KAFKA_CONF_LINGER_MS",
            "abc",
            (
                "KAFKA_CONF_LINGER_MS is 'abc', which is not taken: Invalid value for "
                'configuration property "KAFKA_CONF_LINGER_MS"; it takes what librdkafka '
                "documents for linger.ms"
            ),
        ),
        ("KAFKA_CONF_COMPRESSION_CODEC", "zip", "KAFKA_CONF_COMPRESSION_CODEC is 'zip', which"),
        ("KAFKA_CONF_NO_SUCH_THING", "1", "KAFKA_CONF_NO_SUCH_THING is '1', which is not taken: "),
    ],
)
def test_a_property_that_is_not_taken_names_its_variable(
    variable: str, value: str, said: str
) -> None:
    """And what it holds, unless that may be a secret; whoever sets several finds the one."""
    settings = load({"KAFKA_CONF_BATCH_SIZE": "1000", "KAFKA_CONF_ACKS": "1", variable: value})
    for kind, config in (
        (Producer, producer_config(settings, "listener")),
        (Consumer, consumer_config(settings, "tail")),
    ):
        with pytest.raises(SettingsError) as raised:
            open_client(kind, config, ClientLog("test"))
        assert str(raised.value).startswith(said)


SASL = {"KAFKA_SECURITY_PROTOCOL": "sasl_ssl"}
USER = {**SASL, "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "hunter2"}


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"KAFKA_CONF_RETRIES": "0"}, "KAFKA_CONF_RETRIES is '0', which is not taken: "),
        (
            {"KAFKA_CONF_MESSAGE_SEND_MAX_RETRIES": "0"},
            "KAFKA_CONF_MESSAGE_SEND_MAX_RETRIES is '0', which is not taken: ",
        ),
        (
            {"KAFKA_CONF_LINGER_MS": "400000"},
            (
                "KAFKA_CONF_LINGER_MS is '400000', which is not taken: "
                "KAFKA_CONF_MESSAGE_TIMEOUT_MS must be greater than"
            ),
        ),
        ({"KAFKA_CONF_DELIVERY_TIMEOUT_MS": "1"}, "KAFKA_CONF_DELIVERY_TIMEOUT_MS is '1', which"),
        ({"KAFKA_CONF_QUEUING_STRATEGY": "lifo"}, "KAFKA_CONF_QUEUING_STRATEGY is 'lifo', which"),
        (
            {"KAFKA_CONF_RECONNECT_BACKOFF_MS": "5000", "KAFKA_CONF_LINGER_MS": "7"},
            (
                "KAFKA_CONF_RECONNECT_BACKOFF_MS is '5000', which is not taken: "
                "KAFKA_CONF_RECONNECT_BACKOFF_MAX_MS must be >= KAFKA_CONF_RECONNECT_BACKOFF_MS"
            ),
        ),
        ({"KAFKA_CONF_FETCH_MAX_BYTES": "10"}, "KAFKA_CONF_FETCH_MAX_BYTES is '10', which is not"),
        (
            {"KAFKA_CONF_GROUP_PROTOCOL": "consumer"},
            "KAFKA_CONF_GROUP_PROTOCOL is 'consumer', which is not taken: ",
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "ssl", "KAFKA_CONF_SSL_CIPHER_SUITES": "none"},
            "KAFKA_CONF_SSL_CIPHER_SUITES is 'none', which is not taken: ",
        ),
        (USER, "KAFKA_SASL_MECHANISM is not set: "),
        (SASL, "KAFKA_SASL_MECHANISM is not set: "),
        (
            {**USER, "KAFKA_SASL_MECHANISM": "GSSAPI"},
            "KAFKA_SASL_MECHANISM is GSSAPI, which this build of confluent-kafka does not have",
        ),
        (
            {**SASL, "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "u"},
            "KAFKA_SASL_PASSWORD is not set: KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD must be",
        ),
        (
            {**USER, "KAFKA_CONF_SASL_MECHANISMS": "FOO"},
            "KAFKA_CONF_SASL_MECHANISMS is 'FOO', which is not taken: ",
        ),
        (
            {
                **SASL,
                "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
                "KAFKA_CONF_SASL_OAUTHBEARER_METHOD": "oidc",
            },
            (
                "KAFKA_CONF_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL is not set: "
                "KAFKA_CONF_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL is mandatory when "
                "KAFKA_CONF_SASL_OAUTHBEARER_METHOD=oidc"
            ),
        ),
    ],
)
def test_properties_that_do_not_go_together_name_the_variable(
    environ: dict[str, str], said: str
) -> None:
    """Though librdkafka names another property, or none."""
    with pytest.raises(SettingsError) as raised:
        check_properties(load(environ), "test")
    assert str(raised.value).startswith(said)
    assert "recompile" not in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_token_endpoint_that_hangs_does_not_hold_up_the_check() -> None:
    """librdkafka joins its fetch of a token when the client of the check ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/token"
        settings = load(
            {
                "KAFKA_SECURITY_PROTOCOL": "sasl_plaintext",
                "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
                "KAFKA_CONF_SASL_OAUTHBEARER_METHOD": "oidc",
                "KAFKA_CONF_SASL_OAUTHBEARER_CLIENT_ID": "x",
                "KAFKA_CONF_SASL_OAUTHBEARER_CLIENT_SECRET": "y",
                "KAFKA_CONF_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": url,
            }
        )
        began = time.monotonic()
        check_properties(settings, "test", transactional=True)
        assert time.monotonic() - began < 10.0


def test_a_machine_without_room_for_a_thread_is_no_wrong_setting() -> None:
    """A process tries again, and does not end for good with exit code 2."""

    def refuses(*_: object, **__: object) -> None:
        text = "Failed to create thread: Cannot allocate memory (12)"
        raise KafkaException(KafkaError(KafkaError._CRIT_SYS_RESOURCE, text))

    with pytest.raises(KafkaUnavailable, match="no Kafka client can be made now"):
        open_client(refuses, {"compression.codec": "lz4"}, ClientLog("test"))


@pytest.mark.parametrize(
    "alert",
    [
        "error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42",
        "error:0A00045C:SSL routines::tlsv13 alert certificate required: SSL alert number 116",
    ],
)
def test_a_broker_that_wants_a_client_certificate_is_told_so(alert: str) -> None:
    """Java 17 and Java 25 say it in different words of TLS."""
    error = KafkaError(KafkaError._TRANSPORT, f"ssl://b:9093/1: Receive failed: {alert}")
    assert "KAFKA_CLIENT_CERT_KEY" in explain(error)


def test_repeated_errors_are_told_once_in_a_while() -> None:
    """A broker that is away for hours does not fill the log."""
    now = [0.0]
    with log.capture_logs() as lines:
        client_log = ClientLog("kafka.test", clock=lambda: now[0])
        away = KafkaError(KafkaError._ALL_BROKERS_DOWN, "all down", False, False, False)
        for _ in range(10):
            client_log.error(away)
        now[0] = REPEAT_AFTER_SECONDS
        client_log.error(away)
    assert [line["event"] for line in lines] == ["kafka_error", "kafka_error"]
    assert lines[0]["code"] == "_ALL_BROKERS_DOWN"
