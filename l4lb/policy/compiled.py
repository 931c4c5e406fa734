"""A forward proxy's rules as they are asked: compiled from the configuration. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from l4lb.config.values.forward import Spans, spans_of
from l4lb.policy import domains, times, urls
from l4lb.policy.rules import Rule, Rules


def is_in(port: int, spans: Spans) -> bool:
    return any(low <= port <= high for low, high in spans)


def rules_of(given: Iterable[Any], otherwise: Any) -> Rules:
    """Compiles the rules of a forward proxy. Raises ValueError."""
    return Rules(tuple(_rule(one) for one in given), otherwise)


def _rule(one: Any) -> Rule:
    has_urls = one.url or one.url_regex
    return Rule(
        name=one.name,
        action=one.action,
        users=frozenset(one.user or ()),
        groups=frozenset(one.group or ()),
        sources=tuple(ipaddress.ip_network(str(net)) for net in one.source or ()),
        domains=domains.domains_of(one.domain) if one.domain else None,
        lists=tuple(one.lists or ()),
        ports=spans_of(one.port or ()),
        methods=frozenset(one.method or ()),
        urls=urls.urls_of(one.url or (), one.url_regex or ()) if has_urls else None,
        times=times.parse(one.time) if one.time else None,
    )


def own_addresses(binds: Iterable[tuple[str, int]], local: Iterable[str]) -> Mapping[int, set[str]]:
    """Returns, by port, the addresses at which this service itself listens: a client that is sent
    there comes round again. binds: address and port of each listener; "0.0.0.0" and "::" are all
    local ones."""
    every = {_plain(one) for one in local} | {"127.0.0.1", "::1"}
    known = {"0.0.0.0": every, "::": every}
    found: dict[int, set[str]] = {}
    for host, port in binds:
        at = known.setdefault(host, {_plain(host)})
        # why not changed in place: the ports of a wide range share one set.
        found[port] = found[port] | at if port in found else at
    return found


def _plain(address: str) -> str:
    """Returns an address in its shortest form, without a zone."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(ip, "ipv4_mapped", None)
    return str(mapped or ip)
