"""The table of faults in docs/proof.md is what `make chaos` printed."""

from __future__ import annotations

import pytest

from docs.build.proof_table import BEGIN, END, PAGE, block, replaced, trials
from tests.chaos.trial import Row, table

GOOD = Row(fault="listener killed", events=1444, repeats=992, lasted=2.7, recovery=0.8)
LATE = Row(fault="wall clock of a listener stepped +1 h, then -2 h", late=8, windowed=3, restored=4)
BAD = Row(
    fault="Redis frozen",
    events=9,
    missing=2,
    disordered=1,
    twice=3,
    problems=["gone: 1", "late: 2"],
)


def test_rows_are_read_as_they_are_printed() -> None:
    """Also with a name that fills its column, and with problems below a row."""
    first, second, third = trials("…\n" + table([GOOD, BAD, LATE]) + "\n3 passed in 5 s")
    assert (first.fault, first.events, first.copies) == ("listener killed", 1444, 992)
    assert (first.lasted, first.recovery, first.verdict) == (2.7, 0.8, "ok")
    assert (second.missing, second.disordered, second.verdict) == (2, 1, "FAILED")
    assert (third.fault, third.late, third.window, third.gaps) == (LATE.fault, 8, 3, 4)


def test_the_last_table_counts() -> None:
    """A run prints each row when it is done, and all of them at its end."""
    assert len(trials(table([GOOD]) + "\n\n" + table([GOOD, BAD]))) == 2


def test_a_log_without_a_table_is_refused() -> None:
    """Rather than an empty table on the page."""
    with pytest.raises(ValueError, match="make chaos"):
        trials("1 passed")


def test_what_is_wrong_is_named() -> None:
    """In its row and in the summary."""
    text = block(trials(table([GOOD, BAD])), "abc1234")
    assert "| Redis frozen | 9 | 2 missing, 1 out of order, 3 projected twice | 0 |" in text
    assert "| listener killed | 1,444 | 0 | 0 | 0 | 0 | 2.7 s | 0.8 s | ok |" in text
    assert "Commit abc1234: 2 faults, 1 failed. Of 1,453 events 2 were missing" in text
    assert "0 were not in the once topic, 3 were in it twice, and 0 views were wrong" in text


def test_only_the_block_is_replaced() -> None:
    """What people wrote around it stays."""
    page = PAGE.read_text(encoding="utf-8")
    once = replaced(page, block(trials(table([GOOD])), "abc1234"))
    assert once.split(BEGIN)[0] == page.split(BEGIN)[0]
    assert once.split(END)[1] == page.split(END)[1]
    assert replaced(once, page[page.index(BEGIN) : page.index(END) + len(END)]) == page
