"""Logs: one JSON line per event on stderr, with fields rather than sentences.

    log = logger("listener")
    log.info("channel_opened", shard="3", replica="b")

A traceback is a field of a debug line only. Values that name secrets are masked whatever the
caller passes: a channel's id opens its socket, so it is logged shortened
(`mirror.genesys.handles.shorten`).

Logging never blocks or stops its caller: a thread writes the lines (`mirror.base.sink`). Lines that
stderr does not accept are dropped and counted. Nothing here touches structlog's global
configuration, which belongs to the program that imports these modules.
"""

from __future__ import annotations

import atexit
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from structlog.testing import LogCapture

from mirror.base.redact import scrub
from mirror.base.sink import Sink

# How long an ending process waits until its last lines are written.
EXIT_SECONDS: Final = 2.0

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_SECRET_FIELDS: Final = frozenset(
    {"secret", "token", "password", "authorization", "uri", "connect_uri"}
)


class Log:
    """The logger of one part of a process. Without `configure` its lines are dropped."""

    __slots__ = ("_bound", "_part", "_root")

    def __init__(self, part: str) -> None:
        self._part = part
        self._root: Any = None
        self._bound: Any = None

    def debug(self, event: str, /, **fields: Any) -> None:
        """Log details that help to find a fault."""
        self._write("debug", event, fields)

    def info(self, event: str, /, **fields: Any) -> None:
        """Log a normal event."""
        self._write("info", event, fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        """Log an event that somebody may have to look into."""
        self._write("warning", event, fields)

    def error(self, event: str, /, **fields: Any) -> None:
        """Log a failure that ended a part of the work."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        root = _output.root
        if root is None:
            return
        if root is not self._root:
            self._bound = root.bind(part=self._part)
            self._root = root
        if "part" in fields:  # says which logger wrote the line, whatever a caller passes
            fields["part"] = self._part
        getattr(self._bound, level)(event, **fields)


class _Output:
    """The destination of this process' lines: none until `configure`."""

    def __init__(self) -> None:
        self.root: Any = None
        self.sink: Sink | None = None


class _Lines:
    """The logger that structlog wraps: hands each rendered line to the sink."""

    def __init__(self, sink: Sink) -> None:
        self.debug = self.info = self.warning = self.error = sink.put


_output: Final = _Output()


def logger(part: str) -> Log:
    """The logger of one part of a process, e.g. `listener.channel`.

    Its lines are dropped until `configure` is called: a command's stderr is for its own messages.
    """
    return Log(part)


def configure(process: str, level: str = "info") -> None:
    """Send this process' log to stderr as JSON lines; may be called again."""
    sink = _output.sink
    if sink is None or sink.stream is not sys.stderr:
        if sink is None:
            atexit.register(flush, EXIT_SECONDS)
        sink = _output.sink = Sink(sys.stderr, lambda count: _notice(process, count))
    _output.root = structlog.wrap_logger(
        _Lines(sink),
        processors=[
            lambda _logger, _method, fields: {"process": process, **fields},
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            *([structlog.processors.format_exc_info] if level == "debug" else [_drop_traceback]),
            _mask,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        context_class=dict,
    )


def is_configured() -> bool:
    """Whether this process writes a log."""
    return _output.sink is not None


def flush(seconds: float) -> bool:
    """Wait at most `seconds` until all lines are written or dropped. Returns whether they are."""
    return _output.sink is None or _output.sink.flush(seconds)


def dropped() -> int:
    """The number of lines that stderr did not take."""
    return 0 if _output.sink is None else _output.sink.dropped


def say(text: str) -> None:
    """Write one line of plain text after the log's lines. Needs `configure`."""
    if _output.sink is not None:
        _output.sink.put(text)


@contextmanager
def capture_logs() -> Iterator[list[Any]]:
    """For tests: collect the lines that are logged in this context, as dictionaries."""
    before, captured = _output.root, LogCapture()
    _output.root = structlog.wrap_logger(
        None,
        processors=[captured],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        context_class=dict,
    )
    try:
        yield captured.entries
    finally:
        _output.root = before


def _notice(process: str, count: int) -> str:
    return json.dumps(
        {
            "process": process,
            "part": "log",
            "event": "log_lines_dropped",
            "count": count,
            "level": "warning",
            "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }
    )


def _mask(_logger: Any, _method: str, fields: Any) -> Any:
    for name, value in fields.items():
        if name in _SECRET_FIELDS:
            fields[name] = "***"
        elif isinstance(value, str):
            fields[name] = scrub(value)
        elif isinstance(value, BaseException):
            fields[name] = scrub(f"{type(value).__name__}: {value}")
    return fields


def _drop_traceback(_logger: Any, _method: str, fields: Any) -> Any:
    fields.pop("exc_info", None)
    return fields
