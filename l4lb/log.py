"""The service's own log: one event, one line, to stderr.

Text on a terminal, `<N>` priority prefixes under systemd (sd-daemon(3)), JSON on demand.
Nothing here logs per connection.
"""

from __future__ import annotations

import logging
import os
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# syslog priorities (RFC 5424, 6.2.1), as journald reads them before a line.
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
LEVELS = ("debug", "info", "warning", "error")


class _Prefixed:
    """Puts the journal's priority before what another renderer made."""

    def __init__(self, renderer: Processor) -> None:
        self._renderer = renderer

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        priority = PRIORITIES.get(str(event.get("level", "info")), 6)
        return f"<{priority}>{self._renderer(logger, method, event)!s}"


def setup(level: str, style: str) -> None:
    """Chooses what is logged (level: debug, info, warning, error) and how (style: text, json)."""
    under_systemd = bool(os.environ.get("JOURNAL_STREAM"))
    renderer: Processor
    if style == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,
        )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _Prefixed(renderer) if under_systemd else renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def get(process: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines name the process they come from."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(process=process)
    return logger
