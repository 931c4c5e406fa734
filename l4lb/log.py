"""The service's own log: one event is one line on stderr.

Lines are text, JSON on demand; under systemd they have `<N>` priority prefixes (sd-daemon(3)).
Nothing is logged for each connection. One cause has a maximum number of lines a minute; the next
line says how many were left out. A field whose name sounds like a secret is hidden. No text can
begin a line of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from l4lb.imports import without

with without("rich"):  # structlog would draw tracebacks with it: a tenth of the time of a start
    import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# syslog priorities (RFC 5424, 6.2.1), as journald reads them before a line.
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
LINES_A_MINUTE = 20  # maximum number of lines from one cause
WINDOW_S = 60.0
CAUSES_MAX = 4_096  # causes that are counted; past this, all counts start again
# Fields that tell one cause from another, besides the event's own words.
SUBJECTS = ("process", "where", "backend", "pool", "listener", "worker", "child", "target", "type")
SECRET = re.compile(r"token|password|secret|authorization|private", re.IGNORECASE)
HIDDEN = "(hidden)"
TRACEBACK_FRAMES = 40


class Limited:
    """Drops lines of a cause that repeats too often, unless they have `every`. clock: returns
    seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[object, ...], tuple[float, int]] = {}

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if event.pop("every", False):
            return event
        cause = (method, event.get("event"), *(str(event.get(name)) for name in SUBJECTS))
        now = self._clock()
        since, lines = self._seen.get(cause, (now, 0))
        left_out = max(0, lines - LINES_A_MINUTE)
        if now - since >= WINDOW_S:
            since, lines = now, 0
            if left_out:
                event["left_out"] = left_out
        if len(self._seen) >= CAUSES_MAX:
            self._seen.clear()
        self._seen[cause] = (since, lines + 1)
        if lines >= LINES_A_MINUTE:
            raise structlog.DropEvent
        return event


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hides the value of every field whose name says that it is a secret, at any depth."""
    hidden: EventDict = _hidden(event)
    return hidden


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if SECRET.search(str(key)) else _hidden(one) for key, one in value.items()
        }
    return [_hidden(one) for one in value] if isinstance(value, list | tuple) else value


def whole_fault(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Puts the traceback of the exception being handled into the field `traceback`."""
    if event.pop("exc_info", None):
        event["traceback"] = traceback.format_exc(TRACEBACK_FRAMES)
    return event


def on_one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escapes control characters, so that no text can begin a line or move the cursor."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = "".join(
                c if c.isprintable() else c.encode("unicode_escape").decode() for c in value
            )
    return event


class _Prefixed:
    """Puts the journal's priority in front of the line that another renderer made."""

    def __init__(self, renderer: Processor) -> None:
        self._renderer = renderer

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        priority = PRIORITIES.get(str(event.get("level", "info")), 6)
        return f"<{priority}>{self._renderer(logger, method, event)!s}"


class _Unbroken:
    """Prints lines to standard error. If that is a closed pipe, on a full disk or missing, only the
    line is lost."""

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            if sys.stderr is None:
                return
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the log

    debug = info = warning = error = critical = msg


def setup(level: str, style: str) -> None:
    """Sets what is logged (level: debug, info, warning, error) and how (style: text, json)."""
    under_systemd = bool(os.environ.get("JOURNAL_STREAM"))
    renderer: Processor
    if style == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
        )
    structlog.configure(
        processors=[
            Limited(),
            whole_fault,
            hide_secrets,
            on_one_line,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _Prefixed(renderer) if under_systemd else renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        # Standard error is looked up for each line, because it may have become another file.
        logger_factory=lambda *_: _Unbroken(),
        cache_logger_on_first_use=False,
    )


def get(process: str) -> structlog.typing.FilteringBoundLogger:
    """Returns a logger whose lines name the process that they come from."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(process=process)
    return logger
