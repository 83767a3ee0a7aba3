"""Kafka, Redis and the simulator behind TLS with a private CA, and what the mirror is told of them.

One broker has listeners for each way in: `MTLS` wants a client certificate, `SASL` a user of SCRAM
or PLAIN, `EXPIRED` shows a certificate whose time is over, `PLAINTEXT` is for the test's own eyes.
An authorizer knows the client by the common name of its certificate; `ROOT` may do everything.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import redis

from harness.kafka import KafkaCluster, KafkaUnavailable
from harness.process import ManagedProcess, free_ports
from harness.redis import RedisServer, RedisUnavailable
from tests.services.availability import unavailable
from tests.services.certificates import Authority, Certificate

ACL = Path(__file__).parents[2] / "deploy" / "redis.acl"
ROOT = "root"
SASL_USER = "sasl-user"
SCRAM_PASSWORD = "scr4m-S3cret-0123"
PLAIN_PASSWORD = "pl41n-S3cret-0123"
_MODULES = "org.apache.kafka.common.security"


@contextmanager
def secure_kafka(folder: Path, authority: Authority) -> Iterator[KafkaCluster]:
    """A broker with all the listeners above, at `cluster.servers[name]`."""
    own, expired = authority.server(), authority.server(expired=True)
    properties: dict[str, object] = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.sasl.plain.sasl.jaas.config": (
            f'{_MODULES}.plain.PlainLoginModule required user_{SASL_USER}="{PLAIN_PASSWORD}";'
        ),
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": (
            f"{_MODULES}.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{ROOT};User:{SASL_USER}",
    }
    for name, certificate in (("mtls", own), ("sasl", own), ("expired", expired)):
        properties |= {
            f"listener.name.{name}.ssl.keystore.type": "PEM",
            f"listener.name.{name}.ssl.keystore.location": certificate.store,
            f"listener.name.{name}.ssl.truststore.type": "PEM",
            f"listener.name.{name}.ssl.truststore.location": authority.path,
        }
    properties["listener.name.mtls.ssl.client.auth"] = "required"
    properties["listener.name.mtls.ssl.principal.mapping.rules"] = "RULE:^CN=([^,]+).*$/$1/"
    scram = f"SCRAM-SHA-512=[name={SASL_USER},password={SCRAM_PASSWORD}]"
    try:
        cluster = KafkaCluster(
            folder,
            properties=properties,
            listeners={"MTLS": "SSL", "SASL": "SASL_SSL", "EXPIRED": "SSL"},
            format_arguments=("--add-scram", scram),
        )
    except KafkaUnavailable as missing:
        unavailable(str(missing))
    with cluster:
        yield cluster


@contextmanager
def secure_redis(
    folder: Path, authority: Authority, certificate: Certificate, *, client_auth: bool
) -> Iterator[str]:
    """Address (`host:port`) of a server that speaks TLS, whose plain port is the test's alone."""
    (port,) = free_ports(1)
    arguments = [
        *("--tls-port", str(port), "--tls-auth-clients", "yes" if client_auth else "no"),
        *("--tls-cert-file", certificate.cert, "--tls-key-file", certificate.key),
        *("--tls-ca-cert-file", authority.path),
    ]
    try:
        # The Valkey of the wheel is built without TLS.
        server = RedisServer(folder, choice="redis", arguments=arguments)
    except RedisUnavailable as missing:
        unavailable(f"{missing}, since the server of the wheel speaks no TLS")
    with server:
        yield f"127.0.0.1:{port}"


class Guarded(NamedTuple):
    """A Redis under deploy/redis.acl; `admin` is the test's own user."""

    server: RedisServer
    admin: redis.Redis
    password: str

    def url(self, user: str) -> str:
        """`REDIS_URL` of a user of the file."""
        return f"redis://{user}:{self.password}@127.0.0.1:{self.server.port}/0"

    def refused(self) -> list[str]:
        """What was refused so far: the command or key, and why."""
        entries = self.admin.acl_log()
        return [f"{entry['username']} {entry['reason']} {entry['object']}" for entry in entries]


@contextmanager
def guarded_redis(folder: Path, password: str, choice: str = "redis") -> Iterator[Guarded]:
    """A server that loads the file as it is, but for passwords and a user for the test."""
    text = ACL.read_text().replace("resetpass", f"resetpass >{password}")
    assert text.count(password) == 2
    assert "user default off\n" in text
    folder.mkdir(parents=True, exist_ok=True)
    users = folder / "users.acl"
    users.write_text(text.replace("user default off", "user default on nopass ~* &* +@all"))
    try:
        server = RedisServer(folder, choice=choice, arguments=("--aclfile", users))
    except RedisUnavailable as missing:
        unavailable(str(missing))
    with server, server.client() as admin:
        yield Guarded(server, admin, password)


def mutual_tls(
    cluster: KafkaCluster, authority: Authority, client: Certificate
) -> dict[str, str | None]:
    """Settings of a client of the listener `MTLS`, PEM in variables."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": cluster.servers["MTLS"],
        "KAFKA_SECURITY_PROTOCOL": "ssl",
        "KAFKA_TRUSTED_CERT": authority.pem,
        "KAFKA_CLIENT_CERT": client.cert_pem,
        "KAFKA_CLIENT_CERT_KEY": client.key_pem,
    }


def run_mirror(
    folder: Path, env: Mapping[str, str | None], *arguments: str, timeout: float = 30.0
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command, whose files lie somewhere below `folder`."""
    own = folder / f"command-{uuid.uuid4().hex[:8]}"
    own.mkdir(parents=True)
    process = ManagedProcess.mirror(*arguments, folder=own, env=env)
    with process:
        code = process.wait(timeout)
    return code, process.stdout, process.stderr
