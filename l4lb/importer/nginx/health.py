"""Converts health_check of a server into its pool's health table."""

from __future__ import annotations

import re

from l4lb.importer.draft import Rank, Table
from l4lb.importer.nginx.server import Server
from l4lb.importer.nginx.tree import Node

PLAIN, TIMEOUT = "5s", "5s"  # nginx's defaults
ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


def health(server: Server, protocol: str) -> Table:
    """Returns the checks of a pool; nginx checks every five seconds, and one answer decides."""
    node = server.health
    assert node is not None
    table = Table(node.place)
    table.put("type", "udp" if protocol == "udp" or "udp" in node.args else "tcp", node.place)
    table.put("interval", PLAIN, node.place)
    table.put("timeout", server.handshakes.get("check", (TIMEOUT, node.place))[0], node.place)
    table.put("rise", 1, node.place)
    table.put("fall", 1, node.place)
    for word in node.args:
        key, _, value = word.partition("=")
        match key:
            case "interval":
                table.put("interval", server.world.time(node, value, "interval"), node.place)
            case "passes":
                table.put("rise", int(value), node.place)
            case "fails":
                table.put("fall", int(value), node.place)
            case "port":
                table.put("port", int(value), node.place)
            case "match":
                _match(server, node, value, table)
            case "udp" | "jitter" | "persistent":
                pass
            case "mandatory":
                table.put("initial", "down", node.place)
            case _:
                server.leave(node, Rank.UNCHECKED, f"{word}: not known to this import")
    return table


def _match(server: Server, node: Node, name: str, table: Table) -> None:
    block = server.checks.get(name)
    if block is None:
        server.leave(node, Rank.UNCHECKED, f"no match block is named {name}")
        return
    for one in block.block:
        if one.name == "send":
            table.put("send", _payload(one.arg()), one.place)
        elif one.name == "expect" and one.args[:1] == ("~",):
            table.put("expect", f"regex:{one.arg(1)}", one.place)
        elif one.name == "expect":
            table.put("expect", _payload(one.arg()), one.place)
        else:
            server.leave(one, Rank.UNCHECKED, "a check sends something and expects something here")


def _payload(text: str) -> str:
    """Returns text, in hexadecimal if it contains bytes."""
    said = text.replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t")
    if ESCAPE.search(said):
        plain = ESCAPE.sub(lambda one: chr(int(one[1], 16)), said)
        return "hex:" + plain.encode("latin-1", "replace").hex()
    return f"text:{said}" if said.startswith(("text:", "hex:", "regex:")) else said
