"""What is expected of a stream: found at the same place however TCP cut the data. Pure.

An expression is found at the first byte by which it holds whatever may follow. `$` (and \\b at the
end of what has come) does not hold yet: the next byte may be another one. So who reads goes on
until the answer's end, and only then asks `at_the_end`.
"""

from __future__ import annotations

import bisect
from typing import Any

from l4lb.config import payload

# All that an expression can tell apart of the byte that follows: a letter, a line's end, neither.
FOLLOWS = (b"a", b"\n", b" ")


def holds(expression: Any, data: bytes) -> bool:
    """Is it found in data, whatever follows?"""
    return all(expression.search(data + one, 0, len(data)) for one in FOLLOWS)


def find(expected: str, data: bytes) -> int:
    """Where in data what is expected has come, so that nothing that follows can undo it; -1: it
    has not, so far."""
    expression = payload.expression(expected)
    if expression is None:
        return payload.find(expected, data)
    if not holds(expression, data):
        return -1
    return bisect.bisect_left(
        range(len(data)), True, key=lambda size: holds(expression, data[:size])
    )


def at_the_end(expected: str, data: bytes) -> bool:
    """Is it found in data, now that nothing follows?"""
    return payload.find(expected, data) >= 0
