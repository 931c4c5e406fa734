"""Converts an http block: servers that share an address become one listener, whose routes are the
locations of all its servers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from l4lb.importer.branches import Alternative, Branch, decided, written
from l4lb.importer.draft import Rank, Table, free_name, name_of
from l4lb.importer.nginx import tls, web_caches
from l4lb.importer.nginx.addresses import Address, addresses
from l4lb.importer.nginx.doors import fill, finish
from l4lb.importer.nginx.scope import Scope
from l4lb.importer.nginx.server import Server
from l4lb.importer.nginx.settings import ROWS, guess
from l4lb.importer.nginx.tree import Node
from l4lb.importer.nginx.upstreams import upstream
from l4lb.importer.nginx.variables import Variables, server_names
from l4lb.importer.nginx.web_caches import Caches
from l4lb.importer.nginx.web_locations import ABSENT, Locations
from l4lb.importer.nginx.web_pools import Pools
from l4lb.importer.nginx.web_words import examine
from l4lb.importer.nginx.world import World
from l4lb.importer.quantities import size, written_size

OF_SERVERS = ("server_name", "set_real_ip_from", "access_log", "limit_conn", "limit_conn_dry_run")
TLS_ROWS = tuple(name for name in tls.ROWS if not name.startswith("proxy_ssl"))
BODY = 1 << 20  # nginx's default
# nginx's defaults where l4lb's differ.
TIMES = (("head_timeout", "client_header_timeout", "60s"), ("rest_timeout", "keepalive_timeout",
                                                            "75s"))  # fmt: skip


def web(world: World, nodes: tuple[Node, ...]) -> None:
    """Converts an http block."""
    draft = world.draft
    variables = Variables(lambda node, rank, why: draft.leave(node.place, rank, why))
    zones: dict[str, dict[str, Node]] = {"limit_conn_zone": {}, "limit_req_zone": {}}
    for node in nodes:
        if node.name in zones and len(node.args) > 1:
            name = node.arg(1).removeprefix("zone=").partition(":")[0]
            zones[node.name][name] = node
        elif node.name in ("map", "geo", "split_clients"):
            draft.leave(node.place, Rank.NOTE, "variables of this kind are not carried over")
        elif node.name == "resolver":
            world.resolver = node
    upstreams = {
        node.arg(): upstream(world, node, http=True)
        for node in nodes if node.name == "upstream" and node.args
    }  # fmt: skip
    common = [one for one in nodes if one.name not in ("server", "upstream")]
    servers = [
        _server(world, node, common, variables, zones["limit_conn_zone"])
        for node in nodes if node.name == "server"
    ]  # fmt: skip
    Web(world, common, Pools(upstreams), Caches(nodes), zones["limit_req_zone"]).make(servers)


def _server(
    world: World, node: Node, common: Sequence[Node], variables: Variables, zones: dict[str, Node]
) -> Server:
    """Reads the directives of a server that are about its listeners."""
    server = Server(world, node, variables, zones, {})
    scope = Scope((common, node.block))
    for name in (*OF_SERVERS, *TLS_ROWS, "ssl"):
        for one in scope.of(name):
            row = ROWS.get(name) or tls.ROWS[name]
            _read(server, one, row)
    for one in node.block:
        if one.name == "listen":
            _listen(server, one)
    if not any(one.name == "listen" for one in node.block):
        server.listens.append(replace(node, name="listen", args=("80",), block=()))
    handled = (*OF_SERVERS, *tls.ROWS, *web_caches.DIRECTIVES, "ssl", "listen")
    examine(server, [*common, *node.block], handled)
    real = scope.last("real_ip_header")
    if server.trusted and (real is None or real.arg() != "proxy_protocol"):
        rank = Rank.OPEN if scope.of("allow", "deny") else Rank.DIFFERENT
        why = "http.trusted: allow and deny see the address of the connection, not of the field"
        server.leave(real or scope.of("set_real_ip_from")[0], rank, why)
    return server


def _read(server: Server, node: Node, row: object) -> None:
    assert callable(row)
    try:
        row(server, node)
    except ValueError as error:
        server.leave(node, guess(node), f"not understood: {error}")


def _listen(server: Server, node: Node) -> None:
    """Reads a listen; without a port it is 80."""
    text = node.arg()
    if "quic" in node.args:
        server.leave(node, Rank.DIFFERENT, "clients speak HTTP/1.1 over TCP")
        return
    ported = text.isdigit() or text.startswith("unix:") or text.rpartition("]")[2].count(":") > 0
    args = node.args if ported else (f"{text}:80", *node.args[1:])
    server.listens.append(replace(node, args=args))


class Web:
    """Makes the listeners of all servers."""

    def __init__(
        self,
        world: World,
        common: Sequence[Node],
        pools: Pools,
        caches: Caches,
        zones: dict[str, Node],
    ) -> None:
        self._world = world
        self._common = common
        self._pools = pools
        self._caches = caches
        self._zones = zones

    def make(self, servers: list[Server]) -> None:
        for server in servers:
            finish(server)
        groups: dict[str, list[Address]] = {}
        for one in addresses(servers):
            order = [id(one.default or one.servers[0]), *map(id, one.servers)]
            key = json.dumps([order, one.options], sort_keys=True)
            groups.setdefault(key, []).append(one)
        for group in groups.values():
            self._listener(group)
        for server in servers:
            for place, rank, why in server.lost:
                self._world.draft.leave(place, rank, why)

    def _listener(self, group: list[Address]) -> None:
        draft, first = self._world.draft, group[0]
        server = first.default or first.servers[0]
        others = [one for one in first.servers if one is not server]
        made = {
            id(one): Locations(one, self._pools, self._caches, self._zones) for one in first.servers
        }
        branches = made[id(server)].branches(self._scope(server))
        for names, one in reversed(_by_name(others)):
            then = made[id(one)].branches(self._scope(one))
            branches = self._named(one, names, then, branches)
        absent = {"respond": {"status": ABSENT}}
        if all(not one.pool and one.keys == absent for one in branches):
            why = "nothing of it is carried over: the listener was left out"
            server.leave(server.node, Rank.MISSING, why)
            return
        routes, pool = written(branches, draft.nobody)
        table = Table(first.options.place)
        table.put("bind", [one.bind for one in group], table.place)
        table.put("protocol", "http", table.place)
        table.put("pool", pool, table.place)
        fill(server, first, table, others, [])
        if "tls" in table and not self._speaks_http2(server, first):
            table["tls"].put("alpn", ["http/1.1"], table.place)
        if routes:
            table.put("routes", routes, table.place)
        table.put("http", self._http(server, first, list(made.values())), table.place)
        named = [name_of(text) for text, _ in server.names if text not in ("_", "")]
        port = first.bind.rpartition(":")[2]
        base = named[0] if named else "web"
        name = base if base not in draft.listeners or not port.isdigit() else f"{base}-{port}"
        draft.listeners[free_name(name, draft.listeners)] = table

    def _speaks_http2(self, server: Server, address: Address) -> bool:
        said = [node.arg() for node in self._scope(server).of("http2")]
        return "http2" in address.options or said[-1:] == ["on"]

    def _scope(self, server: Server) -> Scope:
        return Scope((self._common, server.node.block))

    def _named(
        self, server: Server, names: list[str], then: list[Branch], others: list[Branch]
    ) -> list[Branch]:
        try:
            return decided([Alternative({"host": names})], then, others)
        except ValueError as error:
            server.leave(server.node, Rank.OPEN, f"l4lb cannot express it: {error}")
            return others

    def _http(self, server: Server, address: Address, made: list[Locations]) -> Table:
        """Returns how the listener takes requests, with nginx's defaults."""
        scope, world = self._scope(server), self._world
        table = Table(server.node.place)
        for key, name, usual in TIMES:
            table.put(key, usual, table.place)
            for node in scope.of(name):
                with self._told(server, node):
                    if node.arg().rstrip("smh") == "0":
                        table.put("max_requests", 1, node.place)
                    else:
                        table.put(key, world.time(node, node.arg(), key), node.place)
        for node in scope.of("keepalive_requests"):
            with self._told(server, node):
                table.default("max_requests", int(node.arg()), node.place)
        table.default("max_requests", 1_000)
        table.put("max_body", self._body(address.servers), table.place)
        table.put("forwarded", "append" if any(one.tells for one in made) else "off", table.place)
        header = "X-Request-Id" if any(one.identifies for one in made) else "off"
        table.put("request_id", header, table.place)
        table.put("hide", ["Server"], table.place)
        if any(one.arg() == "on" for one in scope.of("underscores_in_headers")):
            table.put("underscores", "pass", table.place)
        if any(one.arg() == "off" for one in scope.of("merge_slashes")):
            table.put("merge_slashes", False, table.place)
        if server.trusted:
            table.put("trusted", server.trusted, table.place)
        elif any(one.tells for one in made):
            why = "X-Forwarded-* that clients send are dropped: put your proxies in http.trusted"
            server.lost.append((server.node.place, Rank.DIFFERENT, why))
        return table

    @contextmanager
    def _told(self, server: Server, node: Node) -> Iterator[None]:
        """Reports a directive whose value cannot be read."""
        try:
            yield
        except ValueError as error:
            server.leave(node, guess(node), f"not understood: {error}")

    def _body(self, servers: Sequence[Server]) -> str:
        """Returns the largest body that a location of the servers takes."""
        nodes = [one for server in servers for one in _all(server.node.block)
                 if one.name == "client_max_body_size"]  # fmt: skip
        nodes += [one for one in self._common if one.name == "client_max_body_size"]
        sizes = set()
        for one in nodes:
            with self._told(servers[0], one):
                sizes.add(size(one.arg()))
        sizes = sizes or {BODY}
        if len(sizes) > 1:
            for one in nodes:
                why = "a listener has one limit: the largest"
                servers[0].leave(one, Rank.DIFFERENT, why)
        return "0B" if 0 in sizes else written_size(max(sizes))


def _all(nodes: Sequence[Node]) -> list[Node]:
    return [one for node in nodes for one in (node, *_all(node.block))]


def _overlaps(wide: str, server: Server, servers: Sequence[Server]) -> bool:
    """Returns whether another server has a name that a name with an asterisk covers, or covers
    it."""
    names = [
        name for other in servers if other is not server
        for text, _ in other.names for name in server_names(text) or ()
    ]  # fmt: skip
    return any(name.endswith(wide[1:]) or wide.endswith(name.lstrip("*")) for name in names)


def _by_name(servers: Sequence[Server]) -> list[tuple[list[str], Server]]:
    """Returns servers with their names, as nginx looks at them: exact names, the longest name with
    an asterisk, expressions."""
    found: list[tuple[int, int, list[str], Server]] = []
    for server in servers:
        exact: list[str] = []
        for text, node in server.names:
            names = server_names(text)
            if names is None:
                if text not in ("_", ""):
                    why = f"{text}: not a name as routes have them"
                    server.leave(node, Rank.MISSING, why)
                continue
            for name in names:
                if text.startswith("~"):
                    found.append((2, 0, [name], server))
                elif name.startswith("*"):
                    found.append((1, -len(name), [name], server))
                else:
                    exact.append(name)
        wide = [one for one in found if one[0] == 1 and one[3] is server]
        if exact and not any(_overlaps(one[2][0], server, servers) for one in wide):
            exact += [one[2][0] for one in wide]
            found = [one for one in found if one not in wide]
        if exact:
            found.append((0, 0, exact, server))
        if not any(one[3] is server for one in found):
            why = "another server has this address; it is reached by its server_name alone"
            server.leave(server.node, Rank.NOTE, why)
    return [(names, server) for _, _, names, server in sorted(found, key=lambda one: one[:2])]
