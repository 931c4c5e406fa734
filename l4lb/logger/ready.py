"""Waiting for one descriptor, whatever its number: select(2) ends at 1,023."""

from __future__ import annotations

import select


def readable(fd: int, wait_s: float) -> bool:
    """Is there something to read, an end or an error, within wait_s?"""
    return _ready(fd, select.POLLIN, wait_s)


def writable(fd: int, wait_s: float) -> bool:
    """Does it take something, or tell an error, within wait_s?"""
    return _ready(fd, select.POLLOUT, wait_s)


def _ready(fd: int, events: int, wait_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, events)
    return bool(poll.poll(wait_s * 1000))
