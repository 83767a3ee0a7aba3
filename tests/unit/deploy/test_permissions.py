"""What docs/permissions.md names is what is called, what doctor asks for and what the simulator
gives."""

from __future__ import annotations

import re
from pathlib import Path

from mirror.genesys.rights import ROLE
from simulator.oauth import DOCUMENTED_ROLE

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/permissions.md").read_text(encoding="utf-8")
CALLERS = ("mirror", "listeners", "coordinator", "janitor")


def test_the_simulator_gives_the_documented_role_and_nothing_more() -> None:
    """A test double that is more generous hides what the documents lack."""
    assert {right.permission for right in ROLE} == DOCUMENTED_ROLE


def test_the_page_has_the_role() -> None:
    """Each permission with its name in the admin pages and what needs it; no further one."""
    table = PAGE.partition("## The role")[2].partition("## The calls")[0]
    rows = re.findall(r"^\| `([\w:]+)` \| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    assert [(permission, name.strip()) for permission, name, _ in rows] == [
        (right.permission, right.name) for right in ROLE
    ]


def test_other_pages_name_the_same_role() -> None:
    """README, the guide and the runbook."""
    for page in ("README.md", "docs/getting-started.md", "docs/runbook.md"):
        text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
        for right in ROLE:
            assert f"*{right.name}*" in text, (page, right.name)
        assert "permissions.md" in text, page


def test_the_page_has_every_path_that_is_called() -> None:
    """Every path of the API in the source of whoever calls it."""
    called = {
        path
        for room in CALLERS
        for source in (ROOT / room).rglob("*.py")
        for path in re.findall(r'"(/api/v2/[^"{?]*)', source.read_text(encoding="utf-8"))
    }
    assert called
    for path in called:
        assert path.rstrip("/") in PAGE, path


def test_the_page_has_every_method_by_which_topics_are_set() -> None:
    """Also the calls that are made only to find an invalid topic."""
    source = (ROOT / "mirror/genesys/client.py").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| (.*…/subscriptions`) \|", PAGE, re.MULTILINE)
    called = set(re.findall(r'_subscribe\("([A-Z]+)"', source))
    assert called
    assert called <= set(re.findall(r"`([A-Z]+)", row.partition("channels…")[2]))
