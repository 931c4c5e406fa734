"""Caches of an http block: a zone of proxy_cache_path, with the settings of the locations that use
it. Locations with other settings get a cache of their own, because l4lb's settings are those of a
cache.

What could show one client's page to another one is not guessed: a location whose key, or whose
reasons to go past the cache, routes cannot express, keeps nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from l4lb.importer.branches import Alternative, Branch, Conditions, UnsaidError, decided
from l4lb.importer.draft import CACHES_MAX, Rank, Table, free_name, name_of
from l4lb.importer.networks import ALL, network
from l4lb.importer.nginx.scope import Scope
from l4lb.importer.nginx.server import Server
from l4lb.importer.nginx.tree import Node
from l4lb.importer.quantities import milliseconds, size, written_size

DIRECTIVES = (
    "proxy_cache", "proxy_cache_path", "proxy_cache_valid", "proxy_cache_key", "proxy_cache_lock",
    "proxy_cache_lock_timeout", "proxy_cache_lock_age", "proxy_cache_use_stale", "proxy_no_cache",
    "proxy_cache_bypass", "proxy_cache_purge", "proxy_cache_methods", "proxy_cache_min_uses",
    "proxy_cache_revalidate", "proxy_cache_background_update", "proxy_cache_convert_head",
    "proxy_cache_max_range_offset",
)  # fmt: skip
DISK_MIN = 16 << 20
INACTIVE = "10m"  # nginx's default
USUAL = ("200", "301", "302")  # of a proxy_cache_valid that names no status
UNKEPT = ("206", "304")
VARIABLE = re.compile(r"\$\{?(\w+)\}?")
# The parts of a URL that a variable of a key stands for.
PARTS: Mapping[str, tuple[str, ...]] = {
    "scheme": ("scheme",), "request_uri": ("path", "query"), "uri": ("path",),
    "document_uri": ("path",), "args": ("query",), "query_string": ("query",),
    **dict.fromkeys(("is_args", "host", "http_host", "server_name", "server_port", "proxy_host",
                     "proxy_port", "request_method"), ()),
}  # fmt: skip
KEY = ("scheme", "host", "path", "query")
# A value that must be empty, or "0", for the cache to be used.
PAST = re.compile(r"(?:\$(?:cookie|arg|http)_[A-Za-z0-9_]+)+", re.ASCII)
ONE = re.compile(r"\$(cookie|arg|http)_([A-Za-z0-9_]+)", re.ASCII)
KINDS = {"cookie": "cookie", "arg": "query", "http": "header"}
FAILS = ("error", "timeout", "invalid_header", "http_500", "http_502", "http_503", "http_504")
IGNORED = {"cache-control", "expires", "set-cookie", "vary"}


class Caches:
    """Makes the caches of an http block, each once."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._zones: dict[str, Node] = {}
        self._known: dict[tuple[str, str], str] = {}
        for node in nodes:
            name = _said(node).get("keys_zone", "").partition(":")[0]
            if node.name == "proxy_cache_path" and name:
                self._zones[name] = node

    def branches(self, server: Server, scope: Scope, branch: Branch) -> list[Branch]:
        """Returns the branch of a proxy_pass with its cache, behind that of the requests that go
        past the cache."""
        node = scope.last("proxy_cache")
        if node is None or node.args == ("off",):
            return [branch]
        try:
            past = [Alternative(one) for one in _past(scope)]
            zone = self._zones.get(node.arg())
            if zone is None:
                raise UnsaidError(f"no proxy_cache_path has the zone {node.arg()}")
            table = _table(server, scope, node, zone)
            found = decided(past, [branch], [replace(branch, keys={**branch.keys, "cache": ""})])
            name = self._name(server, node, zone, table)
        except ValueError as error:
            server.leave(node, Rank.DIFFERENT, f"nothing is kept here: {error}")
            return [branch]
        return [
            replace(one, keys={**one.keys, "cache": name}) if "cache" in one.keys else one
            for one in found
        ]

    def _name(self, server: Server, node: Node, zone: Node, table: Table) -> str:
        known = (node.arg(), json.dumps(table, sort_keys=True))
        if known not in self._known:
            caches = server.world.draft.caches
            if len(caches) >= CACHES_MAX:
                raise UnsaidError(f"there are {CACHES_MAX} caches at most")
            if any(name == known[0] for name, _ in self._known):
                why = "locations with other settings have a cache of their own, of the same size"
                server.leave(node, Rank.DIFFERENT, why)
            name = free_name(name_of(known[0]), {*caches, "off"})
            _disk(server, zone, table, name)
            self._known[known] = name
            caches[name] = table
        return self._known[known]


def _said(node: Node) -> dict[str, str]:
    return dict(one.partition("=")[::2] for one in node.args[1:])


def _past(scope: Scope) -> list[Conditions]:
    """Returns the conditions of requests that go past the cache. Raises UnsaidError."""
    found: dict[str, Conditions] = {}
    for node in (*scope.of("proxy_cache_bypass"), *scope.of("proxy_no_cache")):
        for text in node.args:
            if text in ("", "0"):
                continue
            if not PAST.fullmatch(text):
                raise UnsaidError(f"{node.name} {text}: a cookie, an argument or a field can be")
            for kind, name in ONE.findall(text):
                said = name.replace("_", "-") if kind == "http" else name
                found[f"{kind} {said}"] = {KINDS[kind]: {said: ["*"]}}
    return list(found.values())


def _disk(server: Server, zone: Node, table: Table, name: str) -> None:
    """Sets the folder of a cache, which is another one than nginx's."""
    said = _said(zone)
    bytes_max = size(said["max_size"]) if "max_size" in said else 0
    if bytes_max < DISK_MIN:
        why = "with max_size, of 16m or more, answers would be kept on a disk as well"
        server.leave(zone, Rank.DIFFERENT, why)
        return
    path = f"{server.world.path(zone.arg()).rstrip('/')}-l4lb-{name}"
    disk = table.table("disk", zone.place)
    disk.put("path", path, zone.place)
    disk.put("size", written_size(bytes_max), zone.place)
    why = f"{path} is a folder of its own and begins empty: see `l4lb admin cache warm`"
    server.leave(zone, Rank.NOTE, why)


# ---- settings ------------------------------------------------------------------------------------


def _table(server: Server, scope: Scope, node: Node, zone: Node) -> Table:
    """Returns the settings of a cache, with nginx's defaults. Raises ValueError."""
    table = Table(node.place)
    _key(table, scope)
    _lifetimes(table, server, scope)
    _stale(table, server, scope, zone)
    _lock(table, server, scope)
    _purge(table, server, scope)
    for one in scope.of("proxy_cache_methods"):
        if {*one.args} - {"GET", "HEAD"}:
            server.leave(one, Rank.DIFFERENT, "answers to GET are kept, for GET and HEAD")
    for one in scope.of("proxy_cache_min_uses"):
        if one.arg() != "1":
            server.leave(one, Rank.NOTE, "an answer is kept the first time")
    for one in scope.of("proxy_cache_max_range_offset"):
        server.leave(one, Rank.NOTE, "parts are cut out of whole answers that are kept")
    for one in scope.of("proxy_ignore_headers"):
        if IGNORED & {word.lower() for word in one.args}:
            why = "they are obeyed: what may not be kept, or not for so long, is not"
            server.leave(one, Rank.DIFFERENT, why)
    return table


def _key(table: Table, scope: Scope) -> None:
    """Sets the key. The host is always part of it: then hosts that share a location do not share
    pages."""
    node = scope.last("proxy_cache_key")
    if node is None:
        return
    parts = {"host"}
    for name in VARIABLE.findall(" ".join(node.args)):
        if name not in PARTS:
            raise UnsaidError(f"its key has ${name}")
        parts.update(PARTS[name])
    if "path" not in parts:
        raise UnsaidError("its key has no path")
    if len(parts) < len(KEY):
        table.put("key", [one for one in KEY if one in parts], node.place)


def _lifetimes(table: Table, server: Server, scope: Scope) -> None:
    """Sets how long answers are fresh that do not say it; nginx takes the first directive that
    names a status."""
    found: dict[str, tuple[str, Node]] = {}
    for node in scope.of("proxy_cache_valid"):
        codes, text = node.args[:-1] or USUAL, node.arg(max(0, len(node.args) - 1))
        value = server.world.time(node, text, "cache") if milliseconds(text, "s") else ""
        for code in codes if "any" not in found else ():
            if code != "any" and not (code.isdigit() and 200 <= int(code) <= 599):
                raise ValueError(f"{code} is no status")
            found.setdefault(code, (value, node))
    usual, node = found.pop("any", ("", server.node))
    if usual:
        table.put("default_ttl", usual, node.place)
        why = "any: of the statuses that a cache may keep by itself; name others in statuses"
        server.leave(node, Rank.DIFFERENT, why)
    for code, (value, one) in found.items():
        if value and code not in UNKEPT:
            table.table("statuses", one.place).put(code, value, one.place)
        elif usual or code in UNKEPT:
            server.leave(one, Rank.DIFFERENT, f"{code}: it is kept as others are, or never")
    table.put("heuristic", "0%", table.place)


def _stale(table: Table, server: Server, scope: Scope, zone: Node) -> None:
    said = scope.last("proxy_cache_use_stale")
    words = said.args if said else ("off",)
    place = said.place if said else table.place
    # nginx uses what is stale for as long as it has it: for `inactive`, if nobody asks.
    inactive = server.world.time(zone, _said(zone).get("inactive", INACTIVE), "cache")
    fails = any(word in FAILS for word in words)
    table.put("stale_if_error", inactive if fails else "0s", place)
    if "updating" in words:
        table.put("stale_while_revalidate", inactive, place)
    more = [word for word in words if word not in (*FAILS, "updating", "off")]
    if more and said:
        why = f"{' '.join(more)}: what is stale is used for statuses from 500 on"
        server.leave(said, Rank.DIFFERENT, why)


def _lock(table: Table, server: Server, scope: Scope) -> None:
    lock, limit = scope.last("proxy_cache_lock"), scope.last("proxy_cache_lock_timeout")
    if lock is None or lock.arg() != "on":
        table.put("collapse", False, lock.place if lock else table.place)
    elif limit:
        text = server.world.time(limit, limit.arg(), "collapse")
        table.put("collapse_timeout", text, limit.place)


def _purge(table: Table, server: Server, scope: Scope) -> None:
    node = scope.last("proxy_cache_purge")
    if node is None or node.arg() == "off":
        return
    match node.args:
        case (method, "from", *sources) if sources:
            purge = table.table("purge", node.place)
            every = "all" in sources
            networks = ALL if every else [network(one) for one in sources]
            purge.put("networks", list(map(str, networks)), node.place)
            purge.put("method", method, node.place)
        case _:
            why = "nobody may purge: see purge of a cache, and `l4lb admin cache purge`"
            server.leave(node, Rank.DIFFERENT, why)
