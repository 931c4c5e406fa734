"""Carries out the admin command `cache`: the caches, what they keep, and purges. Its row is in
cache_command.py."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from l4lb.control.channel import Channel
from l4lb.control.views import caches as views
from l4lb.errors import AdminError
from l4lb.native.table import Table

Map = dict[str, Any]
PURGES = ("url", "prefix", "host", "tag", "all")
HOW = "a purge is `cache purge URL`, --prefix URL, --host NAME, --tag TAG or --all"


async def cache(
    table: Table, fd: int, disks: Mapping[str, int], channel: Channel, args: Map
) -> Any:
    """Returns the caches; with `show`, what they keep of a URL; with `purge`, what was purged. fd:
    their memory. disks: the bytes of their disks, by name."""
    action, what = args["action"], [name for name in PURGES if args[name]]
    if action not in (None, "show", "purge"):
        raise AdminError("bad_argument", f"{action} is not show or purge")
    if action == "purge":
        if len(what) != 1:
            raise AdminError("bad_argument", HOW)
        text = "" if what == ["all"] else args[what[0]]
        asked = {"kind": what[0], "text": text, "soft": bool(args["soft"])}
        return await channel.ask("cache_purge", _in_one(args, asked))
    if args["soft"] or what != (["url"] if action == "show" else []):
        raise AdminError("bad_argument", HOW if action is None else "show takes a URL only")
    if action == "show":
        keys = await channel.ask("cache_keys", _in_one(args, {"url": args["url"]}))
        return await asyncio.to_thread(views.kept, table, fd, args["url"], keys)
    return await asyncio.to_thread(views.caches, table, fd, args["cache"], disks)


def _in_one(args: Map, asked: Map) -> Map:
    return asked if args["cache"] is None else asked | {"cache": args["cache"]}
