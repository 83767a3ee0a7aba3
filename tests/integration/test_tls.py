"""TLS to Redis, Kafka and Genesys with a private CA: verified, or one line that says why not.

Real servers throughout: redis-server with TLS, Apache Kafka with SSL and SASL_SSL listeners, the
simulator over HTTPS and WSS. What a wrong certificate looks like to each is the point here; that
events arrive whole is held by the fleet tests.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic, read_topic
from harness.process import ManagedProcess, free_ports, wait_until
from harness.redis import find_server
from harness.simulated import Simulated, simulated
from mirror.base.errors import GenesysUnavailable
from mirror.genesys.sockets import open_socket, tls_context
from mirror.kafka.record import read_event
from tests.integration.secure_support import (
    PLAIN_PASSWORD,
    ROOT,
    SASL_USER,
    SCRAM_PASSWORD,
    mutual_tls,
    run_mirror,
    secure_redis,
)
from tests.services.certificates import Authority, Certificate

QUICK: dict[str, str | None] = {
    "MIRROR_STARTUP_TIMEOUT": "1s",
    "SSL_CERT_FILE": None,
    "SSL_CERT_DIR": None,
}


class Secured(NamedTuple):
    """All services behind TLS, with certificates of `ours`; `foreign` is a CA nobody trusts."""

    ours: Authority
    foreign: Authority
    client: Certificate
    kafka: KafkaCluster
    redis: str
    redis_mutual: str
    redis_expired: str
    org: Simulated
    org_expired: Simulated


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, secure_cluster: KafkaCluster
) -> Iterator[Secured]:
    """The services, once for this module."""
    folder = tmp_path_factory.mktemp("tls")
    ours, foreign = authority, Authority(folder / "pem", "foreign")
    own, expired = ours.server(), ours.server(expired=True)
    trust = ssl.create_default_context(cafile=ours.path)
    busy = ("--users", "10", "--queues", "2", "--rate", "8", "--speed", "20", "--heartbeat", "1")
    with ExitStack() as stack:
        enter = stack.enter_context

        def redis(name: str, certificate: Certificate, client_auth: bool) -> str:
            server = secure_redis(folder / name, ours, certificate, client_auth=client_auth)
            return enter(server)

        def simulator(name: str, certificate: Certificate, *more: str) -> Simulated:
            options = ("--tls-cert", str(certificate.cert), "--tls-key", str(certificate.key))
            return enter(simulated(folder / name, *options, *more, login=False, tls=trust))

        yield Secured(
            ours,
            foreign,
            ours.client(ROOT),
            secure_cluster,
            redis("redis", own, False),
            redis("redis-mutual", own, True),
            redis("redis-expired", expired, False),
            simulator("org", own, *busy),
            simulator("org-expired", expired, "--no-autostart"),
        )


@pytest.fixture(scope="module")
def plain_org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """A simulator that speaks plain HTTP."""
    with simulated(tmp_path_factory.mktemp("plain"), "--no-autostart", login=False) as org:
        yield org


def one_line(result: tuple[int, str, str], code: int = 3) -> str:
    """The one line that a failed command left on stderr, after a look at its exit code."""
    assert result[0] == code, result
    (line,) = result[2].splitlines()
    assert line.startswith("mirror: ")
    assert "Traceback" not in line
    assert len(line) < 400
    return line


def test_events_flow_when_every_connection_is_tls(secured: Secured, tmp_path: Path) -> None:
    """Right CA, client certificates for Kafka and Redis, https and wss: a small fleet mirrors."""
    client = secured.client
    topic = create_topic(secured.kafka.bootstrap_servers, "tls-events", partitions=2)
    create_topic(secured.kafka.bootstrap_servers, "tls-letters")
    env: dict[str, str | None] = {
        **mutual_tls(secured.kafka, secured.ours, client),
        "SSL_CERT_FILE": str(secured.ours.path),
        "SSL_CERT_DIR": None,
        "REDIS_URL": f"rediss://{secured.redis_mutual}/0"
        f"?ssl_certfile={client.cert}&ssl_keyfile={client.key}",
        "GENESYS_API_URL": secured.org.url,
        "GENESYS_CLIENT_ID": "sandbox",
        "GENESYS_CLIENT_SECRET": "sandbox",
        "MIRROR_TOPIC": topic,
        "MIRROR_DEAD_LETTER_TOPIC": "tls-letters",
        "MIRROR_NAMESPACE": "tls",
        "MIRROR_SPOOL_DIR": str(tmp_path / "spool"),
        "MIRROR_STARTUP_TIMEOUT": "10s",
        "MIRROR_HEARTBEAT": "500ms",
        "MIRROR_LEASE": "2s",
    }
    assert secured.org.url.startswith("https://")
    with ExitStack() as stack:
        for module in ("coordinator", "listeners"):
            process = ManagedProcess.python_module(module, folder=tmp_path, env=env)
            stack.enter_context(process)

        def arrived() -> bool:
            return len(read_topic(secured.kafka.bootstrap_servers, topic)) > 100

        wait_until(arrived, 30.0, "events over TLS", interval=0.5)
        code, stdout, stderr = run_mirror(tmp_path, env, "status", "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["listeners"][0]["state"] == "live"
    records = read_topic(secured.kafka.bootstrap_servers, topic)
    assert {read_event(record.value()).origin for record in records} >= {"live"}


@pytest.mark.parametrize(
    ("mechanism", "password"),
    [("SCRAM-SHA-512", SCRAM_PASSWORD), ("PLAIN", PLAIN_PASSWORD)],
)
def test_sasl_over_tls_works_and_a_wrong_password_is_told(
    secured: Secured, tmp_path: Path, mechanism: str, password: str
) -> None:
    """`mirror init` makes the topics; with another password it says which settings to look at."""
    env: dict[str, str | None] = {
        **QUICK,
        "SSL_CERT_FILE": str(secured.ours.path),
        "KAFKA_BOOTSTRAP_SERVERS": secured.kafka.servers["SASL"],
        "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
        "KAFKA_SASL_MECHANISM": mechanism,
        "KAFKA_SASL_USERNAME": SASL_USER,
        "KAFKA_SASL_PASSWORD": password,
        "KAFKA_PREFIX": f"made-by-{mechanism}.",  # the cluster serves other tests
    }
    patient = {"MIRROR_STARTUP_TIMEOUT": "20s"}  # a busy broker is slow to know new topics
    code, stdout, stderr = run_mirror(tmp_path, env | patient, "init")
    assert code == 0, stderr
    assert f"made-by-{mechanism}.genesys-interactions created" in stdout

    wrong = env | {"KAFKA_SASL_PASSWORD": "wr0ng-S3cret"}
    line = one_line(run_mirror(tmp_path / "wrong", wrong, "init"))
    assert "refuses the user name or password" in line
    assert "KAFKA_SASL_PASSWORD" in line
    assert "wr0ng" not in line


@pytest.mark.parametrize("case", ["foreign CA", "no CA", "host name", "expired"])
def test_kafka_with_a_certificate_that_is_not_accepted(
    secured: Secured, tmp_path: Path, case: str
) -> None:
    """Another CA, none, another host name, an expired certificate: exit code 3 and one line."""
    env: dict[str, str | None] = QUICK | mutual_tls(secured.kafka, secured.ours, secured.client)
    if case == "foreign CA":
        env["KAFKA_TRUSTED_CERT"] = secured.foreign.pem
    elif case == "no CA":
        env["KAFKA_TRUSTED_CERT"] = None
    elif case == "host name":
        servers = secured.kafka.servers["MTLS"].replace("127.0.0.1", "localhost")
        env["KAFKA_BOOTSTRAP_SERVERS"] = servers
    else:
        env["KAFKA_BOOTSTRAP_SERVERS"] = secured.kafka.servers["EXPIRED"]
    line = one_line(run_mirror(tmp_path, env, "init"))
    assert "the broker's certificate is not accepted" in line
    assert str(env["KAFKA_BOOTSTRAP_SERVERS"]) in line


@pytest.mark.parametrize("case", ["missing", "foreign", "expired"])
def test_kafka_that_wants_another_client_certificate(
    secured: Secured, tmp_path: Path, case: str
) -> None:
    """None at all, one of another CA, an expired one: exit code 3, and which variables to set."""
    client = {
        "missing": secured.client,
        "foreign": secured.foreign.client(ROOT),
        "expired": secured.ours.client(ROOT, expired=True),
    }[case]
    env: dict[str, str | None] = QUICK | mutual_tls(secured.kafka, secured.ours, client)
    if case == "missing":
        env |= {"KAFKA_CLIENT_CERT": None, "KAFKA_CLIENT_CERT_KEY": None}
    line = one_line(run_mirror(tmp_path, env, "init"))
    assert "client certificate" in line
    assert "KAFKA_CLIENT_CERT_KEY" in line


def test_kafka_is_never_asked_in_plain_text_instead(secured: Secured, tmp_path: Path) -> None:
    """TLS settings against a plain listener fail, and so do plain ones against a TLS listener."""
    env: dict[str, str | None] = QUICK | mutual_tls(secured.kafka, secured.ours, secured.client)
    plain = env | {"KAFKA_BOOTSTRAP_SERVERS": secured.kafka.bootstrap_servers}
    assert "TLS failed" in one_line(run_mirror(tmp_path / "a", plain, "init"))
    bare = {"KAFKA_BOOTSTRAP_SERVERS": secured.kafka.servers["MTLS"]}
    assert "cannot be used" in one_line(run_mirror(tmp_path / "b", QUICK | bare, "init"))
    contradiction = env | {"KAFKA_SECURITY_PROTOCOL": "plaintext"}
    line = one_line(run_mirror(tmp_path / "c", contradiction, "init"), code=2)
    assert "KAFKA_SECURITY_PROTOCOL is plaintext" in line


def test_a_key_that_does_not_fit_its_certificate_is_a_setting(
    secured: Secured, tmp_path: Path
) -> None:
    """Exit code 2, the variable, and nothing of what it held."""
    other = secured.ours.client("somebody")
    env: dict[str, str | None] = QUICK | mutual_tls(secured.kafka, secured.ours, secured.client)
    line = one_line(
        run_mirror(tmp_path, env | {"KAFKA_CLIENT_CERT_KEY": other.key_pem}, "init"), code=2
    )
    assert "KAFKA_CLIENT_CERT_KEY" in line
    assert not any(part in line for part in other.key_pem.splitlines())


def redis_status(
    secured: Secured, folder: Path, url: str, trusted: Path | None, **more: str
) -> tuple[int, str, str]:
    """`mirror status` with this URL and this CA."""
    env = QUICK | {"REDIS_URL": url, "SSL_CERT_FILE": str(trusted) if trusted else None, **more}
    return run_mirror(folder, env, "status", "--json")


def test_redis_with_the_right_ca(secured: Secured, tmp_path: Path) -> None:
    """By SSL_CERT_FILE or by the URL's own parameter; status is down, but Redis was asked."""
    own = f"rediss://{secured.redis}/0"
    by_url = f"{own}?ssl_ca_certs={secured.ours.path}"
    for number, (url, trusted) in enumerate(((own, secured.ours.path), (by_url, None))):
        code, stdout, stderr = redis_status(secured, tmp_path / str(number), url, trusted)
        assert (code, stderr) == (0, "")
        assert json.loads(stdout)["listeners"] == []


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("foreign CA", "its certificate is not accepted"),
        ("no CA", "SSL_CERT_FILE names the file of a private CA"),
        ("host name", "Hostname mismatch"),
        ("expired", "certificate has expired"),
        ("no client certificate", "client certificate"),
        ("plain port", "start Redis with TLS"),
    ],
)
def test_redis_that_cannot_be_trusted(
    secured: Secured, redis_url: str, tmp_path: Path, case: str, words: str
) -> None:
    """Exit code 3 and one line that says what is wrong with whom."""
    address, trusted = secured.redis, secured.ours.path
    if case == "foreign CA":
        trusted = secured.foreign.path
    elif case == "host name":
        address = address.replace("127.0.0.1", "localhost")
    elif case == "expired":
        address = secured.redis_expired
    elif case == "no client certificate":
        address = secured.redis_mutual
    elif case == "plain port":
        address = redis_url.removeprefix("redis://").removesuffix("/0")
    nobody = None if case == "no CA" else trusted
    line = one_line(redis_status(secured, tmp_path, f"rediss://{address}/0", nobody))
    assert words in line
    assert address in line


def test_redis_that_speaks_tls_is_not_asked_in_plain_text(secured: Secured, tmp_path: Path) -> None:
    """`redis://` to a TLS port: exit code 3, not a password in clear and a time-out."""
    line = one_line(redis_status(secured, tmp_path, f"redis://{secured.redis}/0", None))
    assert "does not answer" in line


@pytest.mark.parametrize("trusted", [True, False])
def test_sentinels_and_what_they_name_are_verified(
    secured: Secured, tmp_path: Path, trusted: bool
) -> None:
    """`rediss+sentinel://`: TLS to the Sentinel and to the server that it names."""
    (port,) = free_ports(1)
    own = secured.ours.server()
    program = str(find_server("redis"))
    host, server_port = secured.redis.split(":")
    configuration = tmp_path / "sentinel.conf"  # the Sentinel writes to it
    configuration.write_text(
        f"port 0\ntls-port {port}\ntls-replication yes\ntls-auth-clients no\n"
        f"tls-cert-file {own.cert}\ntls-key-file {own.key}\ntls-ca-cert-file {secured.ours.path}\n"
        f"sentinel monitor orders {host} {server_port} 1\n"
    )
    url = f"rediss+sentinel://127.0.0.1:{port}/orders/0"
    ca = secured.ours if trusted else secured.foreign
    sentinel = ManagedProcess([program, str(configuration), "--sentinel"], tmp_path)
    with sentinel:
        sentinel.wait_for(lambda: "+monitor" in sentinel.stdout, 10.0, "a monitored server")
        result = redis_status(secured, tmp_path, url, ca.path)
    if trusted:
        assert result[0] == 0, result
    else:
        line = one_line(result)
        assert "not accepted" in line or "Sentinel" in line


@pytest.mark.parametrize("way", ["variable", "parameter", "chain"])
def test_redis_is_trusted_unseen_only_when_somebody_says_so(
    secured: Secured, tmp_path: Path, way: str
) -> None:
    """The opt-out that Heroku's self-signed certificates need; `chain` gives up host names only."""
    url, more, trusted = f"rediss://{secured.redis}/0", {}, None
    if way == "variable":
        more = {"REDIS_TLS_VERIFY": "none"}
    elif way == "parameter":
        url += "?ssl_cert_reqs=none"
    else:
        url = url.replace("127.0.0.1", "localhost")
        more, trusted = {"REDIS_TLS_VERIFY": "chain"}, secured.ours.path
    assert redis_status(secured, tmp_path, url, trusted, **more)[0] == 0
    if way == "chain":
        foreign = redis_status(secured, tmp_path / "foreign", url, secured.foreign.path, **more)
        assert "not accepted" in one_line(foreign)


def genesys_findings(secured: Secured, folder: Path, url: str, trusted: Path) -> dict[str, object]:
    """What `mirror doctor` finds about the OAuth client at `url`."""
    env = QUICK | {
        "GENESYS_API_URL": url,
        "GENESYS_CLIENT_ID": "sandbox",
        "GENESYS_CLIENT_SECRET": "sandbox",
        "SSL_CERT_FILE": str(trusted),
        "REDIS_URL": f"rediss://{secured.redis}/0?ssl_ca_certs={secured.ours.path}",
        **mutual_tls(secured.kafka, secured.ours, secured.client),
    }
    code, stdout, stderr = run_mirror(folder, env, "doctor", "--json", timeout=60)
    assert "Traceback" not in stderr
    found: list[dict[str, object]] = json.loads(stdout)["findings"]
    return {
        "code": code,
        **next(finding for finding in found if "Genesys" in str(finding["subject"])),
    }


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("right", ""),
        ("foreign CA", "its certificate is not accepted"),
        ("host name", "Hostname mismatch"),
        ("expired", "certificate has expired"),
        ("plain port", "does not speak TLS there"),
    ],
)
def test_genesys_is_verified(
    secured: Secured, plain_org: Simulated, tmp_path: Path, case: str, words: str
) -> None:
    """REST: the right CA signs in, all else is told by `mirror doctor` with exit code 3."""
    url, trusted = secured.org.url, secured.ours.path
    if case == "foreign CA":
        trusted = secured.foreign.path
    elif case == "host name":
        url = url.replace("127.0.0.1", "localhost")
    elif case == "expired":
        url = secured.org_expired.url
    elif case == "plain port":
        url = plain_org.url.replace("http://", "https://")
    found = genesys_findings(secured, tmp_path, url, trusted)
    if case == "right":
        assert found["ok"], found
        return
    assert (found["ok"], found["code"]) == (False, 3)
    assert words in str(found["detail"])
    assert "\n" not in str(found["detail"])


def test_a_channel_s_socket_is_verified(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    """wss: a listener's own handshake trusts the right CA and nobody else."""
    assert secured.org.login().status == 200
    uri = secured.org.channel()["connectUri"]
    assert uri.startswith("wss://")
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.foreign.path))
    with pytest.raises(GenesysUnavailable, match="certificate") as caught:
        open_socket(uri, tls_context(), "test")
    assert uri.rpartition("/")[2] not in str(caught.value)
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.ours.path))
    with pytest.raises(GenesysUnavailable, match="mismatch"):
        open_socket(uri.replace("127.0.0.1", "localhost"), tls_context(), "test")
    sock = open_socket(uri, tls_context(), "test")
    assert isinstance(sock, ssl.SSLSocket)
    sock.close()
