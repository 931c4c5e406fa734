"""The admin commands that change the configuration in force, or tell of it.

The supervisor carries them out (l4lb/supervisor/reload/reload.py); here is what needs the table
or another form.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from l4lb.control import toml
from l4lb.control.channel import Channel
from l4lb.control.views.plan import told
from l4lb.native.table import Table

Handler = Callable[[dict[str, Any]], Awaitable[Any]]

CHANGE_TIMEOUT_S = 45.0  # a configuration may be read for 30 s
MOVE_TIMEOUT_S = 25.0
UPGRADE_TIMEOUT_S = 55.0


def handlers(table: Table, channel: Channel) -> dict[str, Handler]:
    """Each command's handler."""

    def passed_on(op: str, timeout_s: float = CHANGE_TIMEOUT_S) -> Handler:
        async def ask(args: dict[str, Any]) -> Any:
            given = {key: value for key, value in args.items() if value is not None}
            return await channel.ask(op, given, timeout_s)

        return ask

    async def plan(args: dict[str, Any]) -> Any:
        return told(table, await passed_on("plan")(args))

    async def save(_: dict[str, Any]) -> Any:
        saved = await channel.ask("save", {})
        stated = saved.pop("stated")
        return saved | {"text": await asyncio.to_thread(toml.written, stated)}

    return {
        **{op: passed_on(op) for op in ("add", "remove", "reload", "confirm", "rollback", "diff")},
        "upgrade": passed_on("upgrade", UPGRADE_TIMEOUT_S),
        "rebalance": passed_on("rebalance", MOVE_TIMEOUT_S),
        "plan": plan,
        "save": save,
    }
