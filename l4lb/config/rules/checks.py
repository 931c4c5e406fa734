"""Checks between values that are each valid.

Each rule is a function from a draft (draft.py) to findings. RULES are errors, ADVICE are warnings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from l4lb.config import bounds
from l4lb.config.address import (
    ANY_IPV4,
    ANY_IPV6,
    Address,
    BindRange,
    is_ip,
    parse_host_port,
    parse_ip,
)
from l4lb.config.draft import Draft, Table, read, table
from l4lb.config.model import Passive, Process
from l4lb.config.origin import Finding, path_text
from l4lb.config.position import Path
from l4lb.config.rules import (
    cache,
    clients,
    forward,
    hand_over,
    health,
    http,
    http_filter,
    http_routes,
    http_rules,
    packet,
    protocols,
    ranges,
)
from l4lb.config.rules.names import unknown
from l4lb.config.tables.discovery import NEEDS, READS
from l4lb.config.units import DURATION, shown

Findings = Iterator[Finding]


def errors(data: Table) -> Findings:
    """Yields every reason for which the service would not do what the file says."""
    draft = read(data)
    for rule in RULES:
        yield from rule(draft)


def warnings(data: Table) -> Findings:
    """Yields settings that work and are probably not intended."""
    draft = read(data)
    for rule in ADVICE:
        yield from rule(draft)


# ---- rules ---------------------------------------------------------------------------------------


def _some_listener(draft: Draft) -> Findings:
    if not draft.data.get("listeners"):
        hint = 'add [listeners.web] with bind = ["0.0.0.0:8080"] and pool = "web"'
        yield Finding(("listeners",), "there is no listener", hint)


def _known_pools(draft: Draft) -> Findings:
    known = dict.fromkeys(pool.name for pool in draft.pools)
    for path, pool in _pools_named(draft):
        if isinstance(pool, str) and pool not in known:
            yield unknown((*path, "pool"), "pool", "pools", pool, known)


def _pools_named(draft: Draft) -> Iterator[tuple[Path, object]]:
    """Yields the tables that name a pool, and the pool."""
    for listener in draft.listeners:
        yield listener.path, listener.pool
        yield from ((path, route["pool"]) for path, route in listener.routes if "pool" in route)


def _some_backends(draft: Draft) -> Findings:
    for pool in draft.pools:
        if "backends" not in pool.table and "discovery" not in pool.table:
            hint = "or [" + path_text((*pool.path, "discovery")) + "]"
            yield Finding((*pool.path, "backends"), "this key is required", hint)


def _discovery_keys(draft: Draft) -> Findings:
    for pool in draft.pools:
        found = table(pool.table, "discovery")
        kind = found.get("type")
        if not isinstance(kind, str) or kind not in NEEDS:
            continue
        path = (*pool.path, "discovery")
        for key in NEEDS[kind]:
            if key not in found:
                yield Finding((*path, key), f"this key is required for type {shown(kind)}")
        own = {key for keys in (*NEEDS.values(), *READS.values()) for key in keys}
        for key in found:
            if key in own and key not in (*NEEDS[kind], *READS[kind]):
                yield Finding((*path, key), f"this key means nothing for type {shown(kind)}")
        if kind == "dns" and "port" not in found and not _asks_srv(found):
            yield Finding((*path, "port"), "this key is required for A and AAAA records")
        if (found.get("record"), found.get("family")) in (("a", "ipv6"), ("aaaa", "ipv4")):
            yield Finding((*path, "family"), "its addresses are in other records than `record`")


def _asks_srv(discovery: Table) -> bool:
    record = discovery.get("record", "auto")
    return record == "srv" or (record == "auto" and str(discovery.get("name", ""))[:1] == "_")


def _unique_backends(draft: Draft) -> Findings:
    for pool in draft.pools:
        seen: dict[str, Path] = {}
        for backend in pool.backends:
            name = backend.name if backend.name is not None else str(backend.address or "")
            if name in seen:
                message = f"another backend of this pool is named {shown(name)}"
                yield Finding(backend.path, message, f"{path_text(seen[name])}; names are unique")
            elif name:
                seen[name] = backend.path


def _short_addresses(draft: Draft) -> Findings:
    for pool in draft.pools:
        for backend in pool.backends:
            address = str(backend.address or "")
            if backend.name is None and len(address.encode()) > bounds.NAME_BYTES_MAX:
                message = f"the address is longer than the {bounds.NAME_BYTES_MAX} bytes of a name"
                hint = 'give it a name: { name = "...", address = "..." }'
                yield Finding(backend.path, message, hint)


def _within_limits(draft: Draft) -> Findings:
    forwards = len(table(draft.data, "forward"))
    counts = {
        "max_listeners": sum(span.addresses for one in draft.listeners for _, span in one.binds),
        # Each forward proxy has a pool with one backend.
        "max_pools": len(draft.pools) + forwards,
        "max_backends": sum(len(pool.backends) for pool in draft.pools) + forwards,
    }
    for name, count in counts.items():
        if count > draft.limit(name):
            what = {"max_listeners": "bound addresses"}.get(name, name.removeprefix("max_"))
            message = f"{draft.limit(name)} is less than the {count} {what} of this configuration"
            hint = ranges.hint(draft) if name == "max_listeners" else None
            yield Finding(("limits", name), message, hint)


def _free_addresses(draft: Draft) -> Findings:
    """Finds two sockets at one address: with SO_REUSEPORT the kernel would share clients out
    between them without an error. A wildcard address takes the port of all addresses of its
    family."""
    taken: dict[tuple[object, ...], dict[str, Path]] = {}
    for path, protocol, span in _bound(draft):
        for bind in span:
            hosts = taken.setdefault(_slot(protocol, bind), {})
            wildcard = ANY_IPV6 if ":" in bind.host else ANY_IPV4
            other = hosts.get(bind.host) or hosts.get(wildcard)
            if other is None and bind.host == wildcard and is_ip(bind.host):
                other = next(iter(hosts.values()), None)
            if other is not None:
                yield Finding(path, f"{bind} is already bound by {path_text(other)}")
                break
            hosts[bind.host] = path


def _slot(protocol: object, bind: Address) -> tuple[object, ...]:
    """Returns what two addresses must have in common to be in conflict."""
    if bind.path:
        return ("unix", bind.path)
    family = "ip" if not is_ip(bind.host) else 6 if ":" in bind.host else 4
    return (protocol, family, bind.port)


def _bound(draft: Draft) -> Iterator[tuple[Path, object, BindRange]]:
    """Yields everything that the service binds; nothing if there are too many addresses to look
    through."""
    spans = [(path, one.transport, span) for one in draft.listeners for path, span in one.binds]
    if sum(span.addresses for *_, span in spans) > bounds.MAX_LISTENERS[1]:
        return
    process = table(draft.data, "process")
    admin = process.get(
        "admin", Process.model_fields["admin"].get_default(call_default_factory=True)
    )
    if isinstance(admin, str):
        yield ("process", "admin"), "tcp", BindRange("", 0, 0, admin)
    with contextlib.suppress(ValueError):
        http = parse_host_port(process.get("http"))
        yield ("process", "http"), "tcp", BindRange(http.host, http.port, http.port)
    yield from spans


def _no_udp_over_unix(draft: Draft) -> Findings:
    for listener in draft.listeners:
        for path, span in listener.binds:
            if listener.protocol == "udp" and span.path:
                yield Finding(path, "a udp listener cannot bind a unix path")


def _udp_backends(draft: Draft) -> Findings:
    udp = {one.pool for one in draft.listeners if one.protocol == "udp"}
    for pool in draft.pools:
        for backend in pool.backends:
            if pool.name in udp and backend.address and backend.address.path:
                message = f"{backend.address} cannot serve the UDP listener of this pool"
                yield Finding(backend.path, message, "give an address with a port")


def _quic_names(draft: Draft) -> Findings:
    for pool in draft.pools:
        if pool.table.get("hash_key") != "quic_cid":
            if "quic" in pool.table:
                hint = 'write hash_key = "quic_cid"'
                yield Finding((*pool.path, "quic"), "has no effect with another hash_key", hint)
            continue
        length = table(pool.table, "quic").get("server_id_length", 1)
        seen: dict[str, Path] = {}
        for backend in pool.backends:
            name = backend.server_id
            if name is None:
                continue
            if len(name) != 2 * length if isinstance(length, int) else False:
                message = f"must have {length} bytes, as server_id_length says"
                yield Finding((*backend.path, "server_id"), message)
            if name.lower() in seen:
                message = f"is already the server_id of {path_text(seen[name.lower()])}"
                yield Finding((*backend.path, "server_id"), message)
            seen[name.lower()] = backend.path


def _ejection_grows(draft: Draft) -> Findings:
    for pool in draft.pools:
        passive = table(pool.table, "passive")
        try:
            first, maximum = (
                DURATION.parse(passive[key])
                if key in passive
                else Passive.model_fields[name].default
                for key, name in (("eject", "eject_ms"), ("max_eject", "max_eject_ms"))
            )
        except ValueError:
            continue
        if first > maximum:
            message = f"must be at least eject, {DURATION.format(first)}"
            yield Finding((*pool.path, "passive", "max_eject"), message)


def _source_reaches(draft: Draft) -> Findings:
    for pool in draft.pools:
        try:
            source = parse_ip(pool.table.get("source"))
        except ValueError:
            continue
        for backend in pool.backends:
            host = backend.address.host if backend.address else ""
            if is_ip(host) and (":" in host) != (":" in source):
                message = f"{source} cannot be the source of a connection to {backend.address}"
                yield Finding((*pool.path, "source"), message, "they are of different IP versions")
                break


def _checked_elsewhere(draft: Draft) -> Findings:
    for pool in draft.pools:
        unix = [one.address for one in pool.backends if one.address and one.address.path]
        for key in ("port", "address"):
            if unix and key in table(pool.table, "health"):
                message = f"{unix[0]} is a unix socket and cannot be checked at another {key}"
                yield Finding((*pool.path, "health", key), message)


# ---- advice --------------------------------------------------------------------------------------


def _used_pools(draft: Draft) -> Findings:
    used = {pool for _, pool in _pools_named(draft) if isinstance(pool, str)}
    for pool in draft.pools:
        if pool.name not in used:
            yield Finding(pool.path, "no listener uses this pool")


def _some_weight(draft: Draft) -> Findings:
    for pool in draft.pools:
        if pool.backends and all(backend.weight == 0 for backend in pool.backends):
            yield Finding((*pool.path, "backends"), "all weights are 0: none gets a connection")


def _used_hash_key(draft: Draft) -> Findings:
    for pool in draft.pools:
        balance = pool.table.get("balance", "round_robin")
        key = pool.table.get("hash_key")
        if key not in (None, "quic_cid") and balance not in ("ip_hash", "maglev"):
            message = f"has no effect with balance = {shown(balance)}"
            yield Finding((*pool.path, "hash_key"), message)


RULES = (
    _some_listener,
    _some_backends,
    _discovery_keys,
    _known_pools,
    _unique_backends,
    _short_addresses,
    _within_limits,
    _free_addresses,
    *ranges.RULES,
    _no_udp_over_unix,
    _udp_backends,
    _quic_names,
    _ejection_grows,
    _source_reaches,
    _checked_elsewhere,
    *protocols.RULES,
    *clients.RULES,
    *http_routes.RULES,
    *http_filter.RULES,
    *health.RULES,
    *http.RULES,
    *http_rules.RULES,
    *cache.RULES,
    *forward.RULES,
    *packet.RULES,
    *hand_over.RULES,
)
ADVICE = (
    _used_pools,
    _some_weight,
    _used_hash_key,
    *health.ADVICE,
    *http.ADVICE,
    *http_rules.ADVICE,
    *http_routes.ADVICE,
    *cache.ADVICE,
    *forward.ADVICE,
)
