"""The runbook has an entry for each alert and each check of doctor, and none for what is gone."""

from __future__ import annotations

import re

from console import cli
from mirror.checks.finding import CHECKS
from tests.unit.deploy.expressions import DEPLOY, alerts

TEXT = (DEPLOY.parent / "docs" / "runbook.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^### (.+)\n((?:(?!#).+\n)+)", TEXT, re.MULTILINE)


def test_every_alert_and_check_has_its_entry() -> None:
    """Under its own name, once, with words beneath it."""
    wanted = [*alerts(), *(f"doctor: {check}" for check in CHECKS)]
    assert sorted(title for title, _ in ENTRIES) == sorted(wanted)
    assert all(len(body.split()) >= 10 for _, body in ENTRIES)


def test_entries_name_commands_that_there_are() -> None:
    """Whoever follows it at night types what works."""
    named = set(re.findall(r"(?:`|^)mirror ([a-z]+)", TEXT, re.MULTILINE))
    assert named
    assert named <= set(cli.commands)
