"""Pools of an http block: an upstream, or an address, with the settings of the locations that use
it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from l4lb.importer.draft import NAME_MAX, RETRIES_MAX, Rank, Table, free_name, name_of
from l4lb.importer.nginx import tls
from l4lb.importer.nginx.scope import Scope
from l4lb.importer.nginx.server import Server
from l4lb.importer.nginx.servers import TRIES, behind
from l4lb.importer.nginx.tree import Node

PORTS = {"http": "80", "https": "443"}
TARGET = re.compile(r"(https?)://(unix:[^:]+|[^/]+):?(/.*)?")
HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9a-fA-F:]+\](:\d{1,5})?")
ASKED = ("$host", "$http_host", "$host:$server_port", "$host:$proxy_port")
# nginx's defaults where l4lb's differ.
DEFAULTS = {"proxy_connect_timeout": "60s", "proxy_read_timeout": "60s"}
RERETRIES_MAX = {
    "error": ("connect", "reuse", "reset"), "timeout": ("connect", "timeout"),
    "invalid_header": ("reset",), "http_502": ("502",), "http_503": ("503",),
    "http_504": ("504",), "off": (),
}  # fmt: skip


class Pools:
    """Makes the pools of an http block, each once."""

    def __init__(self, upstreams: Mapping[str, Table]) -> None:
        self._upstreams = upstreams
        self._known: dict[tuple[str, str], str] = {}

    def pool(self, server: Server, scope: Scope, node: Node) -> tuple[str, str]:
        """Returns the pool of a proxy_pass, and the URI in it. Raises ValueError."""
        match = TARGET.fullmatch(node.arg())
        if match is None or "$" in node.arg():
            raise ValueError("it must name http:// or https:// with an upstream or an address")
        scheme, target, uri = match[1], match[2], match[3] or ""
        base = self._upstreams.get(target)
        pool = base.twin() if base is not None else Table(node.place)
        if base is None:
            one = Table(node.place)
            ported = target.startswith("unix:") or re.search(r":\d+$", target)
            one.put("address", target if ported else f"{target}:{PORTS[scheme]}", node.place)
            pool.put("backends", [one], node.place)
        elif not {"backends", "discovery"} & set(base):
            raise ValueError("this upstream has no server that is carried over")
        self._fill(pool, server, scope, node, target)
        if scheme == "https":
            _secure(pool, server, scope, node, target)
        known = json.dumps(pool, sort_keys=True)
        draft = server.world.draft
        if (target, known) not in self._known:
            name = free_name(name_of(target)[:NAME_MAX], draft.pools)
            self._known[target, known] = name
            draft.pools[name] = pool
        return self._known[target, known], uri

    def _fill(self, pool: Table, server: Server, scope: Scope, node: Node, target: str) -> None:
        world, place = server.world, node.place
        backends = pool.pop("backends", [])
        for key, name in (("connect_timeout", "proxy_connect_timeout"),
                          ("idle_timeout", "proxy_read_timeout")):  # fmt: skip
            said = scope.last(name)
            text = world.time(said, said.arg(), key) if said else DEFAULTS[name]
            pool.put(key, text, said.place if said else place)
        bound = scope.last("proxy_bind")
        if bound and bound.arg() != "off" and "$" not in bound.arg():
            pool.put("source", bound.arg(), bound.place)
        _retries(pool, server, scope, len(backends))
        http = pool.table("http", place)
        read = scope.last("proxy_read_timeout")
        text = world.time(read, read.arg(), "answer_timeout") if read else "60s"
        http.put("answer_timeout", text, read.place if read else place)
        http.put("host", _host(server, scope, node, target), place)
        if backends:
            pool["backends"] = backends


def _retries(pool: Table, server: Server, scope: Scope, count: int) -> None:
    node, tries = scope.last("proxy_next_upstream"), scope.last("proxy_next_upstream_tries")
    words = node.args if node else ("error", "timeout")
    place = (node or server.node).place
    found = [one for word in words for one in RERETRIES_MAX.get(word, ())]
    pool.table("http", place).put("retry_on", list(dict.fromkeys([*found, "reuse"])), place)
    lost = [word for word in words if word not in RERETRIES_MAX]
    if lost and node:
        why = f"{' '.join(lost)}: a request is not sent again after it"
        server.leave(node, Rank.DIFFERENT, why)
    if words == ("off",):
        pool.put("retries", 0, place)
    elif tries and int(tries.arg()):
        pool.put("retries", min(RETRIES_MAX, int(tries.arg()) - 1), tries.place)
    elif count > 1 or "discovery" in pool:
        pool.default("retries", TRIES)


def _host(server: Server, scope: Scope, node: Node, target: str) -> str:
    """Returns the host that backends get: nginx sends the name in proxy_pass."""
    said = [one for one in scope.of("proxy_set_header") if one.arg().lower() == "host"]
    text = said[-1].arg(1) if said else target
    if text in ASKED:
        return "keep"
    text = target if text == "$proxy_host" else text
    if HOST.fullmatch(text) and "_" not in text:
        return text
    why = f"Host is the backend's address: {text} is no host"
    server.leave(said[-1] if said else node, Rank.DIFFERENT, why)
    return "backend"


def _secure(pool: Table, server: Server, scope: Scope, node: Node, target: str) -> None:
    """Sets TLS to backends."""
    twin = Server(server.world, server.node, server.variables, {}, {})
    for name, row in tls.ROWS.items():
        for one in scope.of(name) if name.startswith("proxy_ssl_") else ():
            row(twin, one)
    twin.backend_tls = node
    pool.put("tls", behind(twin, target), node.place)
    server.lost += twin.lost
