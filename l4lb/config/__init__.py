"""The configuration: from a file or flags to frozen, checked values.

    config = resolve(load("l4lb.toml"))

Everything that can be wrong is told at once, by one ConfigError.
"""

from l4lb.config.model import Config, default_admin_path
from l4lb.config.parse import demo, from_flags, load, loads
from l4lb.config.plain import to_plain
from l4lb.config.resolve import resolve
from l4lb.config.schema import json_schema

__all__ = [
    "Config",
    "default_admin_path",
    "demo",
    "from_flags",
    "json_schema",
    "load",
    "loads",
    "resolve",
    "to_plain",
]
