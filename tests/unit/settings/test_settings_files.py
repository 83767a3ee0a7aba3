"""Settings from files, with white space around them, and those that nothing reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from console.healthcheck import check
from mirror.base.errors import EXIT_USAGE, SettingsError
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import admin_config, consumer_config, producer_config
from mirror.settings import load, value

DOCS = Path(__file__).parents[3] / "docs"
PRIVATE_KEY_FILE = "KAFKA_CONF_SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_FILE"
SASL = {"KAFKA_SECURITY_PROTOCOL": "sasl_ssl"}


def written(path: Path, text: str) -> str:
    """The path of a file that holds `text`."""
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("GENESYS_CLIENT_SECRET", "s3cret"),
        ("KAFKA_SASL_PASSWORD", "pass word"),
        ("KAFKA_CONF_SSL_KEY_PASSWORD", "s3cret"),
        ("KAFKA_CONF_SASL_OAUTHBEARER_CLIENT_SECRET", "s3cret"),
        ("KAFKA_PREFIX", "columbia-1."),
        ("MIRROR_DASHBOARD_TOKEN", "0123456789abcdef"),
        ("MIRROR_TOPIC", "calls"),
        ("MIRROR_REPLICAS", "3"),
        ("GENESYS_API_URL", "https://gateway.example"),
    ],
)
def test_a_value_is_the_same_from_a_variable_and_from_a_file(
    tmp_path: Path, name: str, text: str
) -> None:
    """White space around it does not count in either, and both are used."""
    around = {**SASL, "GENESYS_CLIENT_ID": "a"} if "SECRET" in name else dict(SASL)
    around["KAFKA_SASL_MECHANISM"] = "PLAIN"
    if name == "GENESYS_CLIENT_SECRET":
        around["GENESYS_CLIENT_ID"] = "a"
    else:
        around.pop("GENESYS_CLIENT_ID", None)
    file = written(tmp_path / "file", f"\n {text}\r\n")
    for environ in ({name: f" {text}\n"}, {f"{name}_FILE": file}, {f"{name}_FILE": f"{file}\n"}):
        settings = load({**around, **environ})
        assert settings.environment[name] == text
        assert settings.unread == ()


def test_a_secret_property_of_librdkafka_comes_from_a_file(tmp_path: Path) -> None:
    """The file's content is the property, without the space around it."""
    file = written(tmp_path / "secret", "s3cret\n")
    properties = load({"KAFKA_CONF_SSL_KEY_PASSWORD_FILE": file}).kafka.properties
    assert properties["ssl.key.password"] == "s3cret"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("MIRROR_TOPIC_FILE", "is '/none'"),
        ("KAFKA_CONF_SSL_KEY_PASSWORD_FILE", "names a file"),
        ("GENESYS_CLIENT_SECRET_FILE", "names a file"),
    ],
)
def test_a_file_that_does_not_exist_is_told(name: str, told: str) -> None:
    """One line that names the variable, and exit code 2. Where a file is to hold a secret, the
    value is not shown: it may be the secret itself."""
    with pytest.raises(SettingsError) as caught:
        load({"GENESYS_CLIENT_ID": "a", name: "/none"})
    assert str(caught.value).startswith(f"{name} {told}, which cannot be read")
    assert caught.value.exit_code == EXIT_USAGE


def test_a_property_whose_own_name_ends_in_file_is_set(tmp_path: Path) -> None:
    """Directly by its name; by a file that holds its value with a further `_FILE`."""
    key = "sasl.oauthbearer.assertion.private.key.file"
    direct = load({**SASL, PRIVATE_KEY_FILE: "/keys/kafka.pem"})
    assert direct.kafka.properties[key] == "/keys/kafka.pem"
    file = written(tmp_path / "path", "/keys/kafka.pem\n")
    by_file = load({**SASL, f"{PRIVATE_KEY_FILE}_FILE": file})
    assert by_file.kafka.properties[key] == "/keys/kafka.pem"
    later = load({"KAFKA_CONF_SOME_NEW_FILE_FILE": file})
    assert later.kafka.properties["some.new.file"] == "/keys/kafka.pem"
    assert direct.unread == by_file.unread == later.unread == ()


def test_librdkafka_knows_the_properties_that_end_in_file() -> None:
    """Those that a variable sets directly; what is no property would be refused."""
    from mirror.settings.kafka import _FILE_PROPERTIES

    for name in _FILE_PROPERTIES:
        AdminClient({name: "/none"})


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"MIRROR_REPLICA": "3"}, {"MIRROR_REPLICA": "the nearest name is MIRROR_REPLICAS"}),
        ({"GENESYS_REGOIN": "x"}, {"GENESYS_REGOIN": "the nearest name is GENESYS_REGION"}),
        (
            {"KAFKA_BOOTSTRAP_SERVER": "x:1"},
            {"KAFKA_BOOTSTRAP_SERVER": "the nearest name is KAFKA_BOOTSTRAP_SERVERS"},
        ),
        (
            {"KAFKA_SASL_PASWORD_FILE": "x"},
            {"KAFKA_SASL_PASWORD_FILE": "the nearest name is KAFKA_SASL_PASSWORD_FILE"},
        ),
        ({"MIRROR_LISTENER": "2"}, {"MIRROR_LISTENER": "the nearest name is MIRROR_LISTENERS"}),
        (
            {"MIRROR_DASHBOARD_COLOUR": "red"},
            {"MIRROR_DASHBOARD_COLOUR": "the nearest name is MIRROR_DASHBOARD_PORT"},
        ),
        (
            {"MIRROR_TOPIC": "calls", "MIRROR_TOPIC_FILE": "/none"},
            {"MIRROR_TOPIC_FILE": "MIRROR_TOPIC is set, and wins"},
        ),
        ({"MIRROR_TOPIC": "", "MIRROR_TOPIC_FILE": ""}, {}),
        ({"MIRROR_RUN_DIR": "/r", "MIRROR_LISTENERS": "2", "MIRROR_HANG_AFTER": "9s"}, {}),
        ({"MIRROR_TEST_SEED": "1", "HOME": "/root", "MIRRORS": "2"}, {}),
        ({"KAFKA_CONF_LINGER_MS": "20", "KAFKA_CONF_NOT_KNOWN_HERE": "1"}, {}),
        (
            {
                "KAFKA_CONF_ACKS": "1",
                "KAFKA_CONF_DEFAULT_TOPIC_CONFIG": "acks=1",
                "KAFKA_CONF_TRANSACTIONAL_ID_FILE": "/none",
            },
            dict.fromkeys(
                (
                    "KAFKA_CONF_ACKS",
                    "KAFKA_CONF_DEFAULT_TOPIC_CONFIG",
                    "KAFKA_CONF_TRANSACTIONAL_ID_FILE",
                ),
                "the mirror sets this property itself",
            ),
        ),
        (
            {"MIRROR_SUBSCRIBE": "queues", "MIRROR_QUEUES": "A*", "MIRROR_USERS": "B*"},
            {"MIRROR_USERS": "MIRROR_SUBSCRIBE has no users or agents"},
        ),
        (
            {"MIRROR_SUBSCRIBE": "agents", "MIRROR_QUEUES": "A*", "MIRROR_USERS": "B*"},
            {"MIRROR_QUEUES": "MIRROR_SUBSCRIBE has no queues"},
        ),
        ({"MIRROR_SUBSCRIBE": "users", "MIRROR_QUEUES": "*"}, {}),
        ({"KAFKA_SERVICE_HOST": "10.0.0.7", "KAFKA_PORT_9092_TCP_ADDR": "10.0.0.7"}, {}),
        ({"KAFKA_PORT": "tcp://10.0.0.7:9092", "KAFKA_SERVICE_PORT_PLAIN": "9092"}, {}),
    ],
)
def test_what_nothing_reads_is_told_with_the_nearest_name(
    environ: dict[str, str], told: dict[str, str]
) -> None:
    """Misspelt names, files beside a value, idle filters; not what Kubernetes sets."""
    assert {variable.name: variable.hint for variable in load(environ).unread} == told


def test_a_warning_reads_as_one_line() -> None:
    """With the hint."""
    (unread,) = load({"KAFKA_URI": "x"}).unread
    assert str(unread) == "nothing reads KAFKA_URI: the nearest name is KAFKA_URL"


def test_a_service_of_kubernetes_is_no_port() -> None:
    """A Service `mirror-dashboard` sets MIRROR_DASHBOARD_PORT in every pod of its namespace."""
    environ = {
        "MIRROR_DASHBOARD_PORT": "tcp://10.0.0.7:8080",
        "MIRROR_METRICS_PORT": "tcp://10.0.0.8:9100",
    }
    settings = load(environ)
    assert (settings.dashboard_port, settings.metrics_port) == (8080, 0)
    assert settings.unread == ()


@pytest.mark.parametrize(
    "environ",
    [
        {"GENESYS_CLIENT_ID": "a\nb", "GENESYS_CLIENT_SECRET": "s3cret"},
        {"GENESYS_CLIENT_ID": "a", "GENESYS_CLIENT_SECRET": "s3 cret"},
        {"GENESYS_CLIENTS": "a:s3cret\nb:s3cret"},
        {"KAFKA_SASL_PASSWORD": "s3\ncret", "KAFKA_SECURITY_PROTOCOL": "sasl_ssl"},
        {"MIRROR_DASHBOARD_TOKEN": "s3\ncret"},
        {"GENESYS_API_URL": "http://host:\n80"},
        {"KAFKA_PREFIX": "a b"},
    ],
)
def test_a_line_feed_inside_a_value_is_refused(environ: dict[str, str]) -> None:
    """It would break a header, a URL or a line of output later; the message holds no secret."""
    with pytest.raises(SettingsError) as caught:
        load(environ)
    text = str(caught.value)
    assert "cret" not in text
    assert "\n" not in text


@pytest.mark.parametrize("medium", ["phone", "", "calls"])
def test_an_unknown_medium_is_refused(medium: str) -> None:
    """A misspelt one would be verified at the general age; the line names those that are known."""
    with pytest.raises(SettingsError, match=r"MIRROR_ZOMBIE_AFTER is .*callback, chat"):
        load({"MIRROR_ZOMBIE_AFTER": f"4h,{medium}=72h"})


def test_each_medium_may_have_its_own_age() -> None:
    """In any case, with spaces around."""
    settings = load({"MIRROR_ZOMBIE_AFTER": "4h, Internal_Message = 2h ,call=1h"})
    assert settings.zombie_after_media == {"internal_message": 7200, "call": 3600}


@pytest.mark.parametrize("mechanism", ["PLAIN", "scram-sha-512", "OAUTHBEARER", "GSSAPI"])
def test_each_sasl_mechanism_is_taken(mechanism: str) -> None:
    """As librdkafka names them, in any case."""
    properties = load({**SASL, "KAFKA_SASL_MECHANISM": mechanism}).kafka.properties
    assert properties["sasl.mechanism"] == mechanism.upper()


@pytest.mark.parametrize(
    ("page", "heading"),
    [
        ("tls.md", "Tokens (OAUTHBEARER)"),
        ("kafka-providers.md", "Confluent Cloud"),
        ("kafka-providers.md", "Amazon MSK"),
        ("kafka-providers.md", "Redpanda"),
        ("kafka-providers.md", "Azure Event Hubs"),
    ],
)
def test_a_documented_recipe_is_taken_by_librdkafka(
    page: str, heading: str, tmp_path: Path
) -> None:
    """Each block of settings gives a producer, a consumer and an admin client."""
    text = (DOCS / page).read_text(encoding="utf-8")
    block = re.search(rf"##+ {re.escape(heading)}\n.*?```sh\n(.*?)```", text, re.DOTALL)
    assert block is not None
    environ = dict(line.split("=", 1) for line in block[1].splitlines())
    secret = written(tmp_path / "secret", "s3cret\n")
    environ = {
        name: secret if name.endswith("_FILE") else text.strip("'").replace("…", "b-2.example")
        for name, text in environ.items()
    }
    settings = load(environ)
    assert settings.unread == ()
    log = ClientLog("test")
    for kind, config in (
        (Producer, producer_config(settings, "test")),
        (Consumer, consumer_config(settings, "test")),
        (AdminClient, admin_config(settings)),
    ):
        open_client(kind, config, log)
    assert producer_config(settings, "test").get("compression.codec") in {"lz4", "gzip"}


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", ("::", "0.0.0.0")),
        ("127.0.0.1", ("127.0.0.1",)),
        (" [::1] , 127.0.0.1,", ("::1", "127.0.0.1")),
    ],
)
def test_metrics_listen_where_they_are_told(text: str, hosts: tuple[str, ...]) -> None:
    """On all addresses of both families where nothing is said."""
    assert load({"MIRROR_METRICS_HOST": text}).metrics_hosts == hosts


def test_a_wrong_address_is_told() -> None:
    """It names the variable and what it takes."""
    with pytest.raises(SettingsError, match="MIRROR_METRICS_HOST is 'a/b': it takes"):
        load({"MIRROR_METRICS_HOST": "a/b"})


def test_the_health_check_reads_settings_as_processes_do(tmp_path: Path) -> None:
    """From files and with white space; what does not parse is told."""
    file = written(tmp_path / "port", "0\n")
    assert "is not set" in check({"MIRROR_METRICS_PORT_FILE": file})[1]
    assert "it takes a whole number" in check({"MIRROR_METRICS_PORT": "x"})[1]
    assert value({"MIRROR_RUN_DIR": " /run/mirror\n"}, "MIRROR_RUN_DIR") == "/run/mirror"
