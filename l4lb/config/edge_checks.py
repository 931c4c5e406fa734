"""What can be wrong between the edge's values that are each right; rows of checks.RULES."""

from __future__ import annotations

from collections.abc import Iterator

from l4lb.config.draft import Draft, table
from l4lb.config.origin import Finding


def trusted_proxies(draft: Draft) -> Iterator[Finding]:
    """A PROXY header from anyone would let anyone be anyone; a unix socket has its file's mode."""
    for path, listener in _listeners(draft):
        mode, binds = listener.get("proxy_protocol", "off"), listener.get("bind")
        if isinstance(binds, list) and all(str(bind).startswith("unix:") for bind in binds):
            continue
        if mode in ("accept", "require") and not listener.get("trusted"):
            message = "is needed with proxy_protocol"
            hint = 'name the proxies, such as trusted = ["10.0.0.0/8"]'
            yield Finding((*path, "trusted"), message, hint)


def someone_who_verifies(draft: Draft) -> Iterator[Finding]:
    """Who wants client certificates and says not whose would get none."""
    for path, listener in _listeners(draft):
        tls = listener.get("tls")
        if isinstance(tls, dict) and "verify" in tls and not tls.get("ca"):
            message = "is without effect: no client is asked for a certificate"
            hint = 'name who signs them, such as ca = "/etc/l4lb/clients.pem"'
            yield Finding((*path, "tls", "verify"), message, hint)


def some_access(draft: Draft) -> Iterator[Finding]:
    """A table that says nothing is a mistake."""
    for path, listener in _listeners(draft):
        access = listener.get("access")
        keys = ("allow", "deny", "allow_file", "deny_file")
        if isinstance(access, dict) and not any(access.get(key) for key in keys):
            message = "names nobody"
            yield Finding((*path, "access"), message, "add allow, deny, allow_file or deny_file")


def for_tcp_only(draft: Draft) -> Iterator[Finding]:
    """What a listener of datagrams cannot ask: it would not do what is written."""
    for path, listener in _listeners(draft):
        if listener.get("protocol") != "udp":
            continue
        if listener.get("proxy_protocol", "off") != "off":
            yield Finding((*path, "proxy_protocol"), "is for tcp listeners only")
        if "limits" in listener:
            hint = "UDP has max_sessions_per_source and max_amplification"
            yield Finding((*path, "limits"), "is for tcp listeners only", hint)
        for key in ("keepalive", "user_timeout", "mptcp"):
            if listener.get(key):
                yield Finding((*path, key), "is for tcp listeners only")
        access = listener.get("access")
        if isinstance(access, dict) and access.get("refusal") == "tarpit":
            hint = "datagrams of who may not come in are dropped"
            yield Finding((*path, "access", "refusal"), "is for tcp listeners only", hint)
        routes = listener.get("routes")
        for index, route in enumerate(routes if isinstance(routes, list) else ()):
            for key in ("sni", "alpn"):
                if isinstance(route, dict) and key in route:
                    message = "is for tcp listeners only"
                    yield Finding((*path, "routes", index, key), message, "use source or percent")


def for_udp_only(draft: Draft) -> Iterator[Finding]:
    """What only a listener of datagrams can ask."""
    hints = {"max_sessions_per_source": "TCP has limits.connections_per_source"}
    for path, listener in _listeners(draft):
        if listener.get("protocol", "tcp") != "tcp":
            continue
        for key in ("max_amplification", "max_sessions_per_source", "reject_privileged_ports"):
            if listener.get(key):
                yield Finding((*path, key), "is for udp listeners only", hints.get(key, ""))


def _listeners(draft: Draft) -> Iterator[tuple[tuple[str | int, ...], dict[str, object]]]:
    for name, listener in table(draft.data, "listeners").items():
        if isinstance(listener, dict):
            yield ("listeners", name), listener


RULES = (trusted_proxies, someone_who_verifies, some_access, for_tcp_only, for_udp_only)
