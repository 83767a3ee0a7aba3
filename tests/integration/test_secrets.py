"""No secret is in anything that people, files or Prometheus see.

Every process and command runs at debug level with secrets that the test can recognise. Some of the
work succeeds and some fails. Then all output is searched, byte by byte. Personal data has a test of
its own. Redis is not searched: it holds the handles of released channels on purpose.
"""

from __future__ import annotations

import base64
import json
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from harness.kafka import KafkaCluster
from harness.kafka_topics import read_topic
from harness.pages import ask
from harness.process import ManagedProcess, free_ports, wait_until
from harness.simulated import Simulated, simulated
from tests.integration.secure_support import (
    SASL_USER,
    SCRAM_PASSWORD,
    guarded_redis,
    run_mirror,
)
from tests.services.certificates import Authority

CLIENT, CLIENT_SECRET = "visible-client", "cl13nt+S3cret/0123="
REDIS_PASSWORD = "r3dis-S3cret-0123"
REGISTRY_SECRET = "registry-S3cret-4567"
PII_KEY = "p11-S3cret-0123456789"
DASHBOARD_TOKEN = "d4shboard-S3cret-0123456789"
WRONG = "wr0ng-S3cret-0123"
PROCESSES = ("coordinator", "listeners", "janitor", "dashboard")
STREAM_BYTES = 20_000
PARALLEL = 4
TROUBLE: tuple[dict[str, object], ...] = (
    {"fault": "garbage"},
    {"fault": "rest", "path": "*", "status": 500, "seconds": 2},
    # By number, since a listener that waits for REST may knock only later than any given time.
    {"fault": "handshake", "status": 500, "count": 3},
    {"fault": "drop"},
    {"fault": "revoke"},
)
Change = dict[str, str | None]
SASL: Change = {
    "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": SASL_USER,
}
COMMON: Change = {
    "GENESYS_CLIENTS": f"{CLIENT}:{CLIENT_SECRET}",
    **SASL,
    "KAFKA_SASL_PASSWORD": SCRAM_PASSWORD,
    "KAFKA_CONF_DEBUG": "all",
    "KAFKA_PREFIX": "secrets.",  # the cluster serves other tests
    "MIRROR_PII": "hash",
    "MIRROR_PII_KEY": PII_KEY,
    "MIRROR_PARTITIONS": "2",
    "MIRROR_STARTUP_TIMEOUT": "10s",
    "MIRROR_HEARTBEAT": "500ms",
    "MIRROR_LEASE": "2s",
    "MIRROR_JANITOR_INTERVAL": "1s",
    "MIRROR_ZOMBIE_AFTER": "1s",
    "MIRROR_DASHBOARD_TOKEN": DASHBOARD_TOKEN,
    "MIRROR_LOG_LEVEL": "debug",
}
COMMANDS = (
    ("init",),
    ("doctor",),
    ("doctor", "--json"),
    ("doctor", "--settings"),
    ("status",),
    ("status", "--json"),
    ("channels",),
    ("channels", "--json"),
    ("conversations",),
    ("gaps",),
    ("dlq", "list"),
    ("tail", "--from", "beginning", "--limit", "5", "--json"),
)


@contextmanager
def login_host(org: Simulated, tokens: set[str]) -> Iterator[str]:
    """A login host of its own, which hands on to the org's and remembers what it gave."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = urllib.request.Request(org.url + self.path, data=body)
            request.add_header("Authorization", self.headers["Authorization"])
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    status, content = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    status, content = error.code, error.read()
            if status == 200:
                tokens.add(json.loads(content)["access_token"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Ears:
    """Collects what is said, and searches it."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def hear(self, who: str, *texts: str) -> None:
        """Keep what `who` said."""
        self.said[who] = self.said.get(who, "") + "\n".join(texts)

    def find(self, secrets: dict[str, str]) -> list[str]:
        """Who gave which secret away, as it is, percent-encoded, or in a Basic header."""
        found = []
        for name, secret in secrets.items():
            pair = base64.b64encode(f"{CLIENT}:{secret}".encode()).decode()
            forms = {secret, quote(secret), quote(secret, safe=""), pair}
            found += [
                f"{who} tells the {name}"
                for who, text in self.said.items()
                if any(form in text for form in forms)
            ]
        return found


def failures(redis_url: str, key: str) -> list[tuple[tuple[str, ...], int | None, Change]]:
    """Commands that cannot work, each with a secret in what is wrong, and their exit codes."""
    status, init, doctor = ("status",), ("init",), ("doctor",)
    registry = {"SCHEMA_REGISTRY_KEY": "me", "SCHEMA_REGISTRY_SECRET": REGISTRY_SECRET}
    return [
        (status, 3, {"REDIS_URL": redis_url.replace(REDIS_PASSWORD, WRONG)}),
        (status, 3, {"REDIS_URL": f"redis://mirror:{REDIS_PASSWORD}@127.0.0.1:9/0"}),
        (status, 3, {"REDIS_URL": redis_url.replace("redis://", "rediss://")}),
        (status, 2, {"REDIS_URL": f"redis://mirror:{REDIS_PASSWORD}/x@127.0.0.1/0"}),
        (status, 2, {"REDIS_URL": f"redis://h/0?password={REDIS_PASSWORD}"}),
        (init, 3, {"KAFKA_SASL_PASSWORD": WRONG}),
        (init, 2, {"KAFKA_TRUSTED_CERT": key}),
        (init, 2, {"KAFKA_CLIENT_CERT_KEY": key[:60]}),
        (doctor, None, {"GENESYS_CLIENTS": f"{CLIENT}:{WRONG}"}),
        (doctor, 2, {"GENESYS_CLIENTS": CLIENT_SECRET}),
        (doctor, 2, {"GENESYS_API_URL": f"https://u:{CLIENT_SECRET}@host"}),
        (doctor, None, {"SCHEMA_REGISTRY_URL": "http://127.0.0.1:9", **registry}),
        (doctor, 2, {"SCHEMA_REGISTRY_URL": f"http://me:{REGISTRY_SECRET}@127.0.0.1:9"}),
        (("listener",), 3, {"SCHEMA_REGISTRY_URL": "http://127.0.0.1:9", **registry}),
        (("janitor",), 3, {"GENESYS_CLIENTS": f"{CLIENT}:{WRONG}"}),
    ]


def dashboard_pages(port: int) -> Iterator[str]:
    """What the dashboard shows to somebody who has signed in, and to somebody who cannot."""
    for token in (DASHBOARD_TOKEN, WRONG):
        for path in ("/", "/login", "/api/conversations", "/stream"):
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
            request.add_header("Authorization", f"Bearer {token}")
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    content = b""
                    while len(content) < STREAM_BYTES and (more := answer.read1()):
                        content += more
            except urllib.error.HTTPError as error:
                with error:
                    content = error.read()
            yield f"{path} {content.decode()}"


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Simulated]:
    """A busy org with the client of these tests."""
    options = ("--client", f"{CLIENT}:{CLIENT_SECRET}", "--users", "5", "--queues", "1")
    busy = ("--rate", "5", "--speed", "20", "--heartbeat", "1")
    with simulated(tmp_path / "org", *options, *busy, login=False) as org:
        yield org


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_secret_is_told_on_any_path(
    org: Simulated, authority: Authority, secure_cluster: KafkaCluster, tmp_path: Path
) -> None:
    """Good work, lost sockets, revoked tokens, 5xx, Redis gone, wrong credentials: silence."""
    kafka = secure_cluster
    client = authority.client("unused")
    ears, tokens, channels = Ears(), set[str](), set[str]()
    with ExitStack() as stack:
        guarded = stack.enter_context(guarded_redis(tmp_path / "redis", REDIS_PASSWORD))
        login_url = stack.enter_context(login_host(org, tokens))
        env = COMMON | {
            "GENESYS_API_URL": org.url,
            "GENESYS_LOGIN_URL": login_url,
            "REDIS_URL": guarded.url("mirror"),
            "KAFKA_BOOTSTRAP_SERVERS": kafka.servers["SASL"],
            "KAFKA_TRUSTED_CERT": authority.pem,
            "KAFKA_CLIENT_CERT": client.cert_pem,
            "KAFKA_CLIENT_CERT_KEY": client.key_pem,
            "MIRROR_SPOOL_DIR": str(tmp_path / "spool"),
        }

        def command(*arguments: str, code: int | None = 0, **more: str | None) -> None:
            ended, stdout, stderr = run_mirror(tmp_path, env | more, *arguments)
            assert code is None or ended == code, f"{ended}\n{stdout}\n{stderr}"
            ears.hear(f"mirror {' '.join(arguments)} {sorted(more)} → {ended}", stdout, stderr)

        command("init")
        ports = dict(zip(PROCESSES, free_ports(len(PROCESSES)), strict=True))
        (web,) = free_ports(1)
        env |= {"MIRROR_DASHBOARD_PORT": str(web)}
        processes = {
            module: stack.enter_context(
                ManagedProcess.python_module(
                    module, folder=tmp_path, env=env | {"MIRROR_METRICS_PORT": str(port)}
                )
            )
            for module, port in ports.items()
        }

        def produced(more_than: int) -> bool:
            records = read_topic(kafka.bootstrap_servers, "secrets.genesys-interactions")
            return len(records) > more_than

        def notice_channels() -> int:
            channels.update(channel["id"] for channel in org.get("/_sim/channels")["channels"])
            return len(channels)

        wait_until(lambda: produced(20), 40.0, "events", interval=0.5)
        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(lambda arguments: command(*arguments), COMMANDS))
        notice_channels()

        # Everything that can go wrong while they run.
        for fault in TROUBLE:
            org.fault(**fault)
        listener = processes["listeners"]
        wait_until(lambda: "channel_open_failed" in listener.stderr, 40.0, "a failed handshake")
        guarded.server.kill()
        wait_until(lambda: "redis_unavailable" in listener.stderr, 20.0, "a lost Redis")
        command("status", code=3)
        guarded.server.start()
        wait_until(lambda: notice_channels() > 1, 20.0, "a new channel under a new token")
        ears.hear("the dashboard's pages", *dashboard_pages(web))
        for module, port in ports.items():
            ears.hear(
                f"pages of {module}", *(ask(port, path)[1] for path in ("/metrics", "/healthz"))
            )

        with ThreadPoolExecutor(PARALLEL) as pool:
            cases = failures(guarded.url("mirror"), client.key_pem)
            quick = {"MIRROR_STARTUP_TIMEOUT": "1s"}
            list(pool.map(lambda case: command(*case[0], code=case[1], **quick, **case[2]), cases))
        for process in processes.values():
            process.send(signal.SIGTERM)
        for process in processes.values():
            process.wait(30.0)
            ears.hear(process.name, process.stdout, process.stderr)

    assert len(tokens) > 3
    secrets = {
        "client secret": CLIENT_SECRET,
        "Redis password": REDIS_PASSWORD,
        "Kafka password": SCRAM_PASSWORD,
        "registry's password": REGISTRY_SECRET,
        "PII key": PII_KEY,
        "dashboard's token": DASHBOARD_TOKEN,
        "wrong password": WRONG,
        "line of a private key": client.key_pem.splitlines()[1],
        **{f"token {number}": token for number, token in enumerate(tokens)},
        **{f"channel {number}": channel for number, channel in enumerate(channels)},
    }
    # The search can fail: what is public is found, and at debug level there is much to search.
    assert "listeners" in ears.said["the dashboard's pages"]
    assert ears.find({"client's name": CLIENT}) != []
    assert "genesys_call" in ears.said["listeners"]
    assert "kafka_client_log" in ears.said["listeners"]
    assert len(ears.said["listeners"]) > 10_000
    assert ears.find(secrets) == []


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("GENESYS_CLIENT_SECRET", CLIENT_SECRET),
        ("GENESYS_CLIENTS", f"{CLIENT}:{CLIENT_SECRET}"),
        ("REDIS_URL", f"redis://mirror:{REDIS_PASSWORD}@127.0.0.1:9/0"),
        ("KAFKA_SASL_PASSWORD", SCRAM_PASSWORD),
        ("MIRROR_PII_KEY", PII_KEY),
        ("SCHEMA_REGISTRY_SECRET", REGISTRY_SECRET),
    ],
)
def test_a_secret_from_a_file_is_in_force_and_masked(
    tmp_path: Path, name: str, secret: str
) -> None:
    """<NAME>_FILE: `mirror doctor --settings` shows that it is set, and not what it is."""
    (tmp_path / "secret").write_text(secret + "\n")
    env: dict[str, str | None] = {
        f"{name}_FILE": str(tmp_path / "secret"),
        "GENESYS_CLIENT_ID": CLIENT if name == "GENESYS_CLIENT_SECRET" else None,
        "SCHEMA_REGISTRY_URL": "http://127.0.0.1:9" if name == "SCHEMA_REGISTRY_SECRET" else None,
        "SCHEMA_REGISTRY_KEY": "me" if name == "SCHEMA_REGISTRY_SECRET" else None,
        **(SASL if name == "KAFKA_SASL_PASSWORD" else {}),
    }
    code, stdout, stderr = run_mirror(tmp_path, env, "doctor", "--settings")
    assert (code, stderr) == (0, "")
    (line,) = (printed for printed in stdout.splitlines() if printed.startswith(f"{name}="))
    assert "***" in line
    ears = Ears()
    ears.hear("doctor", stdout)
    password = secret.rpartition(":")[2] if name != "REDIS_URL" else REDIS_PASSWORD
    assert ears.find({name: password}) == []
