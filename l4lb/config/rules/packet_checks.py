"""What the kernel cannot do for a listener: with data_path = "packet" it forwards the packets, and
no worker sees them.

A key is refused if it has an effect that the kernel's program does not give. What is off promises
nothing and is accepted, and so is a key that another one leaves without effect. The rules read
plain tables: those of a file that may be invalid (draft.py), and what a configuration states. So
`l4lb check` and a service that has a listener with data_path = "auto" come to one result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from l4lb.config.address import Address, BindRange, is_ip
from l4lb.config.draft import Draft, Listener, Pool, Table, read, table
from l4lb.config.model import Config
from l4lb.config.position import Path
from l4lb.config.rules import protocols
from l4lb.config.rules.supported import matching
from l4lb.config.tables.base import Model

OFF: tuple[object, ...] = ("off", False, 0, [])
NO_TIME = re.compile("0+ *(ms|s|m|h|d)", re.ASCII)
OF_SOURCES = ("source_ip", "source_ip_port", "source_mac")


class Reason(NamedTuple):
    """A key, why the kernel does not do what it says, and what to do instead."""

    path: Path
    why: str
    instead: str = ""


class Row(NamedTuple):
    """A key that is refused, of which * is any element. values: only these are refused."""

    key: str
    why: str
    instead: str = ""
    values: tuple[str, ...] = ()


NO_SOCKET = "the kernel forwards packets without a socket of this service"
AS_SENT = "the kernel leaves packets the class of service that they came with"
UNREAD = "the kernel reads nothing of what clients send"
UNCOUNTED = "the kernel does not count what is open"
UNHELD = "the kernel holds no packet back"
UNTRIED = "the client itself connects to the backend, which is tried once"
UNWRITTEN = "the kernel writes nothing before a client's bytes"
ONE_BACKEND = "the kernel leaves a session at its backend"
NO_TRIAL = "the kernel has no rule for one listener that only counts"
DROPS = "the kernel turns clients away without an answer"
BY_SOURCE = "write source or source_mac"
SHOWS_CLIENT = "with transparent or dsr backends see the client's address"

LISTENERS = (
    Row("interface", NO_SOCKET, "process.packet.interfaces says where clients come in"),
    Row("mark", NO_SOCKET),
    Row("dscp", AS_SENT),
    Row("keepalive", NO_SOCKET),
    Row("user_timeout", NO_SOCKET),
    Row("max_amplification", "the kernel does not compare what clients send and get"),
    Row("max_sessions_per_source", UNCOUNTED),
    Row("reject_privileged_ports", "the kernel does not ask for the ports of clients"),
    Row("routes.*.sni", UNREAD, BY_SOURCE),
    Row("routes.*.alpn", UNREAD, BY_SOURCE),
    Row("routes.*.percent", "the kernel draws no lots", BY_SOURCE),
    Row("handshake_timeout", UNREAD),
    Row("tls", "the kernel forwards TLS unread, to backends that speak it"),
    Row("transparent", "the kernel forwards only what comes to the addresses in bind"),
    Row("mptcp", "the paths of one connection would lead to several backends"),
    Row("proxy_protocol", UNREAD),
    Row("access.dry_run", NO_TRIAL),
    Row("limits.connections", UNCOUNTED),
    Row("limits.rate", "the kernel limits the rate of each source only", "write rate_per_source"),
    Row("limits.connections_per_source", UNCOUNTED),
    Row("limits.rate_per_source.dry_run", NO_TRIAL),
    Row("limits.bandwidth_per_session", UNHELD),
    Row("limits.bandwidth_per_source", UNHELD),
    Row("limits.first_byte_timeout", UNREAD),
    Row("limits.max_age", "the kernel ends no session that is in use"),
)
POOLS = (
    Row("interface", NO_SOCKET),
    Row("mark", NO_SOCKET),
    Row("dscp", AS_SENT),
    Row("keepalive", NO_SOCKET),
    Row("user_timeout", NO_SOCKET),
    Row("balance", UNCOUNTED, "write round_robin", ("least_connections",)),
    Row("balance", "the kernel measures no times", "write round_robin", ("least_response_time",)),
    Row("slow_start", "the kernel gives a backend its full share at once"),
    Row("connect_timeout", UNTRIED),
    Row("half_closed_timeout", "the kernel ends these connections by idle_timeout, too"),
    Row("retries", UNTRIED),
    Row("max_connections", UNCOUNTED),
    Row("backends.*.max_connections", UNCOUNTED),
    Row("queue", UNHELD),
    Row("requests", ONE_BACKEND),
    Row("per_datagram", ONE_BACKEND),
    Row("responses", "the kernel does not count answers"),
    Row("send_proxy", UNWRITTEN, SHOWS_CLIENT),
    Row("proxy_protocol_udp", UNWRITTEN, SHOWS_CLIENT),
    Row("agent", "the kernel has the weights of the configuration"),
    Row("passive", "the kernel does not see how sessions end", "write health"),
    Row("sticky", "the kernel remembers no clients", 'balance = "maglev" keeps them together'),
    Row("tls", "the kernel forwards TLS unread, of clients that speak it"),
)


def packet_reasons(config: Config, name: str) -> list[tuple[Path, str]]:
    """Returns why the kernel cannot serve this listener: the path of each key that it has no way to
    follow, and why. A host name whose address is not known yet is taken to fit."""
    listener = config.listeners[name]
    process, limits = config.process, config.limits
    draft = read(
        {
            "process": {"packet": stated(process.packet)},
            "limits": {"auto_block": stated(limits.auto_block)},
            "listeners": {name: stated(listener)},
            "pools": {one: stated(config.pools[one]) for one in listener.pools},
        }
    )
    return [(one.path, one.why) for one in reasons(draft, draft.listeners[0])]


def uses_packet(config: Config, name: str) -> bool:
    """Returns whether the kernel is to serve this listener, and not workers."""
    asked = config.listeners[name].data_path
    if asked != "auto":
        return asked == "packet"
    return config.process.packet is not None and not packet_reasons(config, name)


def stated(found: Model | None) -> dict[str, Any]:
    """Returns what differs from its default, with the keys of a file."""
    if found is None:
        return {}
    return found.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


def reasons(draft: Draft, listener: Listener) -> Iterator[Reason]:
    """Yields why the kernel cannot serve a listener."""
    if listener.protocol not in protocols.OF_PACKETS:
        yield Reason((*listener.path, "protocol"), UNREAD, 'write protocol = "tcp"')
        return
    yield from _rows(LISTENERS, protocols.LISTENERS, listener.table, listener)
    yield from _refusals(draft, listener)
    for at, span in listener.binds:
        if span.path:
            yield Reason(at, "no packets come to a unix socket")
    for at, route in listener.routes:
        if "source" in route and "source_mac" in route:
            yield Reason((*at, "source_mac"), "the kernel looks for one of both, and source is set")
    named = pools_of(listener)
    for pool in (one for one in draft.pools if one.name in named):
        yield from _rows(POOLS, protocols.POOLS, pool.table, listener, pool.path)
        yield from _hashes(pool)
        yield from _reached(pool, listener)


def pools_of(listener: Listener) -> set[str]:
    """Returns the names of the pools that a listener and its routes name."""
    named = [listener.pool, *(route.get("pool") for _, route in listener.routes)]
    return {one for one in named if isinstance(one, str)}


def _rows(
    rows: tuple[Row, ...],
    known: Mapping[str, protocols.Row],
    found: Table,
    listener: Listener,
    path: Path | None = None,
) -> Iterator[Reason]:
    """Yields the keys of a table that one of the rows refuses. A key that means nothing for the
    protocol is left to protocols.py: another listener may need it."""
    for row in rows:
        key = row.key.split(".")
        if listener.protocol not in known[key[0]].of:
            continue
        for at, value in matching(found, tuple(key)):
            if is_set(key[-1], value) and (not row.values or value in row.values):
                yield Reason((*(path or listener.path), *at), row.why, row.instead)


def is_set(key: str, value: object) -> bool:
    """True for a value of a key that switches something on."""
    if key == "dscp":
        return True  # 0 is a class of service
    is_no_time = isinstance(value, str) and NO_TIME.fullmatch(value) is not None
    return value not in OFF and not is_no_time


def _refusals(draft: Draft, listener: Listener) -> Iterator[Reason]:
    """Yields refusals that are an answer, and those that are left to workers: the kernel's program
    drops packets, and nobody sees them after it."""
    answers = listener.protocol == "tcp"
    shield = table(table(draft.data, "process"), "packet")
    left = "shield" if shield.get("shield") == "off" else "dry_run" if shield.get("dry_run") else ""
    for at, said in (
        (("access",), listener.table.get("access")),
        (("limits", "rate_per_source"), table(listener.table, "limits").get("rate_per_source")),
    ):
        if said is None:
            continue
        path = (*listener.path, *at)
        refusal = said.get("refusal", "reject") if isinstance(said, dict) else "reject"
        if answers and refusal != "drop":
            yield Reason((*path, "refusal"), DROPS, 'write refusal = "drop"')
        if left:
            why = f"process.packet.{left} leaves it to workers, who see no packet"
            yield Reason(path, why, f"remove process.packet.{left}")
    blocked = table(table(draft.data, "limits"), "auto_block").get("refusal", "drop")
    if answers and blocked != "drop":
        yield Reason(("limits", "auto_block", "refusal"), DROPS, 'write refusal = "drop"')


def _hashes(pool: Pool) -> Iterator[Reason]:
    """Yields the keys of a hash over something that is not in each packet."""
    key = pool.table.get("hash_key", "source_ip")
    hashes = pool.table.get("balance") in ("ip_hash", "maglev")
    if key == "quic_cid" or (hashes and key not in OF_SOURCES):
        yield Reason((*pool.path, "hash_key"), UNREAD, f"write one of {', '.join(OF_SOURCES)}")
    if hashes and "hash_balance_factor" in pool.table:
        yield Reason((*pool.path, "hash_balance_factor"), UNCOUNTED)


def _reached(pool: Pool, listener: Listener) -> Iterator[Reason]:
    """Yields the backends that the packets of clients cannot be sent to."""
    for backend in pool.backends:
        address = backend.address
        if address is None:
            continue
        if address.path:
            yield Reason(backend.path, "no unix socket takes packets")
        other = next((span for _, span in listener.binds if _differ(span, address)), None)
        if other is not None:
            why = f"the kernel does not translate between IPv4 and IPv6, and {other} is the other"
            yield Reason(backend.path, why, "give each IP version a listener and a pool")


def _differ(span: BindRange, address: Address) -> bool:
    """True for addresses of two IP versions."""
    known = is_ip(span.host) and is_ip(address.host)
    return known and (":" in span.host) != (":" in address.host)
