"""Changes of sticky entries by operators.

Workers change entries at the same time. Each change is one word of shared memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l4lb.clock import monotonic_ms
from l4lb.errors import AdminError
from l4lb.native import sticky
from l4lb.native.rows import PoolRow
from l4lb.native.table import Table
from l4lb.supervisor.table.membership import find_backend


def _pool(table: Table, name: object) -> PoolRow:
    for row in table.pools():
        if row.name == name:
            return row
    raise AdminError("not_found", f"no pool is named {name}; see `l4lb admin pools`")


def put(table: Table, args: Mapping[str, Any]) -> dict[str, Any]:
    """Assigns a client to a backend."""
    pool, client = _pool(table, args.get("pool")), str(args.get("client"))
    backend = find_backend(table, f"{pool.name}/{args.get('backend')}")
    if not pool.sticky_ttl_ms:
        raise AdminError("bad_argument", f"pool {pool.name} is not sticky")
    try:
        kept = sticky.put(table, pool.index, client, backend.index, monotonic_ms())
    except ValueError as error:
        raise AdminError("bad_argument", str(error)) from error
    if not kept:
        raise AdminError("internal", "there is no room for one more sticky client just now")
    return {"pool": pool.name, "client": client, "backend": backend.name}


def clear(table: Table, args: Mapping[str, Any]) -> dict[str, Any]:
    """Removes the entry of a client, or all entries of a pool."""
    pool, client = _pool(table, args.get("pool")), str(args.get("client"))
    if client == "all":
        return {"pool": pool.name, "cleared": sticky.clear(table, pool.index)}
    try:
        found = sticky.remove(table, pool.index, client)
    except ValueError as error:
        raise AdminError("bad_argument", str(error)) from error
    if not found:
        raise AdminError("not_found", f"{client} belongs to no backend of {pool.name}")
    return {"pool": pool.name, "cleared": 1}
