"""`honcho start` runs the Procfile: the same processes as supervisord, by the same settings."""

from __future__ import annotations

import os
import re
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

from harness.kafka_topics import read_topic
from harness.process import ManagedProcess, free_ports, wait_until
from harness.simulated import simulated
from mirror.kafka.admin import ensure_topics
from mirror.settings import load

ROOT = Path(__file__).parents[2]
STARTED = ("listener", "coordinator", "janitor", "projector")


def documented() -> list[str]:
    """The processes that docs/deployment.md names; the release line would end all of them."""
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    found = re.search(r"honcho start((?: [a-z]+)+)$", text, re.MULTILINE)
    assert found
    return found[1].split()


@pytest.mark.slow
def test_honcho_starts_the_procfile(
    tmp_path: Path, kafka: str, redis_url: str, topic_name: str
) -> None:
    """Real Redis, Kafka and honcho: every process of the Procfile starts, the page answers, an
    event arrives, and SIGTERM ends all of it in order."""
    pytest.importorskip("honcho", reason="part of the extra 'dev'")
    (page,) = free_ports(1)
    with simulated(tmp_path, "--users", "6", "--rate", "5", "--speed", "10") as sim:
        environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "REDIS_URL": redis_url,
            "GENESYS_API_URL": sim.url,
            "GENESYS_CLIENTS": f"{sim.client}:{sim.secret}",
            "MIRROR_TOPIC": topic_name,
            "MIRROR_DEAD_LETTER_TOPIC": f"{topic_name}.dlq",
            "MIRROR_ONCE_TOPIC": f"{topic_name}.once",
            "MIRROR_CONVERSATIONS_TOPIC": f"{topic_name}.conversations",
            "MIRROR_NAMESPACE": topic_name,
            "MIRROR_DASHBOARD_HOST": "127.0.0.1",
            "MIRROR_DASHBOARD_PORT": str(page),
        }
        ensure_topics(load(environ))
        processes = documented()
        assert sorted(processes) == sorted(["web", *STARTED])
        argv = [sys.executable, "-m", "honcho", "start", "-f", str(ROOT / "Procfile"), *processes]
        with ManagedProcess(
            argv, tmp_path, name="honcho", env={**environ}, clean_env=True, cwd=ROOT
        ) as honcho:
            for name in STARTED:
                line = f'"process": "{name}", "part": "{name}"'
                honcho.wait_for(
                    lambda line=line: any(  # type: ignore[misc] # mypy cannot infer the default's
                        line in said and '"started"' in said for said in honcho.stdout.splitlines()
                    ),
                    40,
                    f"{name} started",
                )
            wait_until(lambda: _answers(page), 20, "the page answers")
            read_topic(kafka, topic_name, count=1, timeout=30)
            honcho.send(signal.SIGTERM)
            honcho.wait(40)
            assert "Traceback" not in honcho.stdout
            for name in STARTED:
                assert f'"process": "{name}"' in honcho.stdout
                assert '"stopped"' in honcho.stdout


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
