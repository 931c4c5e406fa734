"""Settings that a configuration can contain and that this version does not support yet.

Delete a row when its feature is finished, or add values when a part of it is. Nothing else has to
change: keys and values are in the model from the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from l4lb.config.origin import Finding
from l4lb.config.position import Path
from l4lb.config.units import shown


class Row(NamedTuple):
    """A key (* is any name or element) and its supported values; none: no value is supported."""

    key: str
    values: tuple[object, ...]
    what: str


# Empty: every setting is supported.
ROWS: tuple[Row, ...] = ()


def findings(data: Mapping[str, object]) -> Iterator[Finding]:
    """Yields the settings of a configuration, which may be invalid, that have to wait for a later
    version."""
    for row in ROWS:
        for path, value in matching(data, tuple(row.key.split("."))):
            if value not in row.values:
                known = ", ".join(shown(one) for one in row.values if isinstance(one, str))
                message = f"{row.what} is not supported by this version"
                yield Finding(path, message, f"supported: {known}" if known else None)


def matching(data: object, key: tuple[str, ...], at: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yields each path and value of data that matches a key with wildcards."""
    if not key:
        yield at, data
    elif isinstance(data, Mapping):
        for name in data if key[0] == "*" else key[:1]:
            if name in data:
                yield from matching(data[name], key[1:], (*at, name))
    elif isinstance(data, list) and key[0] == "*":
        for index, element in enumerate(data):
            yield from matching(element, key[1:], (*at, index))
