"""Converts times and sizes of other programs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from l4lb.importer.text import REFERENCE, resolved

UNITS = {"us": 0.001, "ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000,
         "w": 604_800_000, "M": 2_592_000_000, "y": 31_536_000_000}  # fmt: skip
WRITTEN = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
PART = re.compile(r"(\d{1,12})(us|ms|[smhdwMy]|)", re.ASCII)
SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

# Bounds of each key that is a time, in milliseconds.
SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000
BOUNDS: Mapping[str, tuple[int, int]] = {
    "connect_timeout": (1, 10 * MINUTE),
    "idle_timeout": (1, 7 * DAY),
    "half_closed_timeout": (1, 7 * DAY),
    "handshake_timeout": (1, 10 * MINUTE),
    "tarpit_time": (100, 10 * MINUTE),
    "drain_timeout": (0, DAY),
    "user_timeout": (1, DAY),
    "slow_start": (0, DAY),
    "ttl": (SECOND, 20 * DAY),
    "queue": (1, DAY),
    "interval": (10, DAY),
    "check": (1, 10 * MINUTE),
    "eject": (1, DAY),
    "keepalive": (SECOND, 32_767 * SECOND),
    "dns": (100, DAY),
    "lookup": (10, 10 * MINUTE),
    "head_timeout": (1, 10 * MINUTE),
    "rest_timeout": (1, DAY),
    "answer_timeout": (1, DAY),
    "cache": (SECOND, 3_650 * DAY),
    "collapse": (1, 10 * MINUTE),
    "ticket": (SECOND, 7 * DAY),
}


def milliseconds(text: str, unit: str) -> int:
    """Returns a time such as 30s or 1h30m. A bare number is in unit. An environment variable has
    its present value. Raises ValueError."""
    text = resolved(text)
    parts = PART.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError(f"{text or 'nothing'} is not a time")
    total = sum(int(number) * UNITS[said or unit] for number, said in parts)
    return max(1, int(total)) if total else 0


def written(ms: int) -> str:
    """Returns the time in the largest unit that gives a whole number."""
    unit = next((u for u, size in reversed(WRITTEN.items()) if ms % size == 0), "ms")
    return f"{ms // WRITTEN[unit]}{unit}" if ms else "0s"


def natural(text: str, unit: str, kind: str) -> tuple[str, str]:
    """Returns a time for a key of a kind of BOUNDS, as it was written if that is possible; and a
    text for the report if it was moved into the bounds. Raises ValueError."""
    minimum, maximum = BOUNDS[kind]
    ms = milliseconds(text, unit)
    if not minimum <= ms <= maximum:
        near = written(min(max(ms, minimum), maximum))
        return near, f"it is {near} here, the {'minimum' if ms < minimum else 'maximum'} there is"
    if REFERENCE.fullmatch(text):
        return text, ""
    match = PART.fullmatch(text)
    if match and match[2] in WRITTEN:
        return f"{int(match[1])}{match[2]}", ""
    return written(ms), ""


def size(text: str) -> int:
    """Returns a number of bytes. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,12})([kmg]?)", text.lower(), re.ASCII)
    if match is None:
        raise ValueError(f"{text} is not a size")
    return int(match[1]) * SIZES[match[2]]


def written_size(count: int) -> str:
    """Returns the size in the largest unit that gives a whole number."""
    for unit, one in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count and count % one == 0:
            return f"{count // one}{unit}"
    return f"{count}B"
