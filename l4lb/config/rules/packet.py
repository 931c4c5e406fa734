"""Checks of the packet path: listeners with data_path, and keys that only the kernel follows. They
are rows of checks.RULES."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from l4lb.config.draft import Draft, Listener, Pool, table
from l4lb.config.origin import Finding, path_text
from l4lb.config.rules.packet_checks import pools_of, reasons
from l4lb.config.units import shown

Findings = Iterator[Finding]
PACKET = 'data_path = "packet"'
DSR = ("mac", "ipip")
WAY_OUT = 'data_path = "proxy" can'


def _programs(draft: Draft) -> Findings:
    for listener in draft.listeners:
        asked = listener.table.get("data_path")
        if asked in ("packet", "auto") and "packet" not in table(draft.data, "process"):
            hint = 'such as [process.packet] with interfaces = ["eth0"]'
            message = f"{shown(asked)} needs [process.packet]"
            yield Finding((*listener.path, "data_path"), message, hint)


def _refused(draft: Draft) -> Findings:
    for listener in draft.listeners:
        if not _is_packet(listener):
            continue
        for path, why, instead in reasons(draft, listener):
            own = path[:2] == listener.path
            of = "" if own else f" of {path_text(listener.path)}"
            hint = f"{instead}; {WAY_OUT}" if instead else WAY_OUT
            yield Finding(path, f"does not go with {PACKET}{of}: {why}", hint)


def _is_packet(listener: Listener) -> bool:
    return listener.table.get("data_path") == "packet"


def _users(draft: Draft, pool: Pool) -> Iterator[Listener]:
    return (one for one in draft.listeners if pool.name in pools_of(one))


def _only_in_the_kernel(draft: Draft) -> Findings:
    for listener in draft.listeners:
        for path, route in listener.routes:
            if "source_mac" in route and not _is_packet(listener):
                yield Finding((*path, "source_mac"), *_without(listener, "write source"))
    for pool in draft.pools:
        for key, only, instead in (
            ("hash_key", ("source_mac",), "write source_ip"),
            ("dsr", DSR, "remove it"),
        ):
            if pool.table.get(key) not in only:
                continue
            proxied = (one for one in _users(draft, pool) if not _is_packet(one))
            for listener in itertools.islice(proxied, 1):
                yield Finding((*pool.path, key), *_without(listener, instead))


def _without(listener: Listener, instead: str) -> tuple[str, str]:
    """Returns what is told of a key that this listener cannot follow, and the hint."""
    where = path_text(listener.path)
    return f"needs {PACKET} of {where}", f"{instead}, or write {PACKET} in [{where}]"


def _ports_of_dsr(draft: Draft) -> Findings:
    """Finds backends that get packets at a port at which they do not listen: with direct server
    return nobody changes the port."""
    for pool in draft.pools:
        if pool.table.get("dsr") not in DSR:
            continue
        for listener in _users(draft, pool):
            for path, span in listener.binds:
                if span.first_port != span.last_port:
                    message = f"a range of ports does not go with dsr of {path_text(pool.path)}"
                    yield Finding(path, message, "give each port a listener and a pool")
                else:
                    yield from _other_ports(pool, span.first_port, path_text(path))


def _other_ports(pool: Pool, port: int, bind: str) -> Findings:
    found = [(one.path, one.address.port) for one in pool.backends if one.address]
    asked = table(pool.table, "discovery").get("port")
    if isinstance(asked, int):
        found.append(((*pool.path, "discovery", "port"), asked))
    for path, own in found:
        if own != port:
            message = f"with dsr a backend gets packets at the port of {bind}, {port}, not {own}"
            yield Finding(path, message, f"write {port}, or remove dsr")


RULES = (_programs, _refused, _only_in_the_kernel, _ports_of_dsr)
