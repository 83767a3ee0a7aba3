"""The documented role and nothing more: enough for a whole mirror, and what is missing is named.

The simulator gives a client the documented role only, and enforces it for each endpoint, topic and
division.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.deployment import Deployment
from harness.process import ManagedProcess, wait_until
from harness.simulated import Simulated, simulated
from mirror.base.errors import GenesysRefused
from mirror.checks.finding import Finding
from mirror.checks.genesys import check_genesys
from mirror.genesys.client import GenesysClient
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.settings import OAuthClient, load
from tests.integration.small_mirror import CLIENT, SECRET, small_mirror

SECONDS = 40.0
TWO = {"GENESYS_CLIENTS": f"{CLIENT}:{SECRET},q:q", "MIRROR_DISCOVERY_INTERVAL": "1s"}
BUSY = ("--rate", "4", "--speed", "20", "--autostart")
#: Role of a client → what is missing, the family of doctor's lines, and what Genesys says.
LACKING = {
    "no-queues": ("-routing:queue:view", "queues", "routing:queue:view"),
    "no-talk": (
        "-conversation:communication:view",
        "conversations",
        "conversation:communication:view",
    ),
    "no-numbers": (
        "-analytics:conversationDetail:view",
        "analytics",
        "analytics:conversationDetail:view, analytics:agentConversationDetail:view",
    ),
}


def status(mirror: Deployment) -> dict[str, Any]:
    """What `mirror status --json` says."""
    out, _ = mirror.command("status", "--json")
    found: dict[str, Any] = json.loads(out)
    return found


def settled(mirror: Deployment, channels: int) -> dict[str, Any]:
    """The status once all is well on so many channels."""
    deadline = time.monotonic() + SECONDS
    while True:
        told = status(mirror)
        live = [
            channel
            for channel in mirror.org.get("/_sim/channels")["channels"]
            if channel["connected"]
        ]
        if told["health"] == "ok" and len(live) == channels:
            return told
        assert time.monotonic() < deadline, (len(live), json.dumps(told, indent=1)[:4000])
        time.sleep(0.3)


def clients_of(mirror: Deployment) -> dict[tuple[str, ...], set[str]]:
    """The clients that a shard is for → those that hold its channels."""
    shards = {shard["id"]: shard for shard in status(mirror)["shards"]}
    found = {}
    for shard_id, shard in shards.items():
        stored = json.loads(
            mirror.redis.get(Keys(mirror.env["MIRROR_NAMESPACE"]).shard(shard_id))  # type: ignore[arg-type]
        )
        found[tuple(stored["clients"])] = {replica["client"] for replica in shard["replicas"]}
    return found


def told_all(mirror: Deployment) -> None:
    """Every conversation whose end Genesys sent to a socket is in Kafka, ended."""
    mirror.org.drain()
    ended = {
        record["conversation_id"]
        for record in mirror.org.ledger()
        if record["event_type"] == "end" and record["first_sent_ms"]
    }
    assert len(ended) > 5

    def told() -> bool:
        return ended <= {
            event.conversation_id for event in mirror.events() if event.event_type == "end"
        }

    wait_until(told, SECONDS, "the end of every conversation is in Kafka")


def test_the_documented_role_is_enough(tmp_path: Path, kafka: str) -> None:
    """`mirror doctor` finds nothing, exit code 0; every ended conversation is in Kafka; and no
    call of any process was refused."""
    with small_mirror(tmp_path, kafka, {"MIRROR_PARTITIONS": "3"}, *BUSY) as mirror:
        out, _ = mirror.command("doctor")
        text = out.decode()
        assert "✗" not in text, text
        assert "queues, users, analytics, conversations" in text
        settled(mirror, 2)
        told_all(mirror)
        for name, process in mirror.processes.items():
            calls = [
                json.loads(line) for line in process.stderr.splitlines() if "genesys_call" in line
            ]
            refused = [call for call in calls if call.get("status") in {401, 403}]
            assert refused == [], name


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """An org with a client for each right that is missing, and some with other grants."""
    options = ["--no-autostart", "--queues", "6", "--users", "6", "--divisions", "3"]
    for name, (role, _, _) in LACKING.items():
        options += ["--client", f"{name}:s", "--role", f"{name}={role}"]
    for name, grant in (("one", "1"), ("two", "1,2"), ("nowhere", "")):
        options += ["--client", f"{name}:s", "--grant", f"{name}={grant}"]
    options += ["--client", "searching:s"]
    options += ["--role", "searching=-routing:queue:view,+routing:queue:search"]
    with simulated(tmp_path_factory.mktemp("org"), *options, login=False) as org:
        yield org


def findings(org: Simulated, redis_url: str, clients: str, **more: str) -> list[Finding]:
    """What doctor finds of Genesys."""
    env = {"GENESYS_API_URL": org.url, "GENESYS_CLIENTS": clients, "REDIS_URL": redis_url}
    return list(check_genesys(load({**env, "MIRROR_NAMESPACE": str(time.time_ns()), **more})))


@pytest.mark.parametrize("name", LACKING)
def test_each_missing_right_is_named_in_genesys_words(
    org: Simulated, redis_url: str, name: str
) -> None:
    """One ✗, with the permission and the correlation id, and the role as its cure."""
    _, topics, permission = LACKING[name]
    (found,) = [finding for finding in findings(org, redis_url, f"{name}:s") if not finding.ok]
    assert found.check == "genesys.permissions"
    assert found.subject == f"Genesys client {name} {topics}"
    assert "Unable to perform the requested action" in found.detail
    assert permission in found.detail
    assert "correlation id" in found.detail
    assert "docs/permissions.md" in found.cure


def test_a_role_that_may_only_search_queues_lists_them_too(org: Simulated) -> None:
    """The other listing is read where the first is refused, from then on."""
    settings = load({"GENESYS_API_URL": org.url})
    client = GenesysClient(
        settings, OAuthClient("searching", "s"), RateBudget(None, Keys("test"), "searching")
    )
    for _ in range(2):
        assert client.queues(1).total == 6
    requests = org.get("/_sim/stats")["requests"]
    assert requests["GET /api/v2/routing/queues/divisionviews/all"] >= 2
    nobody = GenesysClient(
        settings, OAuthClient("no-queues", "s"), RateBudget(None, Keys("test"), "no-queues")
    )
    for _ in range(2):
        with pytest.raises(GenesysRefused, match=r"permission\(s\): routing:queue:view"):
            nobody.queues(1)


@pytest.mark.parametrize("answer", [400, 401])
def test_wrong_credentials_are_named_with_their_cure(
    org: Simulated, redis_url: str, answer: int
) -> None:
    """Whichever status Genesys gives them; an IP allow-list can be the cause."""
    org.post("/_sim/control", {"quirks": {"login_failure": answer}})
    (found,) = [finding for finding in findings(org, redis_url, "one:wr0ng") if not finding.ok]
    assert found.check == "genesys.token"
    assert "invalid_client" in found.detail
    assert "The client credentials are invalid" in found.detail
    assert "IP allow-list" in found.cure
    assert "wr0ng" not in found.detail


def test_what_clients_see_alone_and_filters_that_match_nothing(
    org: Simulated, redis_url: str
) -> None:
    """Doctor lists with each client; only what must be fixed is an ✗."""
    found = findings(org, redis_url, "one:s,two:s", MIRROR_QUEUES="Queue*,Support")
    assert [finding.detail for finding in found if not finding.ok] == [
        "'Support' matches none of 4 queues (the whole filter selects 4)"
    ]
    lonely = [finding for finding in found if finding.level == "doubtful"]
    assert [finding.subject for finding in lonely] == [
        "Genesys client two queues",
        "Genesys client two users",
    ]
    assert "2 of 4 are seen by this client alone" in lonely[0].detail


def test_a_role_that_is_granted_nowhere(org: Simulated, redis_url: str) -> None:
    """It is refused what needs a right, and lists no user."""
    ill = [finding for finding in findings(org, redis_url, "nowhere:s") if not finding.ok]
    assert {finding.check for finding in ill} == {"genesys.permissions", "genesys.visible"}


def test_what_is_of_other_divisions_is_kept_from_a_client(org: Simulated) -> None:
    """Not listed; topics Rejected with the permissions that are missing; conversations unknown."""
    org.login("two", "s")
    everything = {
        entity["id"] for entity in org.get("/api/v2/routing/queues?pageSize=100")["entities"]
    }
    order = {"action": "spawn", "scenario": "inbound_call", "count": 6}
    ids = org.post("/_sim/control", order)["conversation_ids"]
    seen = [org.call("GET", f"/api/v2/conversations/{id_}").status for id_ in ids]
    org.login("one", "s")
    assert len(everything) == 4
    mine = {entity["id"] for entity in org.get("/api/v2/routing/queues?pageSize=100")["entities"]}
    assert len(mine) == 2
    assert mine < everything
    other = min(everything - mine)
    assert org.call("GET", f"/api/v2/routing/queues/{other}").status == 404
    topics = [f"v2.routing.queues.{queue_id}.conversations" for queue_id in (min(mine), other)]
    answer = org.subscribe(org.channel()["id"], topics, "?ignoreErrors=true").body["entities"]
    assert {entry["id"]: entry["state"] for entry in answer} == {
        topics[0]: "Permitted",
        topics[1]: "Rejected",
    }
    rejected = next(entry for entry in answer if entry["state"] == "Rejected")
    assert "routing:queue:view" in rejected["missingPermissions"]
    assert {*seen, *(org.call("GET", f"/api/v2/conversations/{id_}").status for id_ in ids)} <= {
        200,
        404,
    }
    org.post("/_sim/control", {"grants": {"one": "99"}})  # a division that has nothing
    for status, code in ((404, "not.found"), (403, "not.authorized")):
        org.post("/_sim/control", {"quirks": {"hidden_conversation": status}})
        hidden = org.call("GET", f"/api/v2/conversations/{ids[0]}")
        assert (hidden.status, hidden.body["code"]) == (status, code)
    query = {"interval": "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z"}
    assert org.call("POST", "/api/v2/analytics/conversations/details/query", query).status == 200


@pytest.mark.parametrize(
    ("grants", "audiences"),
    [
        pytest.param(("1", "2"), {(CLIENT,): {CLIENT}, ("q",): {"q"}}, id="disjoint divisions"),
        pytest.param(
            ("1,2", "2,3"),
            {(CLIENT,): {CLIENT}, ("q",): {"q"}, (): {CLIENT, "q"}},
            id="overlapping divisions",
        ),
    ],
)
def test_clients_of_different_divisions_mirror_the_union(
    tmp_path: Path,
    kafka: str,
    grants: tuple[str, str],
    audiences: dict[tuple[str, ...], set[str]],
) -> None:
    """Every topic on clients that may see it, on two where two may; nothing moves from discovery
    to discovery; what one sees alone is a note; and no conversation is missed."""
    rights = ["--divisions", "2" if len(audiences) == 2 else "3", "--client", "q:q"]
    rights += ["--grant", f"{CLIENT}={grants[0]}", "--grant", f"q={grants[1]}"]
    with small_mirror(tmp_path, kafka, TWO, *rights, *BUSY, "--queues", "6") as mirror:
        told = settled(mirror, 2 * len(audiences))
        assert sum(shard["topics"] for shard in told["shards"]) == 18
        assert not any(shard["rejected"] for shard in told["shards"])
        assert clients_of(mirror) == audiences
        assert len([note for note in told["notes"] if "alone" in note]) == 4
        before = {channel["id"] for channel in mirror.org.get("/_sim/channels")["channels"]}
        asked = mirror.org.get("/_sim/stats")["requests"]["GET /api/v2/routing/queues"]

        def listed() -> int:
            requests: dict[str, int] = mirror.org.get("/_sim/stats")["requests"]
            return requests["GET /api/v2/routing/queues"]

        wait_until(lambda: listed() >= asked + 8, SECONDS, "several discoveries")
        after = {channel["id"] for channel in mirror.org.get("/_sim/channels")["channels"]}
        assert after == before
        told_all(mirror)
        assert mirror.org.get("/_sim/violations")["counts"].get("channel_evicted", 0) == 0


def test_users_that_a_client_lists_and_is_refused_go_to_the_other(
    tmp_path: Path, kafka: str
) -> None:
    """Genesys lists users whatever their division, and refuses the topics: they find their client,
    and nothing is refused any more."""
    rights = ["--divisions", "2", "--client", "q:q", "--quirk", "users_by_division=false"]
    rights += ["--grant", f"{CLIENT}=1", "--grant", "q=2"]
    settings = TWO | {"MIRROR_SUBSCRIBE": "users"}
    with small_mirror(tmp_path, kafka, settings, *rights, *BUSY) as mirror:
        told = settled(mirror, 4)
        assert sum(shard["topics"] for shard in told["shards"]) == 12
        assert clients_of(mirror) == {(CLIENT,): {CLIENT}, ("q",): {"q"}}
        told_all(mirror)


def test_a_right_that_is_missing_is_a_reason_and_takes_nothing_else_down(
    tmp_path: Path, kafka: str
) -> None:
    """Users are mirrored while queues cannot be listed; status says which permission is missing,
    and the log too; once it is given, queues come by themselves."""
    lacking = ("--role", f"{CLIENT}=-routing:queue:view")
    settings = {"MIRROR_DISCOVERY_INTERVAL": "2s"}
    with small_mirror(tmp_path, kafka, settings, *lacking, *BUSY) as mirror:
        wait_until(lambda: bool(status(mirror)["shards"]), SECONDS, "users are mirrored")
        told = status(mirror)
        assert told["health"] == "degraded"
        (reason,) = [reason for reason in told["reasons"] if reason.startswith("discovery:")]
        assert "queues cannot be listed" in reason
        assert "permission(s): routing:queue:view" in reason
        assert any(
            "routing:queue:view" in reason for reason in mirror.health("coordinator")["reasons"]
        )
        assert "permission(s): routing:queue:view" in mirror.processes["coordinator"].stderr
        assert [shard["topics"] for shard in told["shards"]] == [12]
        mirror.org.post("/_sim/control", {"roles": {CLIENT: "+routing:queue:view"}})
        assert sum(shard["topics"] for shard in settled(mirror, 2)["shards"]) == 14
        told_all(mirror)


def test_a_listing_that_is_empty_in_the_second_of_an_election(tmp_path: Path, kafka: str) -> None:
    """Nobody leads, Genesys lists nothing, another coordinator is elected: no channel is closed,
    the doubt is told, and all is well once Genesys is."""
    settings = {"MIRROR_DISCOVERY_INTERVAL": "2s"}
    with small_mirror(tmp_path, kafka, settings, *BUSY) as mirror:
        settled(mirror, 2)
        before = {
            channel["id"]: channel["topics"]
            for channel in mirror.org.get("/_sim/channels")["channels"]
        }
        mirror.processes["coordinator"].kill()
        mirror.org.post("/_sim/control", {"grants": {CLIENT: "9"}})
        with ManagedProcess.python_module(
            "coordinator", folder=tmp_path, name="second", env=mirror.env
        ) as second:
            second.wait_for(lambda: "discovery_suspicious" in second.stderr, SECONDS, "it doubts")
            wait_until(
                lambda: any("are missing" in reason for reason in status(mirror)["reasons"]),
                SECONDS,
                "the doubt is told",
            )
            channels = mirror.org.get("/_sim/channels")["channels"]
            assert {channel["id"]: channel["topics"] for channel in channels} == before
            mirror.org.post("/_sim/control", {"grants": {CLIENT: "*"}})
            settled(mirror, 2)
            channels = mirror.org.get("/_sim/channels")["channels"]
            assert {channel["id"]: channel["topics"] for channel in channels} == before
            told_all(mirror)


def test_a_listing_that_never_ends_takes_nothing_else_down(tmp_path: Path, kafka: str) -> None:
    """Users have a next page for ever: queues are mirrored, status says why users are not, few
    requests are spent; once the listing ends, users come by themselves."""
    endless = ("--quirk", "endless=/api/v2/users")
    settings = {"MIRROR_DISCOVERY_INTERVAL": "2s"}
    with small_mirror(tmp_path, kafka, settings, *endless, *BUSY) as mirror:
        told = status(mirror)
        assert [shard["topics"] for shard in told["shards"]] == [2]
        assert any("the listing of users repeats" in reason for reason in told["reasons"]), told
        assert mirror.org.get("/_sim/stats")["requests"]["GET /api/v2/users"] < 20
        mirror.org.post("/_sim/control", {"quirks": {"endless": ""}})
        assert sum(shard["topics"] for shard in settled(mirror, 2)["shards"]) == 14
        told_all(mirror)
