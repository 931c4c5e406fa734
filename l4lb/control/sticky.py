"""The admin command `sticky`: which client belongs to which backend."""

from __future__ import annotations

import asyncio
from typing import Any

from l4lb.clock import monotonic_ms
from l4lb.control.channel import Channel
from l4lb.control.views.explain import members, pool_row, row_of
from l4lb.errors import AdminError
from l4lb.native import sticky as native_sticky
from l4lb.native.table import Table

Map = dict[str, Any]


async def sticky(table: Table, channel: Channel, args: Map) -> Any:
    """Returns the entries; with `set` and `to`, or with `clear`, changes one."""
    pool, client, to, clear = args["pool"], args["set"], args["to"], args["clear"]
    if (client is None) != (to is None) or (client is not None and clear is not None):
        raise AdminError("bad_argument", "a change is --set CLIENT --to BACKEND, or --clear CLIENT")
    if pool is None and (client is not None or clear is not None):
        raise AdminError("bad_argument", "name the pool whose client that is")
    if client is not None:
        row_of(members(table, pool), pool_row(table, pool), to)
        return await channel.ask("sticky_set", {"pool": pool, "client": client, "backend": to})
    if clear is not None:
        return await channel.ask("sticky_clear", {"pool": pool, "client": clear})
    row = pool_row(table, pool).index if pool is not None else None
    found = await asyncio.to_thread(
        native_sticky.entries, table, monotonic_ms(), pool=row, limit=args["limit"]
    )
    return [one._asdict() for one in found]
