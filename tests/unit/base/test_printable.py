"""What a terminal may act upon does not reach it."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.base.printable import harmless, printable, printable_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x9b31mred", "\\x9b31mred"),
        ("one\r\ntwo\x00", "one\\x0d\\x0atwo\\x00"),
        ("tab\there", "tab\\x09here"),
        ("abc\u202egpj.exe", "abc\\u202egpj.exe"),
        ("a\u2028b", "a\\u2028b"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("Zoë 李 ‎".strip("\u200e"), "Zoë 李 "),
        ("नि\u200dक", "नि\u200dक"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("non\u00a0breaking", "non\u00a0breaking"),
    ],
)
def test_what_acts_is_shown_and_what_is_text_stays(text: str, shown: str) -> None:
    """Controls, surrogates, separators and overrides are written out, scripts are left alone."""
    assert printable(text) == shown


def test_it_can_be_bounded() -> None:
    """The end of what is too long is told by one character."""
    assert printable("x" * 20, 10) == "x" * 9 + "…"
    assert printable("x" * 10, 10) == "x" * 10


@given(st.text(), st.integers(1, 50))
def test_nothing_of_any_text_acts(text: str, most: int) -> None:
    """No control character, surrogate or separator comes out, and it stays stable."""
    shown = printable(text, most)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert printable(shown) == shown


def test_output_of_ours_keeps_its_lines_and_colours() -> None:
    """And nothing else: no cursor, no title, no return to the line's beginning."""
    text = "\x1b[1mbold\x1b[0m\tx\n\x1b[2J\r\x1b]0;x\x07\x9b31m"
    assert harmless(text) == "\x1b[1mbold\x1b[0m\tx\n\\x1b[2J\\x0d\\x1b]0;x\\x07\\x9b31m"


@given(st.text())
def test_json_is_the_same_json(text: str) -> None:
    """What acts is escaped in JSON's own way, so that it reads as the same document."""
    shown = printable_json(json.dumps({"x": text}, ensure_ascii=False))
    assert json.loads(shown) == {"x": text}
    acting = {
        character for character in shown if unicodedata.category(character) in {"Cc", "Zl", "Zp"}
    }
    assert not acting
    assert "\u202e" not in shown
