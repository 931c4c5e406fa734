"""Checks between valid values of [listeners.NAME.http]. They are rows of checks.RULES and of
checks.ADVICE."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from l4lb.config.draft import Draft, Table, table
from l4lb.config.origin import Finding
from l4lb.config.position import Path
from l4lb.config.tables.http import ListenerHttp
from l4lb.config.units import SIZE, shown

REQUEST_LIMITS = ("requests", "requests_per_source", "requests_per_key", "errors_per_source")


def _target_in_head(draft: Draft) -> Iterator[Finding]:
    """A target that is as long as its head could never be refused for its own length."""
    for path, _, http in _listeners(draft):
        with contextlib.suppress(ValueError):
            target, head = (
                SIZE.parse(http[key]) if key in http else ListenerHttp.model_fields[key].default
                for key in ("max_target", "max_head")
            )
            if target >= head:
                message = f"must be more than max_target, {SIZE.format(target)}"
                yield Finding((*path, "max_head"), message)


def _limits_what_it_sees(draft: Draft) -> Iterator[Finding]:
    """Finds limits of requests where there are none. why not UDP: it has no limits at all."""
    for listener in draft.listeners:
        sees_none = listener.protocol in ("tcp", "socks5")
        limits = table(listener.table, "limits") if sees_none else {}
        for key in REQUEST_LIMITS:
            if key in limits:
                message = f"has no effect: a {listener.protocol} listener sees no requests"
                yield Finding((*listener.path, "limits", key), message, 'use protocol = "http"')


def _speaks_what_it_negotiates(draft: Draft) -> Iterator[Finding]:
    """Finds protocols that TLS clients may choose, and that nobody speaks then."""
    for path, listener, http in _listeners(draft):
        http2 = table(http, "http2")
        spoken = ("http/1.1",) if http2.get("streams") == 0 else ("h2", "http/1.1")
        asked = table(listener, "tls").get("alpn")
        for index, name in enumerate(asked if isinstance(asked, list) else ()):
            if name not in spoken:
                message = f"{shown(name)} is not spoken by this listener"
                hint = f"use {' or '.join(map(shown, spoken))}"
                yield Finding((*path[:-1], "tls", "alpn", index), message, hint)


def _browsers_believe_it(draft: Draft) -> Iterator[Finding]:
    """Browsers ignore Strict-Transport-Security in answers without TLS (RFC 6797, 8.1)."""
    for path, listener, http in _listeners(draft):
        if "hsts" in http and "tls" not in listener:
            message = "has no effect: browsers ignore it in answers without TLS"
            hint = "set it on the listener that has `tls`"
            yield Finding((*path, "hsts"), message, hint)


def _redirects_somebody(draft: Draft) -> Iterator[Finding]:
    for path, listener, http in _listeners(draft):
        if http.get("https_redirect") is True and "tls" in listener:
            message = "has no effect: all clients of this listener use TLS"
            hint = "set it on the listener of port 80"
            yield Finding((*path, "https_redirect"), message, hint)


def _trusts_somebody_special(draft: Draft) -> Iterator[Finding]:
    for path, _, http in _listeners(draft):
        networks = http.get("trusted")
        for index, network in enumerate(networks if isinstance(networks, list) else ()):
            if isinstance(network, str) and network.endswith("/0"):
                message = f"{shown(network)} lets every client claim any address"
                hint = "name the networks of your own proxies"
                yield Finding((*path, "trusted", index), message, hint)


def _uses_what_it_keeps(draft: Draft) -> Iterator[Finding]:
    """Finds a pool that keeps idle connections and never uses one."""
    for pool in draft.pools:
        http = table(pool.table, "http")
        for key in ("idle_connections", "idle_timeout", "max_requests"):
            if http.get("reuse") == "never" and key in http:
                message = 'has no effect with reuse = "never"'
                yield Finding((*pool.path, "http", key), message)


def _listeners(draft: Draft) -> Iterator[tuple[Path, Table, Table]]:
    """Yields each table [listeners.NAME.http] of an http listener: its path, the listener's table,
    the table."""
    for listener in draft.listeners:
        if listener.protocol == "http":
            yield (*listener.path, "http"), listener.table, table(listener.table, "http")


RULES = (_target_in_head, _limits_what_it_sees, _speaks_what_it_negotiates)
ADVICE = (
    _browsers_believe_it,
    _redirects_somebody,
    _trusts_somebody_special,
    _uses_what_it_keeps,
)
