"""What the control process is told to follow: the sources of backends in the configuration."""

from __future__ import annotations

from typing import Any

from l4lb.config.model import Config


def order(file: Config) -> dict[str, Any]:
    """The message for it: sources by pool, and the names of the backends that are the file's."""
    pools = file.pools.items()
    return {
        "op": "discovery",
        "pools": {
            name: pool.discovery.model_dump(mode="json", by_alias=True, exclude_none=True)
            for name, pool in pools
            if pool.discovery is not None
        },
        "own": {name: [one.name for one in pool.backends] for name, pool in pools},
    }
