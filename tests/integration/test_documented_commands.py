"""Every `mirror …` that README and docs show is run, on a mirror at work, as it stands there.

Those that start processes are run by tests of their own (test_sandbox, test_supervise, test_honcho,
test_dashboard, test_projector, test_simulator_protocol).
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from harness.deployment import Deployment
from harness.process import ManagedProcess, wait_until
from tests.integration.small_mirror import small_mirror
from tests.unit.deploy.documented import commands, filled

COMMAND_SECONDS = 180.0  # a backfill reads all that the mirror has seen, twice
CHANGING = {"drain", "undrain", "rebalance", "backfill", "rotate"}  # in the order of the alphabet
# Those that run until they are ended; `projector` also rebuilds, which tests of its own show.
PROCESSES = {
    *("up", "sandbox", "simulator", "dashboard", "listener", "coordinator", "janitor", "projector"),
}
# Of a mirror on one machine something is found; garbage stays garbage; partitions are adopted only
# while nothing runs. All others end with 0.
MAY_FAIL = {
    *("mirror doctor", "mirror dlq retry", "mirror init --adopt-partitions"),
    "mirror rotate",  # a drain before it may have taken the channel away
}


def documented() -> list[tuple[str, ...]]:
    """Each once, whatever page it stands on; what reads before what changes."""
    found = {tuple(c.words[1:]) for c in commands() if c.words[0] == "mirror"}
    return sorted(
        (words for words in found if words[0] not in PROCESSES),
        key=lambda words: (words[0] in CHANGING, words),
    )


def values(mirror: Deployment) -> dict[str, str]:
    """What stands where the pages have a placeholder."""
    status = json.loads(mirror.command("status", "--json")[0])
    letters = json.loads(mirror.command("dlq", "list", "--json")[0])
    found = json.loads(mirror.command("conversations", "--json")[0])
    return {
        "LISTENER": status["listeners"][0]["id"],
        "CHANNEL": status["shards"][0]["replicas"][0]["channel"],
        "LETTER": letters["dead_letters"][0]["id"],
        "ID": found["conversations"][0]["id"],
    }


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_what_the_pages_show_works(kafka: str, tmp_path: Path) -> None:
    """Each ends well, by itself or when it is interrupted, and says what it did."""
    with (
        small_mirror(tmp_path, kafka, {"MIRROR_ZOMBIE_AFTER": "1h"}, "--rate", "2") as mirror,
        ManagedProcess.mirror("projector", folder=tmp_path, env=mirror.env, name="projector"),
    ):
        mirror.org.fault(fault="noise", kind="not_json", share=0.5)
        mirror.org.post("/_sim/control", {"action": "start"})
        wait_until(
            lambda: mirror.records(mirror.env["MIRROR_DEAD_LETTER_TOPIC"]), 40.0, "a dead letter"
        )
        mirror.org.call("DELETE", "/_sim/faults")
        active = lambda: json.loads(mirror.command("conversations", "--json")[0])["conversations"]  # noqa: E731
        wait_until(active, 40.0, "an active conversation", interval=0.5)
        real = values(mirror)
        ran = []
        for words in documented():
            arguments = filled(words, real)
            if words[0] in CHANGING:
                mirror.org.post("/_sim/control", {"action": "stop"})  # each backfill reads it all
            if words[0] == "tail":
                listen(mirror, arguments)
            else:
                process = run(mirror, arguments)
                codes = {0, 1} if " ".join(("mirror", *words)).startswith(tuple(MAY_FAIL)) else {0}
                assert process.returncode in codes, process.describe(f"mirror {arguments}")
                said = process.stdout + process.stderr
                assert said, process.describe(f"mirror {arguments} says nothing")
                assert "Traceback" not in said
            ran.append(words[0])
        assert {"status", "doctor", "dlq", "drain", "backfill", "tail"} <= set(ran)


def run(mirror: Deployment, arguments: list[str]) -> ManagedProcess:
    """A command to its end."""
    name = "-".join(
        ("documented", *(argument.strip("-").replace("/", "") for argument in arguments))
    )[:80]
    process = ManagedProcess.mirror(*arguments, folder=mirror.folder, env=mirror.env, name=name)
    with process:
        process.wait(COMMAND_SECONDS)
    return process


def listen(mirror: Deployment, arguments: list[str]) -> None:
    """`tail` shows events until it is interrupted."""
    name = "-".join(("documented", *arguments))
    with ManagedProcess.mirror(*arguments, folder=mirror.folder, env=mirror.env, name=name) as tail:
        wait_until(lambda: tail.stdout.count("\n") > 1, 30.0, "events")
        tail.send(signal.SIGINT)
        assert tail.wait(15.0) == 130, tail.describe("tail")
