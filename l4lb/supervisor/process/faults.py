"""Faults of l4lb itself: exceptions that no code expects.

A fault in a request, timer, signal handler or event ends only that. It is logged with its
traceback, and the service goes on as before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import l4lb.log
from l4lb.errors import AdminError

LOG = l4lb.log.get("supervisor")


def fault(what: str) -> AdminError:
    """Logs the exception being handled. Returns the error to answer the asker with."""
    LOG.error("a fault of l4lb; the service goes on", where=what, exc_info=True)
    return AdminError("internal", f"{what}: a fault of l4lb; nothing was changed; see the log")


@contextlib.contextmanager
def contained(what: str) -> Iterator[None]:
    """Logs an exception inside the block, and ends the block there."""
    try:
        yield
    except Exception:
        fault(what)
