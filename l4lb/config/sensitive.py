"""Values that may be secret, by the names of their keys: no log and no answer shows them.

The text that a check sends, asks for or runs often contains a password or a token, which cannot be
recognised.
"""

from __future__ import annotations

from typing import Any

NOT_SHOWN = "(not shown)"

# Keys, with the names of schema.keys().
KEYS = frozenset(
    {
        "process.hash_seed",
        "pools.NAME.alert",
        "pools.NAME.discovery.command",
        "pools.NAME.discovery.url",
        "pools.NAME.health.send",
        "pools.NAME.health.expect",
        "pools.NAME.health.steps[].send",
        "pools.NAME.health.steps[].expect",
        "pools.NAME.health.path",
        "pools.NAME.health.headers",
        "pools.NAME.health.body",
        "pools.NAME.health.command",
        "pools.NAME.agent.send",
    }
)


def veiled(key: str, value: Any) -> Any:
    """Returns the value of that key in the form in which it may be shown."""
    if key in KEYS:
        return None if value is None else NOT_SHOWN
    if isinstance(value, dict):
        return {name: veiled(f"{key}.{name}", one) for name, one in value.items()}
    if isinstance(value, list):
        return [veiled(f"{key}[]", one) for one in value]
    return value
