"""What the helper processes are told of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l4lb.config.model import Config


def checks_of(config: Config, args: Mapping[str, Any]) -> dict[str, Any] | None:
    """How a pool is checked, for `admin why`; None: not at all."""
    pool = config.pools.get(str(args.get("pool")))
    if pool is None or pool.health is None:
        return None
    told = ("type", "interval_ms", "timeout_ms", "rise", "fall")
    return {key: value for key, value in dict(pool.health).items() if key in told}
