"""Configurations as Python values, written as the TOML that users write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Config = dict[str, Any]


def toml_value(value: Any) -> str:
    """Returns one value in TOML's inline form."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k} = {toml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(value)


def toml(config: Mapping[str, Any]) -> str:
    """Returns `config` as a TOML document: a table for each section and for each thing in it."""
    lines: list[str] = []
    for section, content in config.items():
        tables = {section: content}
        if section in ("listeners", "pools"):
            tables = {f"{section}.{json.dumps(name)}": table for name, table in content.items()}
        for title, table in tables.items():
            lines.append(f"[{title}]")
            lines += [f"{key} = {toml_value(value)}" for key, value in table.items()]
            lines.append("")
    return "\n".join(lines)


def one_pool(
    bind: str | Sequence[str],
    backends: Sequence[str | Mapping[str, Any]],
    *,
    process: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    **pool: Any,
) -> Config:
    """Returns listener `web` in front of pool `web`: what most tests need."""
    binds = [bind] if isinstance(bind, str) else list(bind)
    config: Config = {"process": dict(process or {})}
    if limits:
        config["limits"] = dict(limits)
    config["listeners"] = {"web": {"bind": binds, "pool": "web"}}
    config["pools"] = {"web": {**pool, "backends": list(backends)}}
    return config
