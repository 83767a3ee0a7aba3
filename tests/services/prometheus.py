"""A real Prometheus for tests: scrapes what it is told every half second and answers queries."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from harness.process import ManagedProcess, free_ports, wait_until
from tests.services.availability import unavailable

SCRAPE_MS = 500
READY_SECONDS = 20.0
CURE = "install Prometheus (Debian: prometheus, which brings promtool)"


def program(name: str) -> str:
    """Where `prometheus` or `promtool` is; skips the test where it is not."""
    found = shutil.which(name)
    if found is None:
        unavailable(f"no {name}: {CURE}")
    return found


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool and return what it said."""
    words = [program("promtool"), *(str(argument) for argument in arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


class Prometheus:
    """One server on loopback; a context manager that ends it."""

    def __init__(self, folder: Path, ports: Sequence[int], rules: Path) -> None:
        """Scrapes `ports` of this machine as the job `mirror`."""
        self.url = f"http://127.0.0.1:{free_ports(1)[0]}"
        targets = [f"127.0.0.1:{port}" for port in ports]
        config = {
            "global": {
                "scrape_interval": f"{SCRAPE_MS}ms",
                "scrape_timeout": f"{SCRAPE_MS}ms",
                "evaluation_interval": "1s",
            },
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "mirror", "static_configs": [{"targets": targets}]}],
        }
        path = folder / "prometheus.json"  # JSON is YAML
        path.write_text(json.dumps(config), encoding="utf-8")
        argv = [
            program("prometheus"),
            f"--config.file={path}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]
        self.process = ManagedProcess(argv, folder, name="prometheus")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The vector that an expression gives now; fails where Prometheus does not take it."""
        words = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{words}", timeout=10) as response:
            answer = json.load(response)
        assert answer["status"] == "success", (expression, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def __enter__(self) -> Self:
        self.process.start()
        wait_until(self._ready, READY_SECONDS, "Prometheus is ready")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            return False
