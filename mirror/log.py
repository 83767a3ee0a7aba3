"""Logs: one JSON line per event on stderr, with fields rather than sentences.

    log = logger("listener")
    log.info("channel_opened", shard="3", replica="b")

A traceback is a field of a debug line only. Values that name secrets are masked whatever the
caller passes: a channel's id opens its socket, so it is logged shortened (`mirror.fleet.shorten`).
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import structlog

from mirror.redact import scrub

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_SECRET_FIELDS: Final = frozenset(
    {"secret", "token", "password", "authorization", "uri", "connect_uri"}
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


def configure(process: str, level: str = "info") -> None:
    """Send this process' log to stderr as JSON lines. Call once, at the start of a process."""
    structlog.configure(
        processors=[
            lambda _logger, _method, fields: {"process": process, **fields},
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            *([structlog.processors.format_exc_info] if level == "debug" else [_drop_traceback]),
            _mask,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _drop(_logger: Any, _method: str, _fields: Any) -> Any:
    raise structlog.DropEvent


def _drop_traceback(_logger: Any, _method: str, fields: Any) -> Any:
    fields.pop("exc_info", None)
    return fields


def logger(part: str) -> Any:
    """The logger of one part of a process, e.g. `listener.channel`.

    Until `configure` is called its lines are dropped: a command's stderr is for its one line.
    """
    if not structlog.is_configured():
        structlog.configure(processors=[_drop])
    return structlog.get_logger(part=part)
