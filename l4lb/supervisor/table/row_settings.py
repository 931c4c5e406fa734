"""The numbers in rows of the shared table, from the configuration.

csrc/shm/settings.h says where each number stands in the configuration. A key that goes into the
table unchanged needs no line here. This module computes the numbers that come from several keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

from l4lb.config.bounds import ERROR_STATUS, FAULT_STATUS, SECOND_MS
from l4lb.config.model import Cache, Config, Forward, Listener, Pool
from l4lb.config.rules.hand_over import listener_lets_go, pool_lets_go
from l4lb.config.tables.http import ListenerHttp, PoolHttp
from l4lb.config.tables.http_route import KeyRate, RequestRate
from l4lb.config.tables.listener_limits import ErrorLimit, ListenerLimits, RateLimit
from l4lb.config.tables.quic import Quic
from l4lb.config.tables.tls import ListenerTls
from l4lb.config.values.forward import spans_of
from l4lb.config.values.http import error_statuses, request_key
from l4lb.native import listener_policy, rows, settings
from l4lb.native.cache import KEY_PARTS
from l4lb.native.http_texts import HOST_NAMED, HOSTS, RETRY_ON, SNIS
from l4lb.native.listener_policy import LIMITS, TLVS

FAMILIES = ("ipv4", "ipv6")  # the parts of a pair of prefixes
PORT_SPANS = 4  # ranges of ports that a pool's row takes
EARLY_US_MAX = (1 << 32) - 1  # over an hour


def configured(kind: str, model: object) -> dict[str, Any]:
    """Returns the settings of one kind of row that the configuration has unchanged. A setting in a
    table that is absent is None."""
    found = {}
    for name, path in settings.PATHS[kind].items():
        first, *rest = path.split(".")
        if hasattr(model, first):
            found[name] = reduce(_below, rest, getattr(model, first))
    return found


def _below(value: Any, key: str) -> Any:
    if value is None:
        return None
    return value[FAMILIES.index(key)] if key in FAMILIES else getattr(value, key, None)


def of_table(config: Config) -> dict[str, Any]:
    """Returns the settings of the whole table."""
    limits = config.limits
    return configured("table", config) | {
        "shed_idle_ms": 0 if limits.shed == "off" else limits.shed_idle_ms,
        "shed_at_limit": limits.shed == "limit",
    }


def of_pool(pool: Pool) -> dict[str, Any]:
    """Returns the settings of a pool. Those of TLS are written when its profile is known."""
    quic = quic_rule(pool)
    rules = pool.http or PoolHttp()
    statuses = set(pool.passive.statuses) if pool.passive else set()
    sticky = None if pool.sticky and pool.sticky.cookie else pool.sticky
    return configured("pool", pool.model_copy(update={"http": rules, "sticky": sticky})) | {
        "maglev_size": pool.maglev_size if pool.balance == "maglev" else 0,
        "proxy_tlvs": sum(1 << TLVS.index(one) for one in pool.proxy_tlvs),
        "keep_down": pool.on_down == "keep",
        "quic_id": quic is not None,
        "quic_config": quic.config_id if quic else 0,
        "quic_bytes": quic.server_id_length if quic else 0,
        "hand_over": pool_lets_go(pool),
        "http_retry_on": sum(1 << RETRY_ON.index(one) for one in rules.retry_on),
        "http_bad_statuses": sum(1 << (one - FAULT_STATUS[0]) for one in statuses),
        "hash_key": request_key(pool.hash_key).kind,
        "sticky_key": request_key(sticky.key).kind if sticky else 0,
        "http_host": HOSTS.index(rules.host) if rules.host in HOSTS else HOST_NAMED,
    }


def of_forward(
    forward: Forward | None, row: int, private_set: int | None, cache: int = 0
) -> dict[str, Any]:
    """Returns what a pool's row says of its forward proxy; None: the pool is an ordinary one. row:
    the pool's, which numbers the proxy too. private_set: the set of private networks that clients
    may reach. cache: number of its cache; 0: it has none."""
    if forward is None:
        return {
            "forward_number": 0, "forward_private": 0, "forward_private_set": None,
            "forward_paths": 0, "forward_anonymous": 0, "forward_wait_ms": 0,
            "forward_fails_open": 0, "forward_cache": 0, "forward_sni": 0,
            "forward_user_connections": 0, "forward_user_bandwidth": 0,
            **_ports_of("forward_ports", ()), **_ports_of("forward_tunnel_ports", ()),
        }  # fmt: skip
    return {
        "forward_number": forward_number(row),
        "forward_private": forward.private == "allow",
        "forward_private_set": private_set,
        "forward_paths": forward.sees_paths,
        "forward_anonymous": forward.anonymous,
        "forward_wait_ms": forward.policy_timeout_ms,
        "forward_fails_open": forward.on_policy_failure == "allow",
        "forward_cache": cache,
        "forward_sni": SNIS.index(forward.sni),
        "forward_user_connections": forward.connections_per_user,
        "forward_user_bandwidth": forward.bandwidth_per_user or 0,
        **_ports_of("forward_ports", forward.ports),
        **_ports_of("forward_tunnel_ports", forward.connect_ports),
    }


def _ports_of(name: str, ports: tuple[str, ...]) -> dict[str, int]:
    """Returns as many ranges of ports as workers know, each as one number."""
    spans = spans_of(ports[:PORT_SPANS])
    numbers = [low << 16 | high for low, high in spans] + [0] * PORT_SPANS
    return {f"{name}_{place}": numbers[place] for place in range(PORT_SPANS)}


def forward_number(row: int) -> int:
    """Returns the number of the forward proxy whose pool has this row: from 1, and the same as long
    as the pool is there."""
    return row + 1


def of_cache(cache: Cache, max_object: int, purge_set: int | None) -> dict[str, Any]:
    """Returns the settings of a cache. max_object: what its memory takes. purge_set: the set of
    networks whose clients may purge."""
    return configured("cache", cache) | {
        "default_ttl_s": cache.default_ttl_ms // SECOND_MS,
        "max_ttl_s": cache.max_ttl_ms // SECOND_MS,
        "stale_while_revalidate_s": cache.stale_while_revalidate_ms // SECOND_MS,
        "stale_if_error_s": cache.stale_if_error_ms // SECOND_MS,
        "key_parts": sum(KEY_PARTS[one] for one in cache.key),
        "collapse_ms": cache.collapse_timeout_ms if cache.collapse else 0,
        "max_object": max_object,
        "purge_set": purge_set,
    }


def quic_rule(pool: Pool) -> Quic | None:
    """Returns how QUIC connection ids name the pool's backends; None if they do not."""
    return (pool.quic or Quic()) if pool.hash_key == "quic_cid" else None


def of_listener(
    listener: Listener,
    pools: Mapping[str, Pool],
    *,
    hello: str,
    anonymous: bool = False,
    **known: int | None,
) -> dict[str, Any]:
    """Returns the settings of a listener. Those of TLS are written when its profile is known.
    hello: whether it looks for a ClientHello (listener_policy.HELLO). anonymous: servers are not
    told of its clients. known: its pool's row, its head and its sets of networks."""
    limits = listener.limits or ListenerLimits()
    http = listener.http or ListenerHttp()
    bursts = {
        f"limits_{name}_burst": rule.burst or rule.limit
        for name in LIMITS
        if isinstance(rule := getattr(limits, name), RateLimit)
    }
    rates = {
        f"{name}_{part}": value
        for name, rate in (
            ("http_requests", limits.requests),
            ("http_source_requests", limits.requests_per_source),
            ("http_key_requests", limits.requests_per_key),
        )
        for part, value in request_rate(rate).items()
    }
    given = configured("listener", listener.model_copy(update={"limits": limits, "http": http}))
    served = [pools[name] for name in listener.pools]
    return (
        given
        | bursts
        | rates
        | error_words(limits.errors_per_source)
        | handshake_pace(listener.tls)
        | {
            "asked": listener_policy.PROXY_MODES[listener.proxy_protocol]
            | listener_policy.HELLO[hello],
            "udp_ways": udp_ways(served),
            "hand_over": listener_lets_go(listener),
            "http_key_requests_kind": key_kind(limits.requests_per_key),
            "http_forwarded": http.forwarded_given or ("off" if anonymous else "append"),
            "protocol": "http" if listener.protocol == "socks5" else listener.protocol,
            "is_forward": listener.forward is not None,
            "speaks_socks": listener.protocol == "socks5",
        }
        | known
    )


def request_rate(rate: RequestRate | None) -> dict[str, int]:
    """Returns a limit of requests as numbers; a limit of 0 is none."""
    if rate is None:
        return {"limit": 0, "burst": 0, "status": 0, "dry_run": 0}
    burst = rate.burst or rate.limit
    return {"limit": rate.limit, "burst": burst, "status": rate.status, "dry_run": rate.dry_run}


def key_kind(rate: KeyRate | None) -> int:
    """Returns enum l4_key_kind of a limit for each value of a key."""
    return rows.HASH_KEYS.index(request_key(rate.key).kind) if rate else 0


def error_words(rule: ErrorLimit | None) -> dict[str, int]:
    """Returns the statuses that count as errors, as words of 64 bits."""
    found = error_statuses(rule.statuses) if rule else frozenset()
    bits = sum(1 << (status - ERROR_STATUS[0]) for status in found)
    return {f"http_error_statuses_{i}": bits >> 64 * i & (1 << 64) - 1 for i in range(4)}


def handshake_pace(rule: ListenerTls | None) -> dict[str, int]:
    """Returns the mean time between TLS handshakes, and how much earlier one may come (burst)."""
    if rule is None or not rule.handshake_rate:
        return {"tls_interval_us": 0, "tls_burst_us": 0}
    interval_us = max(1, 1_000_000 // rule.handshake_rate)
    early_us = interval_us * max(0, rule.handshake_burst - 1)
    return {"tls_interval_us": interval_us, "tls_burst_us": min(early_us, EARLY_US_MAX)}


def udp_ways(served: list[Pool]) -> int:
    """Returns what a UDP listener must do for its pools, as bits (listener_policy.UDP_WAYS)."""
    asked = {
        "counts": any(pool.requests or pool.per_datagram for pool in served),
        "in_turn": any(pool.per_datagram for pool in served),
        "quic": any(quic_rule(pool) is not None for pool in served),
        "routes": len(served) > 1,
    }
    return sum(listener_policy.UDP_WAYS[way] for way, needed in asked.items() if needed)
