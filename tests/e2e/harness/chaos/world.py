"""A balancer with a listener of every kind, the exact servers behind it, and its configurations.

with World.made() as world: world.lb ...; world.servers.look()
"""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

from ..configuration import Config
from ..ports import PORTS
from ..secure import Authority
from ..soak.script import Script
from ..soak.world import BALANCES, CHECKS, DRAIN_S, SoakWorld

KINDS = {"a": "plain", "b": "plain", "c": "plain", "local": "plain", "p1": "proxy", "p2": "proxy",
         "t1": "tls", "t2": "tls", "q1": "plain", "q2": "plain", "u1": "udp", "u2": "udp",
         "u3": "udp"}  # fmt: skip
TLS_NAME = "behind.example.test"  # server name of backends that terminate TLS
QUEUE_S = DRAIN_S


class Servers:
    """The exact servers; the sum of what they have seen."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.ports = {name: PORTS.take() for name in KINDS if name != "local"}
        self.path = f"{folder}/backend.sock"
        self.wrong: list[str] = []
        self.short: list[tuple[int, str, float, float]] = []  # see server.py
        row = authority.issue(TLS_NAME, "127.0.0.1", file="behind")
        script = Path(__file__).with_name("server.py")
        self.script = Script(script, servers=self._specs(), **row)
        self.script.answer()  # they listen

    def _specs(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "kind": kind}
            | ({"port": self.ports[name]} if name in self.ports else {"path": self.path})
            for name, kind in KINDS.items()
        ]

    def look(self) -> None:
        """Adds the events since the last look."""
        seen = self.script.ask("?")
        self.wrong += seen["wrong"]
        self.short += [(seed, manner, begun, ended) for seed, manner, begun, ended in seen["short"]]

    def dropped(self) -> int:
        """Returns for how many datagrams the UDP servers had no room, as the kernel counts them."""
        rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
        ports = {self.ports[name] for name, kind in KINDS.items() if kind == "udp"}
        return sum(int(row[-1]) for row in rows if int(row[1].rpartition(":")[2], 16) in ports)

    def row(self, name: str, **more: Any) -> dict[str, Any]:
        """Returns the configuration row of a backend."""
        port = self.ports.get(name)
        return {
            "name": name,
            "address": f"127.0.0.1:{port}" if port else f"unix:{self.path}",
        } | more

    def close(self) -> None:
        """Ends the process."""
        self.script.close()
        for port in self.ports.values():
            PORTS.release(port)


def listeners(folder: Path, authority: Authority) -> dict[str, Any]:
    """Returns one listener of each kind, named after its kind."""

    def here(**more: Any) -> dict[str, Any]:
        return {"bind": [f"127.0.0.1:{PORTS.take()}"]} | more

    tls = {"certificates": [authority.issue("localhost")]}
    limits = {"connections": 64, "connections_per_source": 16, "bandwidth_per_session": "8MiB",
              "first_byte_timeout": f"{QUEUE_S}s"}  # fmt: skip
    return {
        "plain": here(pool="plain"),
        "unix": {"bind": [f"unix:{folder}/front.sock"], "pool": "local"},
        "sni": here(pool="plain", routes=[{"sni": TLS_NAME, "pool": "passed"}]),
        "proxied": here(pool="proxied", proxy_protocol="require", trusted=["127.0.0.0/8"]),
        "ends": here(pool="plain", tls=tls),
        "renewed": here(pool="secured", tls=tls),
        "secured": here(pool="secured"),
        "limited": here(pool="plain", limits=limits),
        "queued": here(pool="queued"),
        "datagrams": here(pool="datagrams", protocol="udp"),
        "singly": here(pool="singly", protocol="udp"),
    }


def pools(servers: Servers, authority: Authority) -> dict[str, Any]:
    """Returns the pools behind the listeners."""
    row = servers.row
    tls = [row("t1"), row("t2")]
    return {
        "plain": {"balance": "least_connections", "health": CHECKS,
                  "backends": [row("a"), row("b"), row("c", max_connections=2000)]},
        "local": {"backends": [row("local")]},
        "proxied": {"send_proxy": "v2", "backends": [row("p1"), row("p2")]},
        "passed": {"balance": "maglev", "health": CHECKS, "backends": tls},
        "secured": {"tls": {"ca": authority.path, "server_name": TLS_NAME}, "backends": tls},
        "queued": {"queue": {"length": 200, "timeout": f"{QUEUE_S}s"},
                   "backends": [row("q1", max_connections=1), row("q2", max_connections=1)]},
        "datagrams": {"balance": "maglev", "idle_timeout": "2s",
                      "backends": [row("u1"), row("u2")]},
        "singly": {"balance": "random", "idle_timeout": "2s", "per_datagram": True,
                   "backends": [row("u1"), row("u2"), row("u3")]},
    }  # fmt: skip


class World(SoakWorld):
    """The world of chaos: every kind of listener."""

    def _services(self, stack: contextlib.ExitStack) -> Config:
        self.trusts = self.authority.client()
        self.servers = Servers(self.folder, self.authority)
        stack.callback(self.servers.close)
        return {
            "limits": {"max_udp_sessions": 1500},
            "listeners": listeners(self.folder, self.authority),
            "pools": pools(self.servers, self.authority),
        }

    def logged(self, port: int) -> list[str]:
        """Returns the newest lines of the access log about sessions of clients with this port."""
        lines = self.access_log.read_text().splitlines() if port else []
        return [line for line in lines if f":{port}" in line][-5:]

    def _vary(self, config: Config, rng: random.Random) -> None:
        """Chooses other backends for pools."""
        plain = config["pools"]["plain"]
        plain["balance"] = rng.choice(BALANCES)
        plain["backends"] = [
            one | {"weight": rng.randint(1, 5)}
            for one in plain["backends"]
            if one["name"] == "a" or rng.random() < 0.7
        ]
        for name in ("passed", "singly", "datagrams", "proxied"):
            backends = config["pools"][name]["backends"]
            config["pools"][name]["backends"] = rng.sample(backends, rng.randint(1, len(backends)))
