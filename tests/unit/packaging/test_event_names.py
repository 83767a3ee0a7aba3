"""Log events have names that an operator can search for, all of them in docs/logs.md."""

from __future__ import annotations

import re

import pytest

from docs.build.log_events import PACKAGES, ROOT, events_of, log_events, nameless
from docs.build.pages import logs_page

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_event_has_a_literal_name(package: str) -> None:
    """No name is put together at run time, so that a search finds where it comes from."""
    found = {
        path.relative_to(ROOT).as_posix(): lines
        for path in (ROOT / package).rglob("*.py")
        if (lines := nameless(path.read_text()))
    }
    assert found == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_in_snake_case(package: str) -> None:
    """One form for all names."""
    assert [event.name for event in log_events(package) if not NAME.fullmatch(event.name)] == []


def test_a_name_that_is_put_together_is_found() -> None:
    """An f-string, or a variable, is no name."""
    source = "log.info('good')\nlog.info(f'seat_{what}')\nself._log.error(name, why=1)\n"
    assert nameless(source) == [2, 3]


def test_an_event_is_found_whatever_its_log_is_called() -> None:
    """A log that is kept, and a log that is made for one event."""
    source = "self._log.info('kept')\nlogger('part').info('made', port=1)\n"
    assert [(event.name, event.fields) for event in events_of("a.module", source)] == [
        ("kept", ()),
        ("made", ("port",)),
    ]


def test_the_page_has_no_empty_section() -> None:
    """Commands log no events of their own."""
    sections = re.split(r"^## ", logs_page(), flags=re.MULTILINE)[1:]
    assert [section for section in sections if "| event |" not in section] == []
