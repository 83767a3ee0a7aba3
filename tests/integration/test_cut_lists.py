"""A list that was cut at its limit says so, to people and to programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console import main
from harness.redis import RedisServer
from mirror.fleet.tracked import Tracked, encode
from mirror.redis.keys import Keys

ACTIVE = 3


@pytest.fixture
def active(redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three conversations are active, each of whose ids begins with "c"."""
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("MIRROR_NAMESPACE", tmp_path.name)
    keys = Keys(tmp_path.name)
    with redis_server.client() as client:
        for number in range(ACTIVE):
            name = f"c{number}"
            client.set(keys.conversation(name), encode(Tracked(0)))
            client.zadd(keys.active, {name: number})


@pytest.mark.parametrize("which", [[], ["c"]])
@pytest.mark.parametrize("limit", [1, ACTIVE - 1, ACTIVE])
def test_conversations_left_out_are_told(
    which: list[str],
    limit: int,
    active: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All of them, or those whose id begins so; with a limit of one, one is not the only one."""
    monkeypatch.setattr(
        "sys.argv", ["mirror", "conversations", *which, "--json", "--limit", str(limit)]
    )
    with pytest.raises(SystemExit, match="0"):
        main()
    said = capsys.readouterr()
    shown = json.loads(said.out)
    assert [view["id"] for view in shown["conversations"]] == [f"c{n}" for n in range(limit)]
    assert shown["more"] == (limit < ACTIVE)
    assert ("a higher --limit shows more" in said.err) == (limit < ACTIVE)
