"""Waits for one descriptor of any number; select(2) ends at 1,023."""

from __future__ import annotations

import select


def readable(fd: int, wait_s: float) -> bool:
    """True if there is data to read, an end or an error, within wait_s."""
    return _ready(fd, select.POLLIN, wait_s)


def writable(fd: int, wait_s: float) -> bool:
    """True if it accepts data, or has an error, within wait_s."""
    return _ready(fd, select.POLLOUT, wait_s)


def _ready(fd: int, events: int, wait_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, events)
    return bool(poll.poll(wait_s * 1000))
