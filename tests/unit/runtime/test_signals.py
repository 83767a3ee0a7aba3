"""Signals that end a process, and what is none."""

from __future__ import annotations

import signal

import pytest

from mirror.runtime import signals


def info(number: int) -> signal.struct_siginfo:
    """What `sigtimedwait` answers."""
    return signal.struct_siginfo((number, 0, 0, 1, 0, 0, 0))


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (None, None),
        (info(signal.SIGTERM), "SIGTERM"),
        (info(signal.SIGINT), "SIGINT"),
        (info(-1071268896), None),
        (info(0), None),
    ],
)
def test_what_nobody_filled_in_is_no_signal(
    monkeypatch: pytest.MonkeyPatch, answer: signal.struct_siginfo | None, name: str | None
) -> None:
    """CPython answers so where its wait is interrupted behind its deadline."""
    monkeypatch.setattr(signal, "sigtimedwait", lambda _signals, _seconds: answer)
    assert signals.wait(1.0) == name
