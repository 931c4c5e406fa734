"""Checks of forward proxies, of their lists, and of the listeners that name them. They are rows of
checks.RULES and checks.ADVICE."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from l4lb.config.address import BindRange, is_ip
from l4lb.config.draft import Draft, Listener, Table, table
from l4lb.config.origin import Finding, path_text
from l4lb.config.position import Path
from l4lb.config.rules.names import unknown
from l4lb.config.units import shown

CONDITIONS = (
    "user", "group", "source", "domain", "list", "port", "method", "url", "url_regex", "time",
)  # fmt: skip


def _served(draft: Draft) -> Iterator[Finding]:
    """Each listener names who serves it: a pool or a forward proxy."""
    for listener in draft.listeners:
        path, has_pool = (*listener.path, "pool"), listener.pool is not None
        if listener.protocol == "socks5" and (has_pool or listener.forward is None):
            if has_pool:
                message = "cannot serve clients of SOCKS, who say themselves where they go"
                yield Finding(path, message, "name a forward proxy with forward")
            else:
                yield Finding((*listener.path, "forward"), "this key is required")
        elif listener.forward is None and not has_pool:
            hint = "or forward, for a forward proxy" if listener.protocol == "http" else None
            yield Finding(path, "this key is required", hint)
        elif listener.forward is not None and has_pool:
            message = "is served by a pool and by a forward proxy"
            yield Finding((*listener.path, "forward"), message, "name one of pool, forward")


def _known_forwards(draft: Draft) -> Iterator[Finding]:
    known = table(draft.data, "forward")
    for listener in draft.listeners:
        name = listener.forward
        if isinstance(name, str) and name not in known:
            path = (*listener.path, "forward")
            yield unknown(path, "forward proxy", "forward", name, known)


def _routes_without_pools(draft: Draft) -> Iterator[Finding]:
    for listener in draft.listeners:
        if listener.protocol == "socks5" and listener.routes:
            message = "are for other listeners: clients of SOCKS make no requests"
            hint = "rules of the forward proxy say who may go where"
            yield Finding((*listener.path, "routes"), message, hint)
        elif listener.forward is not None:
            for path, route in listener.routes:
                if "pool" in route:
                    message = "is a pool, and clients of a forward proxy say where they go"
                    yield Finding((*path, "pool"), message, "use a listener of its own")


def _unique_rules(draft: Draft) -> Iterator[Finding]:
    """Finds two rules of one name: the log could not tell them apart."""
    for path, forward in _forwards(draft):
        seen: dict[str, Path] = {}
        for at, rule in _rules(path, forward):
            name = rule.get("name")
            if not isinstance(name, str):
                continue
            if name in seen:
                message = f"another rule of this forward proxy is named {shown(name)}"
                yield Finding((*at, "name"), message, f"{path_text(seen[name])}; names are unique")
            seen.setdefault(name, at)


def _pages_of_denials(draft: Draft) -> Iterator[Finding]:
    for path, forward in _forwards(draft):
        for at, rule in _rules(path, forward):
            if "page" in rule and rule.get("action") in ("allow", "auth"):
                message = 'is for rules with action = "deny": nobody else is refused'
                yield Finding((*at, "page"), message)


def _known_lists(draft: Draft) -> Iterator[Finding]:
    known = table(draft.data, "lists")
    for path, forward in _forwards(draft):
        for at, rule in _rules(path, forward):
            for where, name in _texts((*at, "list"), rule.get("list")):
                if name not in known:
                    yield unknown(where, "list", "lists", name, known)


def _knows_its_users(draft: Draft) -> Iterator[Finding]:
    """Finds rules about users of a forward proxy that cannot know any."""
    for path, forward in _forwards(draft):
        auth = forward.get("auth")
        has_groups = isinstance(auth, dict) and "groups" in auth
        hint = f"add [{path_text((*path, 'auth'))}] with htpasswd"
        for key in ("connections_per_user", "bandwidth_per_user"):
            if key in forward and auth is None:
                yield Finding((*path, key), "no user is ever known without `auth`", hint)
        for at, rule in _rules(path, forward):
            asks = [key for key in ("user", "group") if key in rule]
            if auth is None and (asks or rule.get("action") == "auth"):
                key = asks[0] if asks else "action"
                yield Finding((*at, key), "no user is ever known without `auth`", hint)
            elif "group" in rule and not has_groups:
                message = "no group is known without `auth.groups`"
                yield Finding((*at, "group"), message, "name a file of groups")


def _no_open_proxy(draft: Draft) -> Iterator[Finding]:
    """Refuses a proxy for everybody who can reach it: such proxies are found and abused within
    hours."""
    forwards = {str(path[-1]): one for path, one in _forwards(draft)}
    for listener in draft.listeners:
        forward = forwards.get(listener.forward) if isinstance(listener.forward, str) else None
        if forward is None or _is_local(listener) or _is_guarded(listener):
            continue
        if _serves_everybody(forward):
            message = "is an open proxy: everybody who reaches this address may use it"
            hint = (
                'let only your own clients in: access = { allow = ["10.0.0.0/8"] } here; or `auth`,'
                " or rules with `source`, in the forward proxy; or bind 127.0.0.1"
            )
            yield Finding((*listener.path, "forward"), message, hint)


def _serves_everybody(forward: Table) -> bool:
    """Returns whether a client that nobody knows may go to any host that no rule names."""
    rules = [rule for _, rule in _rules((), forward)]
    for rule in rules:
        conditions = [key for key in CONDITIONS if key in rule]
        if not conditions:
            return rule.get("action") == "allow"
    known = "auth" in forward and not rules
    return forward.get("otherwise", "deny" if rules else "allow") == "allow" and not known


def _is_guarded(listener: Listener) -> bool:
    """Returns whether the listener lets only some clients in."""
    access, tls = table(listener.table, "access"), table(listener.table, "tls")
    chosen = bool(access.get("allow") or access.get("allow_file")) and not access.get("dry_run")
    return chosen or ("ca" in tls and tls.get("verify", "required") == "required")


def _is_local(listener: Listener) -> bool:
    return all(_is_loopback(span) for _, span in listener.binds)


def _is_loopback(span: BindRange) -> bool:
    if span.path or span.host == "localhost":
        return True
    return is_ip(span.host) and ipaddress.ip_address(span.host).is_loopback


# ---- advice --------------------------------------------------------------------------------------


def _used_forwards(draft: Draft) -> Iterator[Finding]:
    used = {one.forward for one in draft.listeners if isinstance(one.forward, str)}
    for path, _ in _forwards(draft):
        if path[-1] not in used:
            yield Finding(path, "no listener uses this forward proxy")


def _used_lists(draft: Draft) -> Iterator[Finding]:
    used = {
        name
        for path, forward in _forwards(draft)
        for at, rule in _rules(path, forward)
        for _, name in _texts(at, rule.get("list"))
    }
    for name in table(draft.data, "lists"):
        if name not in used:
            yield Finding(("lists", name), "no rule of a forward proxy uses this list")


def _private_from_outside(draft: Draft) -> Iterator[Finding]:
    reached = {
        one.forward
        for one in draft.listeners
        if isinstance(one.forward, str) and not _is_local(one)
    }
    for path, forward in _forwards(draft):
        if forward.get("private") == "allow" and path[-1] in reached:
            message = "clients of other hosts may reach this host and its private networks"
            hint = "name networks that they may reach in allow_private instead"
            yield Finding((*path, "private"), message, hint)


# ---- what there is -------------------------------------------------------------------------------


def _forwards(draft: Draft) -> Iterator[tuple[Path, Table]]:
    for name, forward in table(draft.data, "forward").items():
        if isinstance(forward, dict):
            yield ("forward", name), forward


def _rules(path: Path, forward: Table) -> Iterator[tuple[Path, Table]]:
    rules = forward.get("rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            yield (*path, "rules", index), rule


def _texts(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    """Yields a text, or each text of an array."""
    if isinstance(value, str):
        yield path, value
    for index, one in enumerate(value if isinstance(value, list) else ()):
        if isinstance(one, str):
            yield (*path, index), one


RULES = (
    _served,
    _known_forwards,
    _routes_without_pools,
    _unique_rules,
    _pages_of_denials,
    _known_lists,
    _knows_its_users,
    _no_open_proxy,
)
ADVICE = (_used_forwards, _used_lists, _private_from_outside)
