"""Checks between valid values of listeners: access, PROXY protocol, client certificates, unix
sockets. They are rows of checks.RULES."""

from __future__ import annotations

from collections.abc import Iterator

from l4lb.config import accounts
from l4lb.config.draft import Draft, table
from l4lb.config.origin import Finding
from l4lb.config.units import shown


def trusted_proxies(draft: Draft) -> Iterator[Finding]:
    """Requires `trusted` for PROXY headers: otherwise every client could claim any address. For a
    unix socket its file's mode decides."""
    for path, listener in _listeners(draft):
        mode, binds = listener.get("proxy_protocol", "off"), listener.get("bind")
        if isinstance(binds, list) and all(str(bind).startswith("unix:") for bind in binds):
            continue
        if mode in ("accept", "require") and not listener.get("trusted"):
            message = "is needed with proxy_protocol"
            hint = 'name the proxies, such as trusted = ["10.0.0.0/8"]'
            yield Finding((*path, "trusted"), message, hint)


def someone_who_verifies(draft: Draft) -> Iterator[Finding]:
    """Requires `ca` if client certificates are required: without it no certificate could be
    verified."""
    for path, listener in _listeners(draft):
        tls = listener.get("tls")
        if isinstance(tls, dict) and "verify" in tls and not tls.get("ca"):
            message = "is without effect: no client is asked for a certificate"
            hint = 'name who signs them, such as ca = "/etc/l4lb/clients.pem"'
            yield Finding((*path, "tls", "verify"), message, hint)


def some_access(draft: Draft) -> Iterator[Finding]:
    """Refuses an access table without rules: it must be a mistake."""
    for path, listener in _listeners(draft):
        access = listener.get("access")
        keys = ("allow", "deny", "allow_file", "deny_file")
        if isinstance(access, dict) and not any(access.get(key) for key in keys):
            message = "names nobody"
            yield Finding((*path, "access"), message, "add allow, deny, allow_file or deny_file")


def _listeners(draft: Draft) -> Iterator[tuple[tuple[str | int, ...], dict[str, object]]]:
    for name, listener in table(draft.data, "listeners").items():
        if isinstance(listener, dict):
            yield ("listeners", name), listener


def rights_of_files(draft: Draft) -> Iterator[Finding]:
    """Checks the rights of unix sockets: there must be such a socket, and the user and the group
    must exist."""
    for listener in draft.listeners:
        is_unix = any(span.path for _, span in listener.binds)
        for key in ("mode", "owner", "group"):
            value = listener.table.get(key)
            if value is None or listener.protocol == "udp":
                continue
            path = (*listener.path, key)
            if listener.binds and not is_unix:
                hint = 'such as bind = ["unix:/run/app.sock"]'
                yield Finding(path, "is for unix sockets only, and none is bound", hint)
            elif key != "mode" and isinstance(value, str) and accounts.number(key, value) is None:
                what = "user" if key == "owner" else "group"
                yield Finding(path, f"this host has no {what} {shown(value)}")


RULES = (trusted_proxies, someone_who_verifies, some_access, rights_of_files)
