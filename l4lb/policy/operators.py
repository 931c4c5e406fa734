"""What operators ask the policy process: counts, lists, users, and that decisions are made anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from l4lb.config.model import Forward
from l4lb.config.tables.forward import pool_name
from l4lb.errors import AdminError
from l4lb.lists.build import NameList
from l4lb.lists.name import name_of
from l4lb.policy.counts import Counts
from l4lb.policy.explaining import explain
from l4lb.policy.files import Books, Watched
from l4lb.policy.judge import Judge
from l4lb.policy.top import BY

FIND_S = 3.0  # in all; a file that is not reached in this time is not named

Args = Mapping[str, Any]


@dataclass
class Proxy:
    """One forward proxy."""

    judge: Judge
    books: Books


@dataclass
class Operators:
    """forwards: as configured. proxies: by the names of their pools. threads: where files are read.
    renew: no answer holds any more."""

    forwards: Mapping[str, Forward]
    proxies: Mapping[str, Proxy]
    lists: Mapping[str, Watched[NameList]]
    counts: Counts
    threads: Executor
    renew: Callable[[], None]

    async def answer(self, op: str, args: Args) -> Any:
        """Returns the answer to a question of an operator. Raises AdminError."""
        known: dict[str, Callable[[Args], Awaitable[Any]]] = {
            "check": self._check,
            "top": self._top,
            "lists": self._lists,
            "find": self._find,
            "reload_lists": self._reload_lists,
            "users": self._users,
            "flush": self._flush,
        }
        if op not in known:
            raise AdminError("bad_request", "the policy process knows no such question")
        return await known[op](args)

    def _forward(self, args: Args) -> str:
        """Returns the name of the forward proxy that is meant."""
        names = list(self.forwards)
        name = str(args.get("forward") or (names[0] if len(names) == 1 else ""))
        if name not in self.forwards:
            raise AdminError("not_found", f"which forward proxy? one of {', '.join(names)}")
        return name

    async def _check(self, args: Args) -> dict[str, Any]:
        name = self._forward(args)
        proxy = self.proxies[pool_name(name)]
        return await explain(proxy.judge, proxy.books, self.forwards[name], args)

    async def _top(self, args: Args) -> dict[str, Any]:
        name, by, limit = self._forward(args), str(args["by"]), int(args["limit"])
        if by not in BY:
            raise AdminError("bad_argument", f"--by {by} is none of {', '.join(BY)}")
        self.counts.take()
        verdicts = {word: count for word, count in self.counts.requests[name].items() if count}
        return {
            "forward": name,
            "by": by,
            "requests": sum(verdicts.values()),
            "verdicts": verdicts,
            "top": self.counts.top(name, by, limit),
        }

    # ---- lists ---------------------------------------------------------------------------------

    def _asked_lists(self, args: Args) -> dict[str, Watched[NameList]]:
        name = args.get("list")
        if name is None:
            return dict(self.lists)
        if name not in self.lists:
            known = ", ".join(self.lists) or "none"
            raise AdminError("not_found", f"no list {name}; the lists are {known}")
        return {name: self.lists[name]}

    async def _lists(self, args: Args) -> list[dict[str, Any]]:
        self.counts.take()
        return [
            {"list": name, **shown(one), "hits": self.counts.hits[name]}
            for name, one in self._asked_lists(args).items()
        ]

    async def _find(self, args: Args) -> dict[str, Any]:
        host, path = read_place(str(args.get("find")))
        asked = self._asked_lists(args)
        loop = asyncio.get_running_loop()
        until_s = time.monotonic() + FIND_S
        found = await loop.run_in_executor(self.threads, _found, asked, host, path, until_s)
        return {"host": host, "path": path, "found": found}

    async def _reload_lists(self, _: Args) -> list[dict[str, Any]]:
        """Reads all lists again, whether their files seem to have changed or not."""
        loop = asyncio.get_running_loop()
        for one in self.lists.values():
            if await loop.run_in_executor(self.threads, one.look, True):
                self.renew()
        return await self._lists({})

    # ---- users, decisions ----------------------------------------------------------------------

    async def _users(self, args: Args) -> list[dict[str, Any]]:
        names = [self._forward(args)] if args.get("forward") else list(self.forwards)
        limit, only = int(args["limit"]), args.get("user")
        rows: list[dict[str, Any]] = []
        for name in names:
            judge = self.proxies[pool_name(name)].judge
            users = judge.users()
            for row in judge.log_ins.shown(users, judge.clock.now_s()) if users else ():
                if only in (None, row["user"]) and len(rows) < limit:
                    rows.append({"forward": name, **row})
        return rows

    async def _flush(self, args: Args) -> dict[str, Any]:
        names = [self._forward(args)] if args.get("forward") else list(self.forwards)
        for name in names:
            self.proxies[pool_name(name)].judge.forget()
        self.renew()
        return {"flushed": "verdicts", "forwards": names}


def shown(one: Watched[NameList]) -> dict[str, Any]:
    """Returns what docs/admin.md (lists) says of a list, but its name and its hits."""
    made = one.value
    return {
        "entries": made.names if made else 0,
        "wrong": made.wrong if made else 0,
        "files": made.files if made else 0,
        "memory_bytes": made.bytes if made else 0,
        "age_s": int(time.time() - one.made_s) if made else None,
        "error": one.error or (made.unread if made else "") or None,
    }


def read_place(text: str) -> tuple[str, str | None]:
    """Returns host and path of HOST, HOST/PATH or a URL. Raises AdminError."""
    host, slash, path = text.partition("://")[2 if "://" in text else 0].partition("/")
    bare = host if host.endswith("]") else host.rpartition(":")[0] or host
    name = name_of(bare if "://" in text or host.count(":") == 1 or "]" in host else host)
    if name is None:
        raise AdminError("bad_argument", f"{text} is no name of a host and no URL")
    return name, slash + path if slash else None


def _found(
    lists: Mapping[str, Watched[NameList]], host: str, path: str | None, until_s: float
) -> list[dict[str, Any]]:
    """Returns which lists have a host, and where. Slow: reads files."""
    rows = []
    for name, one in lists.items():
        hit = one.value.find(host, path, until_s) if one.value else None
        if hit is not None:
            file, _, line = hit.place.rpartition(":")
            rows.append({
                "list": name, "name": hit.name, "file": file or None,
                "line": int(line) if file else None,
            })  # fmt: skip
    return rows
