r"""Finds the expected text in a stream, at the same place however TCP split the data. Pure.

An expression is found at the first byte by which it matches whatever follows. `$` (and \b at the
end of the data so far) does not match yet, because more data may follow. The reader therefore goes
on to the answer's end, and only then calls `at_the_end`.
"""

from __future__ import annotations

import bisect
from typing import Any

from l4lb.config.values import payload

# The kinds of following bytes that an expression can distinguish: a letter, a line's end, any
# other.
FOLLOWS = (b"a", b"\n", b" ")


def holds(expression: Any, data: bytes) -> bool:
    """True if expression matches in data, whatever follows."""
    return all(expression.search(data + one, 0, len(data)) for one in FOLLOWS)


def find(expected: str, data: bytes) -> int:
    """Returns where in data the expected text ends, if nothing that follows can change it; -1: not
    found so far."""
    expression = payload.expression(expected)
    if expression is None:
        return payload.find(expected, data)
    if not holds(expression, data):
        return -1
    return bisect.bisect_left(
        range(len(data)), True, key=lambda size: holds(expression, data[:size])
    )


def at_the_end(expected: str, data: bytes) -> bool:
    """True if expected is in data, now that nothing follows."""
    return payload.find(expected, data) >= 0
