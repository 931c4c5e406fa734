"""A balancer with HTTP listeners, the exact origins behind it, and its configurations.

with World.made() as world: world.lb ...; world.varied(rng); world.origins[0].die()
"""

from __future__ import annotations

import contextlib
import copy
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from ..configuration import Config
from ..ports import PORTS
from ..processes import kill_and_wait
from ..secure import Authority
from ..soak.script import Script
from ..soak.world import BALANCES, CHECKS, SoakWorld
from .talk import BEGUN, KEPT

NAMES = ("a", "b", "c")
SPARE = "1s"  # how long idle connections to origins are kept, so that none is left at the end
NAMED = re.compile(r"\bid=(\d+)")
LISTENERS = ("plain", "secure")


class Origin:
    """An exact origin, in a process that can die and come back."""

    def __init__(self, name: str, folder: Path) -> None:
        """folder: has the journals of its processes, one for each."""
        self.name, self.port, self.folder = name, PORTS.take(), folder
        self.journals: list[Path] = []
        self.wrong: list[str] = []
        self.script = Script(Path(__file__).with_name("origin.py"), port=self.port)
        self.start()

    def start(self) -> None:
        """Starts its process. Returns when it listens."""
        self.journals.append(self.folder / f"{self.name}.{len(self.journals)}")
        self.pid = int(self.script.ask(str(self.journals[-1]))["pid"])

    def look(self) -> None:
        """Adds the events since the last look."""
        self.wrong += self.script.ask("?")

    def die(self) -> None:
        """Kills its process (kill -9)."""
        self.look()
        kill_and_wait(self.pid)

    def in_progress(self) -> frozenset[int]:
        """Returns the requests that its newest process has begun and not ended."""
        return in_progress(self.journals[-1])

    def close(self) -> None:
        """Ends its process."""
        self.script.close(self.pid)
        PORTS.release(self.port)

    @property
    def row(self) -> dict[str, Any]:
        return {"name": self.name, "address": f"127.0.0.1:{self.port}"}


def entries(journal: Path) -> Iterator[tuple[str, str, int]]:
    """Yields an origin's journal: what happened, the request's method and its seed."""
    if journal.exists():
        for line in journal.read_text().splitlines():
            what, method, seed = line.split(" ")
            yield what, method, int(seed)


def in_progress(journal: Path) -> frozenset[int]:
    """Returns the requests that a journal begins and does not end."""
    count = Counter[int]()
    for what, _, seed in entries(journal):
        count[seed] += 1 if what == BEGUN else -1
    return frozenset(+count)


def _listeners(authority: Authority) -> dict[str, Any]:
    """Returns the listeners. Both have the pool `open` for its area, and `steady` for the rest."""
    routes = [{"name": "open", "path_prefix": "/open/", "pool": "open"}]
    http = {"max_body": "2MiB", "rest_timeout": "60s"}

    def here(**more: Any) -> dict[str, Any]:
        bind = [f"127.0.0.1:{PORTS.take()}"]
        common = {"protocol": "http", "pool": "steady", "routes": routes, "http": http}
        return copy.deepcopy({"bind": bind, **common, **more})

    return {
        "plain": here(),
        "secure": here(tls={"certificates": [authority.issue("localhost")]}),
    }


def _pool(origins: list[Origin]) -> dict[str, Any]:
    return {
        "balance": "least_connections",
        "health": CHECKS,
        "retries": 2,
        "http": {"idle_timeout": SPARE, "retry_budget": "100%"},
        "backends": [one.row for one in origins],
    }


class World(SoakWorld):
    """The world of HTTP."""

    def _services(self, stack: contextlib.ExitStack) -> Config:
        self.origins = [Origin(name, self.folder) for name in NAMES]
        for one in self.origins:
            stack.callback(one.close)
        return {
            "listeners": _listeners(self.authority),
            "pools": {area: _pool(self.origins) for area in ("steady", "open")},
        }

    def look(self) -> list[str]:
        """Returns what origins found wrong so far."""
        for one in self.origins:
            one.look()
        return [wrong for one in self.origins for wrong in one.wrong]

    def begun(self) -> Counter[tuple[str, int]]:
        """Returns how often origins have begun each request, by method and seed."""
        return Counter(
            (method, seed)
            for one in self.origins
            for journal in one.journals
            for what, method, seed in entries(journal)
            if what == BEGUN
        )

    def clients_of(self, pid: int) -> frozenset[int]:
        """Returns the ports of the clients whose connections a process has open."""
        ours = {self.port(name) for name in LISTENERS} | {self.extra}
        return frozenset(
            one.raddr.port
            for one in psutil.Process(pid).net_connections("tcp4")
            if one.raddr and one.laddr.port in ours
        )

    def lines(self) -> dict[int, list[str]]:
        """Returns the access log's lines by the seed of their request."""
        found: dict[int, list[str]] = {}
        with self.access_log.open(errors="replace") as log:
            for line in log:
                if named := NAMED.search(line):
                    found.setdefault(int(named[1]), []).append(line.rstrip())
        return found

    def _vary(self, config: Config, rng: random.Random) -> None:
        """Chooses other limits, routes and backends."""
        for listener in config["listeners"].values():
            listener["http"] |= {
                "max_requests": rng.choice((0, 3, 20, 1000)),
                "max_head": rng.choice(("16KiB", "32KiB")),
                "max_fields": rng.choice((50, 100)),
                "forwarded": rng.choice(("off", "append", "replace", "rfc7239")),
                "http2": {
                    "streams": rng.choice((20, 100)),
                    "window": rng.choice(("64KiB", "256KiB", "1MiB")),
                },
            }
            if rng.random() < 0.5:
                more = {
                    "name": "again",
                    "path_prefix": "/steady/",
                    "method": "GET",
                    "pool": "steady",
                }
                listener["routes"].insert(rng.randint(0, 1), more)
        for pool in config["pools"].values():
            pool["balance"] = rng.choice(BALANCES)
            pool["backends"] = rng.sample(pool["backends"], rng.randint(2, len(pool["backends"])))
            pool["http"] |= {
                "reuse": rng.choice(("safe", "always", "never")),
                "idle_connections": rng.choice((1, 8, 64)),
                "max_requests": rng.choice((0, 2, 100)),
                "retry_body": rng.choice((f"{KEPT}B", "64KiB")),
                "retry_on": rng.choice((["connect", "reuse"], ["connect", "reuse", "503"])),
            }
