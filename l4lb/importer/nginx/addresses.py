"""The addresses that servers listen at, each once, with the options of its listen."""

from __future__ import annotations

from dataclasses import dataclass, field

from l4lb.importer.draft import Rank, Table
from l4lb.importer.nginx.server import Server
from l4lb.importer.nginx.tree import Node

SAME = ("reuseport", "bind", "deferred", "fastopen", "default_server", "default", "udp", "ssl",
        "proxy_protocol", "backlog", "rcvbuf", "sndbuf", "ipv6only", "accept_filter", "setfib",
        "so_keepalive", "multipath")  # fmt: skip
NOTED = ("backlog", "rcvbuf", "sndbuf", "setfib", "accept_filter")


@dataclass
class Address:
    """One address, its servers, and the options of its listen."""

    bind: str
    protocol: str
    options: Table
    servers: list[Server] = field(default_factory=list)
    default: Server | None = None


def addresses(servers: list[Server]) -> list[Address]:
    """Returns all addresses of the servers, each once, in the order of the file."""
    found: dict[tuple[str, str], Address] = {}
    for server in servers:
        for node in server.listens:
            protocol = "udp" if "udp" in node.args else "tcp"
            table = _options(server, node)
            for bind in _binds(node):
                one = found.setdefault((protocol, bind), Address(bind, protocol, table))
                if server not in one.servers:
                    one.servers.append(server)
                if {"default_server", "default"} & set(node.args):
                    one.default = server
                for key, value in table.items():
                    one.options.default(key, value, node.place)
    return list(found.values())


def _binds(node: Node) -> list[str]:
    text = node.arg()
    if text.isdigit():
        return [f"*:{text}"]
    both = "ipv6only=off" in node.args and text.startswith("[::]:")
    return [text, f"*:{text.rpartition(':')[2]}"] if both else [text]


def _options(server: Server, node: Node) -> Table:
    """Reads the options of a listen; ssl and proxy_protocol are finished later."""
    table = Table(node.place)
    for word in node.args[1:]:
        key, _, value = word.partition("=")
        match key:
            case "ssl" | "proxy_protocol" | "http2":
                table.put(key, True, node.place)
            case "so_keepalive":
                try:
                    _keepalive(server, node, value, table)
                except ValueError as error:
                    server.leave(node, Rank.DIFFERENT, f"{word}: not understood: {error}")
            case "multipath":
                table.put("mptcp", True, node.place)
            case "spdy":
                server.leave(node, Rank.DIFFERENT, f"{word}: clients speak HTTP/1.1 or HTTP/2")
            case _ if key not in SAME:
                server.leave(node, Rank.DIFFERENT, f"{word}: not known to this import")
            case _ if key in NOTED:
                server.leave(node, Rank.NOTE, f"{word}: as the host has it")
    if server.old_ssl is not None:
        table.put("ssl", True, node.place)
    return table


def _keepalive(server: Server, node: Node, value: str, table: Table) -> None:
    if value == "off":
        return
    made = Table(node.place)
    for key, text in zip(("idle", "interval", "probes"), value.split(":"), strict=False):
        if text and text != "on":
            number = int(text) if key == "probes" else server.world.time(node, text, "keepalive")
            made.put(key, number, node.place)
    table.put("keepalive", made, node.place)
