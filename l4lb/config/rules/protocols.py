"""The protocols for which each key of a listener and of a pool has a meaning.

A key without a meaning is refused, because it would have no effect (`tls` of a pool whose backends
get datagrams would leave them unencrypted). Every key has a row here; a test fails for a key
without one. A key of a nested table has the row of its table, unless it has one of its own.

A key of a pool is accepted if it has a meaning for one listener that uses the pool. A pool without
listeners may have any key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from l4lb.config.draft import Draft, Table
from l4lb.config.origin import Finding
from l4lb.config.position import Path
from l4lb.config.rules.supported import matching
from l4lb.config.tables.http_route import HttpRoute
from l4lb.config.units import shown
from l4lb.config.values.http import REQUEST_KEYS

TCP, UDP, HTTP = frozenset({"tcp"}), frozenset({"udp"}), frozenset({"http"})
SOCKS = frozenset({"socks5"})
STREAMS = TCP | HTTP | SOCKS  # HTTP and SOCKS are over TCP: what is for streams is for all
ALL = STREAMS | UDP
WITH_POOLS = ALL - SOCKS
OF_PACKETS = TCP | UDP  # what the kernel can forward


class Row(NamedTuple):
    """One key: its protocols, the values that are for fewer protocols, and the key that other
    protocols have instead."""

    of: frozenset[str]
    values: Mapping[str, frozenset[str]] = {}
    instead: str = ""


ANY = Row(ALL)
OF_STREAMS = Row(STREAMS)

# Keys of routes that are about requests, and what others have instead.
OF_REQUESTS = tuple(field.alias or name for name, field in HttpRoute.model_fields.items())
WITHOUT_REQUESTS = {
    **dict.fromkeys(OF_REQUESTS, 'a listener sees requests with protocol = "http"'),
    "host": 'use sni for the name that TLS clients ask for, or protocol = "http"',
}

# A dot leads into a table, an asterisk to each element of an array.
LISTENERS: Mapping[str, Row] = {
    "bind": ANY,
    "mode": OF_STREAMS,
    "owner": OF_STREAMS,
    "group": OF_STREAMS,
    "protocol": ANY,
    "data_path": ANY,
    "pool": ANY,
    "forward": Row(HTTP | SOCKS),
    "interface": ANY,
    "mark": ANY,
    "dscp": ANY,
    "transparent": ANY,
    "keepalive": OF_STREAMS,
    "user_timeout": OF_STREAMS,
    "mptcp": OF_STREAMS,
    "handshake_timeout": OF_STREAMS,
    "tls": OF_STREAMS,
    "http": Row(HTTP),
    "filter": Row(HTTP, instead="access turns clients away by their network"),
    "proxy_protocol": OF_STREAMS,
    "trusted": OF_STREAMS,
    "routes": ANY,
    "routes.*.sni": Row(STREAMS, instead="use source or percent"),
    "routes.*.alpn": Row(TCP, instead="use source or percent"),
    "routes.*.source_mac": Row(OF_PACKETS, instead="use source or percent"),
    **{f"routes.*.{key}": Row(HTTP, instead=WITHOUT_REQUESTS.get(key, "")) for key in OF_REQUESTS},
    "access": ANY,
    "access.refusal": Row(ALL, {"tarpit": STREAMS}, "datagrams of who may not come in are dropped"),
    "limits": Row(STREAMS, instead="UDP has max_sessions_per_source and max_amplification"),
    "max_amplification": Row(UDP),
    "max_sessions_per_source": Row(UDP, instead="TCP has limits.connections_per_source"),
    "reject_privileged_ports": Row(UDP),
}
POOLS: Mapping[str, Row] = {
    "interface": ANY,
    "mark": ANY,
    "dscp": ANY,
    "source": ANY,
    "transparent": ANY,
    "keepalive": OF_STREAMS,
    "user_timeout": OF_STREAMS,
    "balance": ANY,
    "hash_key": Row(
        ALL,
        {
            "sni": STREAMS,
            "quic_cid": UDP,
            "source_mac": OF_PACKETS,
            **dict.fromkeys(REQUEST_KEYS, HTTP),
        },
        "source_ip and source_ip_port are for all",
    ),
    "hash_prefix": ANY,
    "hash_balance_factor": ANY,
    "maglev_size": ANY,
    "slow_start": ANY,
    "all_backups": ANY,
    "connect_timeout": Row(STREAMS, instead="datagrams need no connection; UDP has idle_timeout"),
    "idle_timeout": ANY,
    "half_closed_timeout": Row(STREAMS, instead="UDP has idle_timeout"),
    "retries": Row(STREAMS, instead="a UDP session moves on until a backend takes it"),
    "when_all_down": ANY,
    "dsr": Row(OF_PACKETS),
    "hand_over": Row(UDP),
    "max_connections": ANY,
    "queue": Row(STREAMS, instead="datagrams do not wait for a place: they are dropped"),
    "requests": Row(UDP),
    "responses": Row(UDP),
    "per_datagram": Row(UDP),
    "quic": Row(UDP),
    "send_proxy": Row(STREAMS, instead='UDP has proxy_protocol_udp = "first" or "each"'),
    "proxy_protocol_udp": Row(UDP, instead='TCP has send_proxy = "v1" or "v2"'),
    "proxy_tlvs": Row(
        ALL,
        dict.fromkeys(("authority", "alpn", "ssl", "unique_id", "received"), STREAMS),
        'headers in datagrams have "crc32c" or nothing',
    ),
    "sticky": ANY,
    "sticky.cookie": Row(HTTP),
    "sticky.key": Row(
        ALL, {"sni": STREAMS, **dict.fromkeys(REQUEST_KEYS, HTTP)}, "source_ip is for all"
    ),
    "sticky_during_drain": ANY,
    "backends": ANY,
    "backends.*.server_id": Row(UDP),
    "on_down": ANY,
    "alert": ANY,
    "discovery": ANY,
    "health": ANY,
    "agent": ANY,
    "passive": ANY,
    "passive.statuses": Row(HTTP),
    "http": Row(HTTP),
    "tls": Row(STREAMS, instead="backends that get datagrams get them as clients sent them"),
}


def words(protocols: Collection[object]) -> str:
    """Returns the names of protocols, in the order of the documentation."""
    *others, last = (one for one in ("tcp", "udp", "http", "socks5") if one in protocols)
    return f"{', '.join(others)} and {last}" if others else last


def of_listeners(draft: Draft) -> Iterator[Finding]:
    """Yields keys of a listener that have no meaning for its protocol."""
    for listener in draft.listeners:
        protocols = frozenset({listener.protocol})
        for path, what, of, row in _meaningless(listener.table, LISTENERS, protocols):
            message = f"{what}is for {words(of)} listeners only"
            yield Finding((*listener.path, *path), message, row.instead or None)


def of_pools(draft: Draft) -> Iterator[Finding]:
    """Yields keys of a pool that have no meaning for any listener that uses it."""
    users: dict[object, set[object]] = {}
    for listener in draft.listeners:
        for pool in (listener.pool, *(route.get("pool") for _, route in listener.routes)):
            if isinstance(pool, str):
                users.setdefault(pool, set()).add(listener.protocol)
    for one in draft.pools:
        protocols = frozenset(users.get(one.name, ALL)) - SOCKS or ALL
        for path, what, of, row in _meaningless(one.table, POOLS, protocols):
            has, used = words(of & WITH_POOLS), words(protocols)
            message = f"{what}is for pools of {has} listeners only, and only {used} ones use this"
            yield Finding((*one.path, *path), message, row.instead or None)


Found = tuple[Path, str, frozenset[str], Row]


def _meaningless(
    table: Table, rows: Mapping[str, Row], protocols: frozenset[object]
) -> Iterator[Found]:
    """Yields what has no meaning for any of these protocols: its path, the value, its protocols and
    its row."""
    if not protocols <= ALL:
        return  # an invalid protocol is reported elsewhere
    for key, row in rows.items():
        if row is ANY:
            continue
        for path, value in matching(table, tuple(key.split("."))):
            if not _is_off(value) and not protocols & row.of:
                yield path, "", row.of, row
            for at, word in _words(value):
                of = row.values.get(word.partition(":")[0], ALL)
                if not protocols & of:
                    yield (*path, *at), f"{shown(word)} ", of, row


def _is_off(value: object) -> bool:
    """True for a value that switches something off, which is always accepted."""
    return value in ("off", False, 0, [])


def _words(value: object) -> Iterator[tuple[Path, str]]:
    """Yields a text, or each text of an array."""
    if isinstance(value, str):
        yield (), value
    for index, one in enumerate(value if isinstance(value, list) else ()):
        if isinstance(one, str):
            yield (index,), one


RULES = (of_listeners, of_pools)
