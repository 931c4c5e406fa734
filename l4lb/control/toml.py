"""A configuration as the text of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomli_w

HEAD = "# Written by `l4lb admin save`: what was in force, where it is not the default.\n\n"


def written(stated: Mapping[str, Any]) -> str:
    """Returns the TOML of a configuration's stated values (config/plain.py)."""
    return HEAD + tomli_w.dumps(_escaped(dict(stated)), indent=2)


def _escaped(value: Any) -> Any:
    """Returns the value with each `${` doubled to `$${`, so that reading it back inserts no
    environment variable (reading/environment.py)."""
    if isinstance(value, dict):
        return {key: _escaped(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_escaped(one) for one in value]
    return value.replace("${", "$${") if isinstance(value, str) else value
