"""A balancer with a listener of every kind, the exact servers behind it, and its configurations.

with World.made(rng) as world: world.lb ...; world.varied(rng)
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..balancer import Balancer
from ..configuration import Config, toml
from ..deadline import PATIENCE_S, SLOWNESS
from ..ports import PORTS
from ..secure import Authority

# Sources of hostile clients. Honest clients have others, so that limits by source do not affect
# them.
FOES = ("127.0.0.66", "127.0.0.67", "192.0.2.9")
KINDS = {"a": "plain", "b": "plain", "c": "plain", "local": "plain", "p1": "proxy", "p2": "proxy",
         "t1": "tls", "t2": "tls", "q1": "plain", "q2": "plain", "u1": "udp", "u2": "udp",
         "u3": "udp"}  # fmt: skip
TLS_NAME = "behind.example.test"  # server name of backends that terminate TLS
BALANCES = ("round_robin", "least_connections", "maglev", "random", "ip_hash")
CHECKS = {"type": "tcp", "interval": "500ms", "timeout": "10s", "fall": 3, "rise": 1}
QUEUE_S = int(120 * SLOWNESS)


class Servers:
    """The exact servers; the sum of what they have seen."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.ports = {name: PORTS.take() for name in KINDS if name != "local"}
        self.path = f"{folder}/backend.sock"
        self.served = self.echoed = 0
        self.wrong: list[str] = []
        self.short: list[tuple[int, str, float, float]] = []  # see server.py
        row = authority.issue(TLS_NAME, "127.0.0.1", file="behind")
        ours, theirs = socket.socketpair()
        with theirs:
            spec = {"fd": theirs.fileno(), "servers": self._specs(), **row}
            script = Path(__file__).with_name("server.py")
            self.process = subprocess.Popen(
                [sys.executable, str(script), json.dumps(spec)], pass_fds=[theirs.fileno()]
            )
        self._reins = ours
        self._reins.settimeout(PATIENCE_S * 3)
        self._lines = ours.makefile("rb")
        self._lines.readline()

    def _specs(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "kind": kind}
            | ({"port": self.ports[name]} if name in self.ports else {"path": self.path})
            for name, kind in KINDS.items()
        ]

    def look(self) -> None:
        """Adds the events since the last look."""
        self._reins.sendall(b"?\n")
        seen = json.loads(self._lines.readline())
        self.served += seen["served"]
        self.echoed += seen["echoed"]
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
        self._lines.close()
        self._reins.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)
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


@dataclass
class World:
    """lb: the running balancer. base: its first configuration."""

    lb: Balancer
    servers: Servers
    authority: Authority
    folder: Path
    base: Config
    extra: int
    trusts: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self.trusts = self.authority.client()

    @classmethod
    @contextlib.contextmanager
    def made(cls, drain_timeout_s: int = QUEUE_S) -> Iterator[World]:
        """Yields a world until the end of the block."""
        with contextlib.ExitStack() as stack:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="l4lb-chaos-"))
            folder = Path(name)
            folder.chmod(0o755)
            authority = stack.enter_context(Authority())
            servers = Servers(folder, authority)
            stack.callback(servers.close)
            extra = stack.enter_context(PORTS.taken())
            base: Config = {
                "process": {
                    "workers": 2,
                    "drain_timeout": f"{drain_timeout_s}s",
                    "log": {"access": f"{folder}/access.log"},
                },
                "limits": {"max_udp_sessions": 1500},
                "listeners": listeners(folder, authority),
                "pools": pools(servers, authority),
            }
            lb = stack.enter_context(Balancer(copy.deepcopy(base)))
            base["process"]["admin"] = lb.socket
            yield cls(lb, servers, authority, folder, base, extra)

    def port(self, listener: str) -> int:
        """Returns the port of a listener."""
        return int(str(self.base["listeners"][listener]["bind"][0]).rpartition(":")[2])

    def logged(self, port: int) -> list[str]:
        """Returns the newest lines of the access log about sessions of clients with this port."""
        lines = (self.folder / "access.log").read_text().splitlines() if port else []
        return [line for line in lines if f":{port}" in line][-5:]

    def varied(self, rng: random.Random) -> Config:
        """Returns another configuration: another number of workers, other pools, perhaps one more
        port."""
        config = copy.deepcopy(self.base)
        config["process"]["workers"] = rng.randint(1, 3)
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
        if rng.random() < 0.5:
            config["listeners"]["plain"]["bind"].append(f"127.0.0.1:{self.extra}")
        return config

    def write(self, config: Config) -> None:
        """Writes a configuration to the balancer's file."""
        (self.lb.folder / "l4lb.toml").write_text(toml(config))
