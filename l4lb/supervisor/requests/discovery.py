"""The order to the control process to follow the configuration's discovery sources."""

from __future__ import annotations

from typing import Any

from l4lb.supervisor.reload.source import Source


def order(source: Source) -> dict[str, Any]:
    """Returns the message: by pool the sources, and the names of the backends that no source has
    found (the file's, and those that operators have added)."""
    pools = source.file.pools.items()
    own = {name: [one.name for one in pool.backends] for name, pool in pools}
    for pool, name in source.overlay.added:
        own.setdefault(pool, []).append(name)
    return {
        "op": "discovery",
        "pools": {
            name: pool.discovery.model_dump(mode="json", by_alias=True, exclude_none=True)
            for name, pool in pools
            if pool.discovery is not None
        },
        "own": own,
    }
