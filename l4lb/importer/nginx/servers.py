"""Converts servers into listeners. Servers that share an address become one listener, with a route
by server name to each of them except the default server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from l4lb.importer.draft import NAME_MAX, Draft, Rank, Table, free_name, name_of
from l4lb.importer.nginx.addresses import Address, addresses
from l4lb.importer.nginx.doors import fill, finish
from l4lb.importer.nginx.health import health
from l4lb.importer.nginx.server import Server
from l4lb.importer.nginx.variables import Case, server_names

# nginx's defaults where l4lb's differ.
DEFAULTS: Mapping[str, object] = {"connect_timeout": "60s", "idle_timeout": "10m"}
TRIES = 8  # nginx tries all servers; this is l4lb's maximum
SHORTLY = "10s"  # proxy_half_close is off: nginx ends a session at its first FIN
TCP_ONLY = ("connect_timeout", "half_closed_timeout", "retries", "keepalive", "send_proxy", "tls")
UDP_ONLY = ("responses", "requests", "proxy_protocol_udp")


# ---- listeners -----------------------------------------------------------------------------------


class Listeners:
    """Makes the listeners of all servers, and the pools that they need."""

    def __init__(self, draft: Draft, upstreams: Mapping[str, Table]) -> None:
        self._draft = draft
        self._upstreams = upstreams
        self._pools: dict[tuple[str, str], str] = {}
        self._where: dict[int, tuple[str, str]] = {}
        self._streams: set[str] = set()  # targets that a server uses for TCP

    def make(self, servers: list[Server]) -> None:
        for server in servers:
            finish(server)
            if server.target and any("udp" not in one.args for one in server.listens):
                self._streams.add(server.target.arg())
        groups: dict[str, list[Address]] = {}
        for one in addresses(servers):
            order = [id(one.default or one.servers[0]), *map(id, one.servers)]
            key = json.dumps([one.protocol, order, one.options], sort_keys=True)
            groups.setdefault(key, []).append(one)
        for group in groups.values():
            self._listener(group)
        for server in servers:
            if not server.listens:
                server.leave(server.node, Rank.MISSING, "it listens at no address")
            for place, rank, why in server.lost:
                self._draft.leave(place, rank, why, self._where.get(id(server), ()))

    def _listener(self, group: list[Address]) -> None:
        first = group[0]
        server = first.default or first.servers[0]
        others = [one for one in first.servers if one is not server]
        table = Table(first.options.place)
        table.put("bind", [one.bind for one in group], table.place)
        routes = [route for one in others for route in self._named(one, first)]
        cases = self._cases(server, first)
        if not cases:
            return
        routes += [_route(server, condition, pool) for condition, pool in cases[:-1]]
        table.put("pool", cases[-1][1], table.place)
        if first.protocol == "udp":
            table.put("protocol", "udp", table.place)
        fill(server, first, table, others, routes)
        if routes:
            table.put("routes", routes, table.place)
        name = self._name(server, first)
        self._draft.listeners[name] = table
        for one in first.servers:
            self._where.setdefault(id(one), ("listeners", name))

    def _named(self, server: Server, address: Address) -> list[Table]:
        """Returns routes to a server by its names."""
        names: list[str] = []
        for text, node in server.names:
            found = server_names(text)
            if found is None:
                server.leave(node, Rank.MISSING, f"{text}: not a name as routes have them")
            names += found or []
        if not names:
            why = "another server has this address; it is reached by its server_name alone"
            server.leave(server.node, Rank.MISSING, why)
            return []
        made = []
        for condition, pool in self._cases(server, address):
            if "sni" in condition:
                server.leave(server.node, Rank.MISSING, "two conditions by server name")
                continue
            made.append(_route(server, {"sni": names, **condition}, pool))
        return made

    def _cases(self, server: Server, address: Address) -> list[Case]:
        """Returns the pools for different clients; nothing if the server cannot be converted."""
        if server.target is None:
            server.leave(server.node, Rank.MISSING, "no proxy_pass: the listener was left out")
            return []
        try:
            said = server.variables.cases(server.target.arg())
        except ValueError as error:
            why = f"{error}: the listener was left out"
            server.leave(server.target, Rank.MISSING, why)
            return []
        found: list[Case] = []
        for condition, value in said:
            pool = self._pool(server, value, address)
            if pool:
                found.append((condition, pool))
        if not found or found[-1][0]:
            server.leave(server.target, Rank.MISSING, "its pool was left out, and so it was")
            return []
        return found

    def _name(self, server: Server, address: Address) -> str:
        assert server.target is not None
        target = server.target.arg().replace("$", "")
        pool = name_of(target)
        named = [name_of(text) for text, _ in server.names if text not in ("_", "")]
        base = named[0] if named else pool
        if address.bind.startswith("unix:") and not named and ":" in pool:
            base = name_of(address.bind)
        suffix = "-udp" if address.protocol == "udp" and not base.endswith("-udp") else ""
        port = address.bind.rpartition(":")[2]
        wanted = [base + suffix, f"{base}-{port}{suffix}"]
        taken = self._draft.listeners
        free = next((one for one in wanted if one not in taken and port.isdigit()), base + suffix)
        return free_name(free, taken)

    # ---- pools -----------------------------------------------------------------------------------

    def _pool(self, server: Server, target: str, address: Address) -> str:
        """Returns the pool of a target with a server's settings; "" if there is none. Servers that
        use an upstream with different settings have separate pools."""
        if not target:
            return self._draft.nobody(server.node.place)
        base = self._upstreams.get(target)
        backends: Any = base.get("backends", []) if base is not None else None
        if base is None:
            if not target.startswith("unix:") and not target.rpartition(":")[2].isdigit():
                assert server.target is not None
                why = f"{target}: no upstream, and no address with a port"
                server.leave(server.target, Rank.MISSING, why)
                return ""
            one = Table(server.node.place)
            one.put("address", target.removesuffix(":") if "unix:" in target else target, one.place)
            base, backends = Table(server.node.place), [one]
        elif not backends and "discovery" not in base:
            return ""
        pool = base.twin()
        pool.drop(["backends"])
        for key, value in _settings(server, address.protocol, target).items():
            pool.put(key, value, server.node.place)
        if len(backends) > 1 or "discovery" in pool:
            pool.default("retries", TRIES)
        if address.protocol == "udp":
            pool.drop(["retries"])
        if backends:
            pool["backends"] = [one.twin() for one in backends]
        known = json.dumps(pool, sort_keys=True)
        if (target, known) not in self._pools:
            name = self._free(target, address)
            self._pools[target, known] = name
            self._draft.pools[name] = pool
        return self._pools[target, known]

    def _free(self, target: str, address: Address) -> str:
        """Returns a free name for a pool: that of the target, with the protocol or the port if it
        is taken."""
        name, taken = name_of(target), self._draft.pools
        port = address.bind.rpartition(":")[2]
        if address.protocol == "udp" and target in self._streams:
            name += "-udp"
        if name in taken and port.isdigit():
            name += f"-{port}"
        return free_name(name[:NAME_MAX], taken)


def _settings(server: Server, protocol: str, target: str) -> Table:
    """Returns a server's proxy settings, with nginx's defaults."""
    place = server.node.place
    pool = server.pool.twin()
    for key, value in DEFAULTS.items():
        pool.default(key, value)
    pool.put("half_closed_timeout", pool["idle_timeout"] if server.half_closes else SHORTLY, place)
    if server.proxy is not None:
        pool.put("send_proxy", "v1", server.proxy.place)
        pool.put("proxy_protocol_udp", "first", server.proxy.place)
        if protocol == "udp":
            server.leave(server.proxy, Rank.DIFFERENT, "datagrams get a header of version 2")
    if server.backend_tls is not None:
        pool.put("tls", behind(server, target), server.backend_tls.place)
        if protocol == "udp":
            server.leave(server.backend_tls, Rank.CLEAR, "datagrams are not encrypted here")
    if server.health is not None:
        try:
            pool.put("health", health(server, protocol), server.health.place)
        except ValueError as error:
            server.leave(server.health, Rank.UNCHECKED, f"not understood: {error}")
    for key in UDP_ONLY if protocol == "tcp" else TCP_ONLY:
        both = len({"udp" in one.args for one in server.listens}) > 1
        if key in server.pool and key in ("responses", "requests", "keepalive") and not both:
            server.lost.append((pool.places[key], Rank.NOTE, f"it means nothing for {protocol}"))
        pool.drop([key])
    return pool


def behind(server: Server, target: str) -> Table:
    """Returns TLS to backends: nginx verifies only if it is told to, and then the upstream's
    name."""
    node = server.backend_tls
    assert node is not None
    table = server.behind.twin()
    if not table.get("verify"):
        table.put("verify", False, node.place)
        table.drop(["ca"])
    elif ":" not in target:
        table.default("server_name", target, node.place)
    if not server.says_name:
        server.leave(node, Rank.NOTE, "backends are told the name that is asked for")
    return table


def _route(server: Server, condition: Mapping[str, Any], pool: str) -> Table:
    place = (server.target or server.node).place
    route = Table(place)
    for key, value in condition.items():
        route.put(key, value, place)
    route.put("pool", pool, place)
    return route
