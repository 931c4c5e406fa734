"""A configuration as the text of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomli_w

HEAD = "# Written by `l4lb admin save`: what was in force, every default included.\n\n"


def written(plain: Mapping[str, Any]) -> str:
    """The TOML that says this configuration."""
    return HEAD + tomli_w.dumps(dict(plain), indent=2)
