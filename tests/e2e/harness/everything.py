"""A balancer with every kind of listener and pool at once, its backends, and clients of each.

    with everything() as one: one.lb.admin("status")

When the block begins, the balancer has had: sessions of each protocol, a session that queues, a
backend that is down, one that is ejected, one that was ejected and came back, and names that are
hard to show in a column; of HTTP requests, one is answered and one in progress.
"""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import datagrams
from .backends import Backends
from .balancer import Balancer
from .deadline import PATIENCE_S, until
from .http import Request
from .origin import Gate, Origin, Reply, path_and_name
from .ports import PORTS
from .secure import Authority, secure

LONG = "backend-" + "of-a-very-long-name-" * 2 + "end"
BRIEF = {"failures": 1, "eject": "1s", "max_eject": "1s", "max_ejected": "100%"}
LASTING = {"failures": 1, "eject": "1h", "max_eject": "1h", "max_ejected": "100%"}

SLOW = "/report?year=2026"
ADS = "a-host-with-a-long-name-that-is-cut.of-a-network-of-ads.example"
HASH = "$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0"  # of "secret", by openssl passwd -apr1


@dataclass(frozen=True)
class _Slow:
    """Answers requests, except those for SLOW: they stay in progress."""

    gate: Gate

    def __call__(self, request: Request) -> bytes | Reply:
        with contextlib.suppress(AssertionError):  # the gate was not opened: the tests took longer
            return self.gate(request) if request.target == SLOW else path_and_name("page")(request)
        return Reply(b"", "close")


@dataclass
class Everything:
    """lb: the running balancer. Discovery reads `found.json` and `none.json` in its folder."""

    lb: Balancer
    folder: Path
    backends: Backends
    dead: str
    stack: contextlib.ExitStack

    def port(self, listener: str) -> int:
        """Returns the (first) port that a listener binds."""
        return int(self.lb.binds(listener)[0].rpartition(":")[2].partition("-")[0])

    def connect(self, listener: str) -> socket.socket:
        """Returns a client's connection to a TCP listener."""
        return socket.create_connection(("127.0.0.1", self.port(listener)), timeout=PATIENCE_S)

    def stay(self, listener: str, first: bytes = b"") -> None:
        """Opens one more session at a TCP listener, until the end of the block."""
        _said(self.stack.enter_context(self.connect(listener)), first)


def _said(client: socket.socket, first: bytes = b"") -> None:
    """Waits for the name of the backend: the client is then served."""
    client.sendall(first)
    assert client.recv(1)


def _listeners(folder: Path, authority: Authority) -> dict[str, Any]:
    def here(count: int = 1) -> list[str]:
        first = PORTS.take(count)
        return [f"127.0.0.1:{first}" + (f"-{first + count - 1}" if count > 1 else "")]

    certificates = [authority.issue("localhost"), authority.issue("*.example.test")]
    return {
        "web": {"bind": here(), "pool": "web"},
        "ports": {"bind": here(3), "pool": "plain"},
        "local": {"bind": [f"unix:{folder}/a-folder-with-a-long-name/of/local.sock"],
                  "pool": "plain"},
        "names": {"bind": here(), "protocol": "udp", "pool": "names"},
        "secure": {
            "bind": here(), "pool": "plain", "tls": {"certificates": certificates},
            "routes": [{"sni": "sticky.example.test", "pool": "sticky"},
                       {"sni": "*.example.test", "pool": "found"}],
        },
        "inner": {"bind": here(), "pool": "inner"},
        "pages": {
            "bind": here(), "pool": "site", "protocol": "http",
            "routes": [{"name": "assets", "path_prefix": "/static/", "pool": "site"},
                       {"path": "/old", "redirect": "/new"}],
            "filter": {"rules": [{"name": "secrets", "path_prefix": "/.git", "action": "deny"}]},
            "http": {"cache": "pages",
                     "inspect": [{"name": "uploads", "icap": "none", "path_prefix": "/up"}],
                     "record": [{"name": "odd", "record": "odd", "path_prefix": "/odd"}]},
        },
        "proxied": {"bind": here(), "pool": "sticky", "proxy_protocol": "accept",
                    "trusted": ["127.0.0.0/8"]},
        "limited": {
            "bind": here(), "pool": "web",
            "limits": {"connections": 100, "rate": 1_000, "bandwidth_per_session": "1MiB",
                       "connections_per_source": {"limit": 1, "dry_run": True}},
            "access": {"allow": ["127.0.0.0/8", "2001:db8::/32"], "deny": ["192.0.2.0/24"]},
        },
        "narrow": {"bind": here(), "pool": "narrow"},
        "brief": {"bind": here(), "pool": "brief"},
        "lasting": {"bind": here(), "pool": "lasting"},
        "empty": {"bind": here(), "pool": "empty"},
        "outside": {"bind": here(), "protocol": "http", "forward": "office"},
    }  # fmt: skip


def _pools(
    folder: Path, tcp: Backends, udp: datagrams.UdpBackends, site: Origin, dead: str
) -> dict[str, Any]:
    a, b = tcp.address("a"), tcp.address("b")
    checks = {"type": "tcp", "interval": "100ms", "fall": 1, "rise": 1}
    gone, works = {"name": "gone", "address": dead}, {"name": "works", "address": a}
    return {
        "web": {"health": checks,
                "backends": [works, {"name": LONG, "address": b}, gone | {"weight": 3}]},
        "plain": {"balance": "ip_hash", "backends": [a, b]},
        "names": {"balance": "first", "idle_timeout": "1h", "backends": udp.rows()},
        "site": {"http": {"idle_timeout": "1h", "answer_timeout": "1h"}, "backends": [site.row]},
        "inner": {"tls": {"verify": False}, "retries": 0, "backends": [a]},
        "sticky": {"balance": "maglev", "sticky": {"key": "source_ip"}, "backends": [a, b]},
        "narrow": {"backends": [{"name": "one", "address": a, "max_connections": 1}],
                   "queue": {"length": 5, "timeout": "5m"}},
        "brief": {"balance": "first", "passive": BRIEF, "backends": [gone, works]},
        "lasting": {"balance": "first", "passive": LASTING, "backends": [gone, works]},
        "found": {"discovery": {"type": "file", "path": f"{folder}/found.json"}},
        "empty": {"discovery": {"type": "file", "path": f"{folder}/none.json"}},
    }  # fmt: skip


@contextlib.contextmanager
def everything() -> Iterator[Everything]:
    """Yields the balancer, with clients that stay until the end of the block."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="l4lb-every-")))
        folder.chmod(0o755)
        (folder / "a-folder-with-a-long-name" / "of").mkdir(parents=True)
        tcp = stack.enter_context(Backends(2))
        udp = stack.enter_context(datagrams.UdpBackends(2))
        gate = Gate(path_and_name("page"))
        site = stack.enter_context(Origin(_Slow(gate), name="page"))
        stack.callback(gate.open)
        authority = stack.enter_context(Authority())
        dead = f"127.0.0.1:{stack.enter_context(PORTS.taken())}"
        (folder / "found.json").write_text(json.dumps([tcp.address("a")]))
        (folder / "none.json").write_text("[]")
        (folder / "ads").write_text(f"# a list\n{ADS}\n")
        (folder / "users").write_text(f"ann:{HASH}\n")
        config = {
            "process": {"workers": 2, "watch_picks": 1},
            "listeners": _listeners(folder, authority),
            "pools": _pools(folder, tcp, udp, site, dead),
            "icap": {"none": {"url": f"icap://{dead}/scan"}},
            "record": {"odd": {"folder": str(folder / "odd")}},
            "cache": {"pages": {"memory": "8MiB", "default_ttl": "1h"}},
            "forward": {
                "office": {
                    "allow_private": ["127.0.0.0/8"],
                    "auth": {"htpasswd": str(folder / "users")},
                    "rules": [
                        {"name": "local", "domain": "127.0.0.1", "action": "allow"},
                        {"name": "ads", "list": "ads", "action": "deny"},
                    ],
                }
            },
            "lists": {"ads": {"files": [str(folder / "ads")]}},
        }
        lb = stack.enter_context(Balancer(config))
        one = Everything(lb, folder, tcp, dead, stack)
        _use(one, authority)
        yield one


def _use(one: Everything, authority: Authority) -> None:
    """Opens clients of each listener, and causes the events that the module names."""
    stack = one.stack
    rows = one.lb.ask
    until(lambda: any(row["health"] == "down" for row in rows("backends")), "one is down")
    for listener in ("web", "ports", "limited", "brief", "lasting", "narrow"):
        one.stay(listener)
    one.stay("proxied", b"PROXY TCP6 2001:db8::192:0:2:7 2001:db8::1 50000 443\r\n")
    local = stack.enter_context(socket.socket(socket.AF_UNIX))
    local.settimeout(PATIENCE_S)
    local.connect(one.lb.binds("local")[0].removeprefix("unix:"))
    assert local.recv(1)
    for target in (SLOW, "/static/a"):
        page = stack.enter_context(one.connect("pages"))
        page.sendall(f"GET {target} HTTP/1.1\r\nHost: pages.example.test\r\n\r\n".encode())
        if target == SLOW:
            until(lambda: rows("requests"), "a request is in progress")
        else:
            assert page.recv(1)
    with one.connect("outside") as refused:
        refused.sendall(f"GET http://{ADS}/ HTTP/1.1\r\nHost: {ADS}\r\n\r\n".encode())
        assert refused.recv(12) == b"HTTP/1.1 403"
    for name in ("localhost", "sticky.example.test", "other.example.test"):
        _said(stack.enter_context(secure(one.connect("secure"), authority.client(), name)))
    client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    client.settimeout(PATIENCE_S)
    client.connect(("127.0.0.1", one.port("names")))
    assert datagrams.ask(client) == b"?"
    for listener in ("inner", "empty"):  # no backend can serve these clients
        with contextlib.suppress(ConnectionError), one.connect(listener) as turned_away:
            assert not turned_away.recv(1)
    stack.enter_context(one.connect("narrow"))
    until(lambda: any(row["waiting"] for row in rows("pools")), "a client queues")
    until(
        lambda: {"backend_ejected", "backend_returned"} <= {row["kind"] for row in rows("events")},
        "one was ejected and came back",
    )
