"""The account of `bench.outage`: what counts as missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.account import Account
from simulator.ledger import Truth

AT = "2026-11-23T10:00:00.000Z"


def chosen(seq: int, code: str, leg: str = "leg") -> Truth:
    """A wrap-up code, as the ledger records it."""
    return Truth(
        seq=seq,
        conversation_id="c",
        event_type="wrapup",
        media_type="call",
        occurred_at=AT,
        participant_id="agent",
        communication_id=leg,
        agent_id="user",
        wrapup_code=code,
    )


@pytest.mark.parametrize("in_pages", [True, False])
def test_of_several_codes_of_a_leg_rest_tells_one(tmp_path: Path, in_pages: bool) -> None:
    """Code A, then B, then A again, of which the ledger has no second record: REST shows A alone,
    and B is not missing. A leg's only code is."""
    truths = [chosen(1, "A"), chosen(2, "B"), chosen(3, "A", leg="other")]
    account = Account(tmp_path / "account.sqlite")
    for page in [[truth] for truth in truths] if in_pages else [truths]:
        account.happen(page)
    balance = account.balance()
    account.close()
    assert balance.missing_kinds == {"wrapup": 1}
    assert "other" in balance.missing_examples[0]
    assert balance.untold_kinds == {"wrapup": 2}
