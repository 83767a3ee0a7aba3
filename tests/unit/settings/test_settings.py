"""Settings: every one has its default, says what it takes, and keeps secrets to itself."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from mirror.base.errors import EXIT_USAGE, SettingsError
from mirror.settings import describe, load


def pem(label: str, text: str) -> str:
    """A block of PEM."""
    return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"


def test_defaults_are_those_of_the_contract() -> None:
    """An empty environment gives the documented defaults."""
    settings = load({"HOME": "/home/mirror"})
    assert settings.region == "mypurecloud.com"
    assert settings.api_url == "https://api.mypurecloud.com"
    assert settings.login_url == "https://login.mypurecloud.com"
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert settings.kafka.properties == {"bootstrap.servers": "127.0.0.1:9092"}
    assert settings.families == ("queues", "users")
    assert (settings.replicas, settings.topics_per_channel) == (2, 1000)
    assert settings.channels_per_client == 20
    assert (settings.heartbeat, settings.lease, settings.silence) == (2, 8, 35)
    assert settings.discovery_interval == 300
    assert settings.zombie_after == 4 * 3600
    assert settings.zombie_after_media == dict.fromkeys(("callback", "email", "message"), 72 * 3600)
    assert (settings.analytics_lag, settings.janitor_share) == (300, 0.6)
    assert settings.horizon == 31 * 24 * 3600
    assert settings.topic == "genesys-interactions"
    assert settings.dead_letter_topic == "genesys-interactions.dlq"
    assert (settings.partitions, settings.replication_factor) == (12, 3)
    assert (settings.encoding, settings.pii) == ("json", "drop")
    assert settings.spool_limit == 1 << 30
    assert settings.spool_dir == Path("/home/mirror/.local/state/interaction-mirror/spool")
    assert (settings.metrics_port, settings.log_level, settings.startup_timeout) == (0, "info", 30)


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("MIRROR_REPLICAS", "two", "a whole number from 1 to 4"),
        ("MIRROR_REPLICAS", "0", "a whole number from 1 to 4"),
        ("MIRROR_TOPICS_PER_CHANNEL", "1001", "a whole number from 1 to 1000"),
        ("MIRROR_CHANNELS_PER_CLIENT", "21", "a whole number from 1 to 20"),
        ("MIRROR_HEARTBEAT", "2", "a duration"),
        ("MIRROR_HEARTBEAT", "0s", "a duration above zero"),
        ("MIRROR_SILENCE", "35 seconds", "a duration"),
        ("MIRROR_ZOMBIE_AFTER", "callback=72h", "a general duration"),
        ("MIRROR_SPOOL_LIMIT", "much", "a size such as 512MiB"),
        ("MIRROR_ENCODING", "avro", "one of json, msgpack"),
        ("MIRROR_PII", "some", "one of drop, hash, keep"),
        ("MIRROR_SUBSCRIBE", "teams", "queues, users and agents"),
        ("MIRROR_JANITOR_SHARE", "2", "a share from 0.01 to 1"),
        ("MIRROR_JANITOR_SHARE", "half", "a share from 0.01 to 1"),
        ("MIRROR_LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("MIRROR_METRICS_PORT", "70000", "a whole number from 0 to 65535"),
        ("GENESYS_REGION", "somewhere", "a region domain"),
        ("GENESYS_API_URL", "api.mypurecloud.com", "a base URL"),
        ("GENESYS_API_URL", "https://gateway/genesys?tenant=1", "a base URL"),
        ("GENESYS_LOGIN_URL", "https://gateway/#/login", "a base URL"),
        ("KAFKA_BOOTSTRAP_SERVERS", "broker", "host:port"),
        ("KAFKA_CONF_BOOTSTRAP_SERVERS", "broker", "host:port"),
        ("KAFKA_CONF_SECURITY_PROTOCOL", "tls", "one of plaintext, ssl"),
        ("MIRROR_TOPIC", "with space", "a Kafka topic name"),
        ("MIRROR_LEASE", "1000000000000d", "at most 3650d"),
        ("MIRROR_ZOMBIE_AFTER", "4h,6h", "each duration once"),
        ("MIRROR_ZOMBIE_AFTER", "4h,email=1h,email=2h", "each duration once"),
        ("KAFKA_BOOTSTRAP_SERVERS", "broker:99999", "a port from 1 to 65535"),
        ("KAFKA_BOOTSTRAP_SERVERS", "broker:0", "a port from 1 to 65535"),
        ("MIRROR_ONCE_TOPIC", "genesys-interactions", "another topic than MIRROR_TOPIC"),
        ("MIRROR_DEAD_LETTER_TOPIC", "genesys-interactions", "another topic than MIRROR_TOPIC"),
        ("MIRROR_CONVERSATIONS_TOPIC", "genesys-agents", "another topic than MIRROR_AGENTS_TOPIC"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_takes(name: str, value: str, takes: str) -> None:
    """The one line names the variable, what it held and what it takes; the exit code is 2."""
    with pytest.raises(SettingsError) as caught:
        load({name: value})
    line = str(caught.value)
    assert line.startswith(f"{name} is {value!r}: it takes ")
    assert takes in line
    assert "\n" not in line
    assert caught.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("api.mypurecloud.com", "mypurecloud.com"),
        ("login.mypurecloud.ie", "mypurecloud.ie"),
        ("apps.usw2.pure.cloud", "usw2.pure.cloud"),
        ("streaming.usw2.pure.cloud", "usw2.pure.cloud"),
        ("https://API.MyPureCloud.com/", "mypurecloud.com"),
        ("https://apps.mypurecloud.com.au/directory/#/admin", "mypurecloud.com.au"),
        ("https://mypurecloud.de", "mypurecloud.de"),
        ("mypurecloud.com.", "mypurecloud.com"),
        ("mypurecloud.com/", "mypurecloud.com"),
        ("mypurecloud.com:443", "mypurecloud.com"),
    ],
)
def test_a_host_or_url_in_place_of_the_region_is_refused_with_the_region(
    value: str, meant: str
) -> None:
    """Hosts are named after the region: api.api.mypurecloud.com would be unreachable later."""
    with pytest.raises(SettingsError) as caught:
        load({"GENESYS_REGION": value})
    assert str(caught.value) == (
        f"GENESYS_REGION is {value!r}: it takes the region's domain alone, here {meant}"
    )


@pytest.mark.parametrize(
    "value", ["https://", "api.", "a..b", "-a.b", "https://me:hunter2@mypurecloud.com"]
)
def test_what_holds_no_region_is_refused_with_examples(value: str) -> None:
    """There is nothing to suggest, and a password is not repeated."""
    with pytest.raises(SettingsError, match="a region domain such as") as caught:
        load({"GENESYS_REGION": value})
    assert "hunter2" not in str(caught.value)


def test_a_region_that_we_do_not_know_is_taken() -> None:
    """Genesys opens new ones. Case and white space do not count."""
    for value in (" USW2.pure.cloud ", "aps9.pure.cloud", "corp.test", "api.cloud"):
        region = value.strip().lower()
        settings = load({"GENESYS_REGION": value})
        assert (settings.region, settings.api_url) == (region, f"https://api.{region}")


@pytest.mark.parametrize(
    "environ",
    [
        {"REDIS_URL": "http://user:hunter2@host"},
        {"GENESYS_CLIENTS": "hunter2"},
        {"GENESYS_CLIENTS": ","},
        {"REDIS_URL": "redis://:hunter2@host:99999/0"},
        {"KAFKA_URL": "hunter2"},
        {"GENESYS_API_URL": "https://user:hunter2@host"},
        {"KAFKA_BOOTSTRAP_SERVERS": "user:hunter2@host"},
    ],
)
def test_a_value_that_may_hold_a_secret_is_not_echoed(environ: dict[str, str]) -> None:
    """The message names the variable and the form, never the value."""
    with pytest.raises(SettingsError) as caught:
        load(environ)
    assert "hunter2" not in str(caught.value)
    assert next(iter(environ)) in str(caught.value)


def test_a_lease_shorter_than_two_beats_is_refused() -> None:
    """One late beat must not count as a death."""
    with pytest.raises(SettingsError, match="MIRROR_LEASE"):
        load({"MIRROR_HEARTBEAT": "5s", "MIRROR_LEASE": "9s"})


def test_several_clients_win_over_the_single_one() -> None:
    """GENESYS_CLIENTS is used instead of the two variables."""
    settings = load(
        {"GENESYS_CLIENT_ID": "a", "GENESYS_CLIENT_SECRET": "b", "GENESYS_CLIENTS": "c:d, e:f:g"}
    )
    assert [(client.id, client.secret) for client in settings.clients] == [("c", "d"), ("e", "f:g")]


def test_half_a_client_is_refused() -> None:
    """An id without its secret names what is missing."""
    with pytest.raises(SettingsError, match="GENESYS_CLIENT_SECRET is not: set both"):
        load({"GENESYS_CLIENT_ID": "a"})


def test_no_client_is_told_only_where_one_is_needed() -> None:
    """`mirror tail` needs no OAuth client; a listener does."""
    settings = load({})
    with pytest.raises(SettingsError, match="GENESYS_CLIENT_ID is not set"):
        settings.require_clients()


def test_heroku_variables_reach_librdkafka() -> None:
    """KAFKA_URL, PEMs in variables and the prefix, as Heroku sets them."""
    settings = load(
        {
            "KAFKA_URL": "kafka+ssl://a.example:9096,kafka+ssl://b.example:9096",
            "KAFKA_TRUSTED_CERT": pem("CERTIFICATE", "CA"),
            "KAFKA_CLIENT_CERT": pem("CERTIFICATE", "CERT"),
            "KAFKA_CLIENT_CERT_KEY": pem("RSA PRIVATE KEY", "KEY").strip().replace("\n", "\\n"),
            "KAFKA_PREFIX": "columbia-1.",
        }
    )
    assert settings.kafka.properties == {
        "bootstrap.servers": "a.example:9096,b.example:9096",
        "security.protocol": "SSL",
        "ssl.ca.pem": pem("CERTIFICATE", "CA"),
        "ssl.certificate.pem": pem("CERTIFICATE", "CERT"),
        "ssl.key.pem": pem("RSA PRIVATE KEY", "KEY"),
        "ssl.endpoint.identification.algorithm": "none",
    }
    assert settings.topic == "columbia-1.genesys-interactions"
    assert settings.dead_letter_topic == "columbia-1.genesys-interactions.dlq"


def test_any_librdkafka_property_can_be_set() -> None:
    """KAFKA_CONF_<PROPERTY>, dots as underscores."""
    properties = load({"KAFKA_CONF_LINGER_MS": "50"}).kafka.properties
    assert properties["linger.ms"] == "50"


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    """<NAME>_FILE names a file that holds the value; a missing one is told."""
    (tmp_path / "secret").write_text("s3cret\n", encoding="utf-8")
    environ = {
        "GENESYS_CLIENT_ID": "a",
        "GENESYS_CLIENT_SECRET_FILE": str(tmp_path / "secret"),
    }
    assert load(environ).clients[0].secret == "s3cret"
    with pytest.raises(SettingsError, match="REDIS_URL_FILE"):
        load({"REDIS_URL_FILE": str(tmp_path / "none")})


def test_no_secret_is_described_or_printed() -> None:
    """What is in force can be shown to anybody."""
    settings = load(
        {
            "GENESYS_CLIENTS": "client-a:hunter2,client-b:hunter3",
            "REDIS_URL": "rediss://user:hunter4@redis.example:6380/0",
            "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
            "KAFKA_SASL_PASSWORD": "hunter5",
            "KAFKA_CLIENT_CERT_KEY": pem("PRIVATE KEY", "hunter6"),
            "MIRROR_PII": "hash",
            "MIRROR_PII_KEY": "hunter7",
            "KAFKA_CONF_SSL_KEY_PASSWORD": "hunter8",
        }
    )
    shown = repr(describe(settings.environment)) + repr(settings) + repr(settings.clients)
    shown += repr(settings.kafka)
    assert "hunter" not in shown
    assert "client-a:***,client-b:***" in shown
    assert "rediss://***@redis.example:6380/0" in shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache:6379/0?ssl_cert_reqs=none",
        "rediss://cache/0?ssl_cert_req=none",
        "rediss://cache/0?ssl_cert_reqs=maybe",
        "rediss://cache/0?ssl_check_hostname=yes",
        "redis://cache/0?db=zero",
        "redis://cache/0?db=\u00b2",
        "redis://cache/\u00b2",
        "redis://cache/0?password=hunter2",
        "redis://me:hunt/er2@cache/0",
        "redis://me:hunter2#x@cache/0",
        "redis://me:hunter2?x@cache/0",
        "redis://cache:port/0",
        "redis://cache:6379/0/1",
        "unix://run/redis.sock",
        "unix:/run/redis.sock",
        "REDIS://cache:6379/0",
        "redis+sentinel://a:1,b:x/mymaster/0",
    ],
)
def test_a_redis_url_that_may_not_mean_what_it_reads_is_refused(url: str) -> None:
    """Misspelt TLS parameters and passwords that are not percent-encoded: nothing is guessed."""
    with pytest.raises(SettingsError, match="REDIS_URL holds a value of another form") as caught:
        load({"REDIS_URL": url})
    assert "er2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:{}@cache:6379/0",
        "rediss://me:{}@cache/0?ssl_cert_reqs=required",
        "redis+sentinel://me:{}@a:26379,b:26379/orders/0",
    ],
)
@pytest.mark.parametrize("character", "/#?[]")
@pytest.mark.parametrize("password", ["hunter{}2", "12{}3", "{}hunter", "h@nt{}er#2", "6379{}0"])
def test_a_password_that_is_not_percent_encoded_is_named_as_the_cause(
    url: str, character: str, password: str
) -> None:
    """Whichever part of the URL the character breaks; encoded, the same password is taken."""
    secret = password.format(character)
    assert load({"REDIS_URL": url.format(quote(secret, safe=""))}).redis_url
    with pytest.raises(SettingsError, match="percent-encoded: @ is %40, / is %2F") as caught:
        load({"REDIS_URL": url.format(secret)})
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "rest",
    [
        "h:26379",
        "h:26379/",
        "h:26379/0",
        "h:26379//0",
        "h:26379,g:26379?sentinel_password=hunter2",
        "h:26379/orders/0/0",
        "h:26379/orders/zero",
        "h:26379/orders/\u00b2",
    ],
)
@pytest.mark.parametrize("scheme", ["redis+sentinel", "rediss+sentinel"])
def test_sentinels_need_the_name_of_a_service(scheme: str, rest: str) -> None:
    """A number alone is a database without a service; the line has the form with both."""
    with pytest.raises(SettingsError, match="REDIS_URL holds a value of another form") as caught:
        load({"REDIS_URL": f"{scheme}://{rest}"})
    assert f"{scheme}://host:port,host:port/service/db" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_database_of_sentinels_stands_in_the_path() -> None:
    """It is 0 unless given; as a parameter it would not be read."""
    for rest in ("h:26379/orders", "h:26379/orders/", "h:26379/orders/4", "h:26379/0/0"):
        assert load({"REDIS_URL": f"redis+sentinel://{rest}"}).redis_url.endswith(rest)
    with pytest.raises(SettingsError, match="REDIS_URL holds a value of another form"):
        load({"REDIS_URL": "redis+sentinel://h:26379/orders?db=4"})


def test_the_redis_urls_of_the_documentation_are_taken() -> None:
    """TLS with its files, Sentinels with TLS, an IPv6 address, a percent-encoded password."""
    for url in (
        "rediss://me:s%40crt@cache:6380/0?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k",
        "rediss+sentinel://:pw@a:26379,b/mymaster/0?sentinel_password=x&ssl_check_hostname=false",
        "redis://[::1]:6379/0",
        "redis://cache:6379/0/",
        "unix://me:pw@/run/redis.sock",
        "unix:///run/redis.sock?db=2",
    ):
        assert load({"REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(
    ("environ", "takes"),
    [
        ({"KAFKA_SASL_PASSWORD": "hunter2"}, "sasl_ssl"),
        ({"KAFKA_SASL_USERNAME": "me", "KAFKA_SECURITY_PROTOCOL": "ssl"}, "sasl_ssl"),
        (
            {
                "KAFKA_TRUSTED_CERT": pem("CERTIFICATE", "x"),
                "KAFKA_SECURITY_PROTOCOL": "plaintext",
            },
            "ssl or sasl_ssl",
        ),
        (
            {"KAFKA_CONF_SSL_CA_LOCATION": "/ca", "KAFKA_SECURITY_PROTOCOL": "sasl_plaintext"},
            "ssl or sasl_ssl",
        ),
    ],
)
def test_kafka_is_not_spoken_to_in_clear_with_secrets_set(
    environ: dict[str, str], takes: str
) -> None:
    """librdkafka would leave the password or the certificates aside."""
    with pytest.raises(SettingsError, match="KAFKA_SECURITY_PROTOCOL is") as caught:
        load(environ)
    assert takes in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_platforms_port_that_does_not_parse_is_named() -> None:
    """It is `PORT` that is wrong, and only where it counts."""
    with pytest.raises(SettingsError, match=r"^PORT is 'abc': it takes a whole number"):
        load({"PORT": "abc"})
    assert load({"PORT": "5000"}).dashboard_port == 5000
    assert load({"PORT": "abc", "MIRROR_DASHBOARD_PORT": "1"}).dashboard_port == 1


@pytest.mark.parametrize("text", ["JSON", " Json "])
def test_a_schema_registry_goes_with_json_in_any_case(text: str) -> None:
    """As without a registry."""
    settings = load({"MIRROR_ENCODING": text, "SCHEMA_REGISTRY_URL": "http://127.0.0.1:9"})
    assert settings.encoding == "json"
    with pytest.raises(SettingsError, match=r"^MIRROR_ENCODING is msgpack: with SCHEMA_REGISTRY"):
        load({"MIRROR_ENCODING": "msgpack", "SCHEMA_REGISTRY_URL": "http://127.0.0.1:9"})


def test_certificates_alone_mean_tls() -> None:
    """And SSL_CERT_FILE is whom to trust where nothing else says so."""
    cert = pem("CERTIFICATE", "x")
    assert load({"KAFKA_TRUSTED_CERT": cert}).kafka.properties["security.protocol"] == "SSL"
    secure = {"KAFKA_SECURITY_PROTOCOL": "ssl", "SSL_CERT_FILE": "/etc/ca.pem"}
    assert load(secure).kafka.properties["ssl.ca.location"] == "/etc/ca.pem"
    own = load(secure | {"KAFKA_TRUSTED_CERT": cert}).kafka.properties
    assert "ssl.ca.location" not in own
    assert "ssl.ca.location" not in load({"SSL_CERT_FILE": "/etc/ca.pem"}).kafka.properties


@pytest.mark.parametrize(
    ("content", "reason"), [(b"x" * 300_000, "over 256 KiB"), (b"\xff\xfe", "not UTF-8 text")]
)
def test_a_file_that_holds_no_setting_is_not_read_to_its_end(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    """A log or an image given by mistake; the line names the variable."""
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(SettingsError, match=reason) as caught:
        load({"MIRROR_PII_KEY_FILE": str(tmp_path / "file")})
    assert "MIRROR_PII_KEY_FILE" in str(caught.value)


def test_an_endless_device_is_not_read_to_its_end() -> None:
    """`/dev/zero` has no end."""
    with pytest.raises(SettingsError, match="over 256 KiB"):
        load({"MIRROR_PII_KEY_FILE": "/dev/zero"})


def test_a_gateway_serves_login_too() -> None:
    """The login host follows from the API URL as in Genesys' own SDK."""
    assert load({"GENESYS_API_URL": "http://127.0.0.1:8090/"}).login_url == "http://127.0.0.1:8090"
    assert (
        load({"GENESYS_API_URL": "https://api.example.org"}).login_url
        == "https://login.example.org"
    )
