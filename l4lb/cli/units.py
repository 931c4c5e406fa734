"""Formats values for people: `31 s`, `17.3 MiB`, `12.5 %`. The end of a key's name is its unit.

Pure. For a pipe a value is a plain word (`cell`): exact, and without a unit except that of its
heading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SHARES = ("moved", "moved_of_others", "hash_keys_moved", "share_before", "share_after", "chance",
          "hit_ratio")  # fmt: skip
NONE: Mapping[str, str] = {"left_s": "for good", "for_ms": "good"}
SIZES = ("KiB", "MiB", "GiB", "TiB", "PiB")
# For each unit: the smallest time shown in it, and its length, in milliseconds.
TIMES = ((172_800_000, 86_400_000, "days"), (7_200_000, 3_600_000, "h"), (120_000, 60_000, "min"))


def duration(ms: float) -> str:
    """Formats a time with two or three digits."""
    if ms < 0:
        return f"-{duration(-ms)}"
    for minimum, unit, word in TIMES:
        if ms >= minimum or (ms >= unit and not ms % unit and word != "days"):
            return f"{ms // unit:.0f} {word}"
    if ms >= 9_950:
        return f"{ms / 1000:.0f} s"
    if ms >= 999.5:
        return f"{ms / 1000:.1f}".removesuffix(".0") + " s"
    return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.2g} ms"


def size(count: float) -> str:
    """Formats a number of bytes."""
    if abs(count) < 1_024:
        return f"{count:.0f} B"
    for suffix in SIZES:
        count /= 1_024
        if abs(count) < 1_023.95 or suffix == SIZES[-1]:
            break
    return f"{count:.1f} {suffix}"


def share(part: float) -> str:
    """Formats a part of a whole."""
    return f"{100 * part:.3g} %"


ENDINGS: Mapping[str, Callable[[float], str]] = {
    "_ms": duration,
    "_us": lambda value: duration(value / 1_000),
    "_s": lambda value: duration(value * 1_000) if value else "0 s",
    "_percent": lambda value: f"{value:g} %",
    "_days": lambda value: f"{value:g} days",
}


def _ending(key: str) -> str:
    return next((one for one in ENDINGS if key.endswith(one) and not key.endswith("_per_s")), "")


def label(key: str) -> str:
    """Returns a key as words, without the unit that its value shows."""
    return key.removesuffix(_ending(key)).replace("_", " ")


def _said(key: str, value: Any) -> str:
    """Formats a key of a map with its value; a text has no key."""
    return human(key, value) if key == "text" else f"{cell(label(key))} {human(key, value)}"


def human(key: str, value: Any) -> str:
    """Formats the value of this key with its unit."""
    if isinstance(value, Mapping):
        return ", ".join(_said(str(one), of) for one, of in value.items()) or "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(human(key, one) for one in value) or "none"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if key in SHARES:
            return share(value)
        if key.startswith("bytes") or key.endswith("_bytes"):
            return size(value)
        if ending := _ending(key):
            return ENDINGS[ending](value)
        if isinstance(value, float):
            return f"{value:.4g}"
    return NONE.get(key, "-") if value is None else cell(value)


def cell(value: object) -> str:
    """Formats one value as a word; control characters cannot reach the terminal."""
    if value is None or value == "" or value == [] or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{cell(key)} {cell(one)}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(cell, value))
    return "".join(c if c.isprintable() else "?" for c in str(value))
