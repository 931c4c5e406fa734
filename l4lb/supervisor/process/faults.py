"""Faults of l4lb itself: an exception that nobody foresaw.

A fault in one request, timer, signal or event ends that and nothing else: it is logged whole, and
the service goes on as it was before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import l4lb.log
from l4lb.errors import AdminError

LOG = l4lb.log.get("supervisor")


def fault(what: str) -> AdminError:
    """The answer to who asked for it. Call it where the exception is handled: it is logged."""
    LOG.error("a fault of l4lb; the service goes on", where=what, exc_info=True)
    return AdminError("internal", f"{what}: a fault of l4lb; nothing was changed; see the log")


@contextlib.contextmanager
def contained(what: str) -> Iterator[None]:
    """An exception inside ends the block, and is logged."""
    try:
        yield
    except Exception:
        fault(what)
