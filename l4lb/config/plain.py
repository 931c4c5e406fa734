"""A configuration as plain data: what a TOML file with everything written out would say."""

from __future__ import annotations

from typing import Any

from l4lb.config.model import Config


def to_plain(config: Config) -> dict[str, Any]:
    """Tables, arrays and values with the keys of a file, every default included.

    Reading it back gives an equal configuration. What is absent stays absent: TOML has no null.
    Two configurations that do the same give the same."""
    plain = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    for pool in plain["pools"].values():
        if not pool["backends"]:
            del pool["backends"]  # discovery finds them; an empty array is an error
            continue
        for backend in pool["backends"]:
            if backend["name"] == backend["address"]:
                del backend["name"]  # the default, and perhaps no name one may give
    return plain
