"""What operators ask of a forward proxy: where a client may go, and which rule, list and line say
so. Users need no password here, and nothing of it is remembered."""

from __future__ import annotations

import asyncio
import ipaddress
import urllib.parse
from collections.abc import Mapping
from typing import Any, NamedTuple

from l4lb.config.model import Forward
from l4lb.errors import AdminError
from l4lb.lists.name import name_of
from l4lb.native.gate import inside
from l4lb.policy import rules
from l4lb.policy.files import Books
from l4lb.policy.judge import Judge
from l4lb.policy.names import ResolveError

LOCAL = "127.0.0.1"  # the client that is meant if none is named
PORTS = {"http": 80, "https": 443, "": 0}


class Target(NamedTuple):
    """Where a client wants to go. method: as rules see it. path: None in a tunnel."""

    host: str
    port: int
    method: str
    path: str | None


def read_target(text: str) -> Target:
    """Reads http://HOST/PATH, https://HOST/ (a tunnel), or HOST:PORT (a client of SOCKS). Raises
    AdminError bad_argument."""
    whole = text if "://" in text else f"//{text}"
    try:
        parts = urllib.parse.urlsplit(whole)
        port = parts.port or PORTS[parts.scheme]
        host = parts.hostname or ""
    except (ValueError, KeyError):
        port, host, parts = 0, "", urllib.parse.SplitResult("", "", "", "", "")
    name = name_of(f"[{host}]" if ":" in host else host)
    if not port or name is None or "@" in parts.netloc:
        example = "https://www.example.com/ or www.example.com:22"
        raise AdminError("bad_argument", f"{text} is no URL and no HOST:PORT such as {example}")
    if parts.scheme == "http":
        query = f"?{parts.query}" if parts.query else ""
        return Target(name, port, "GET", (parts.path or "/") + query)
    return Target(name, port, "CONNECT" if parts.scheme else rules.SOCKS, None)


def read_source(value: object) -> rules.Ip:
    """Reads a client's address. Raises AdminError bad_argument."""
    try:
        return ipaddress.ip_address(str(value or LOCAL))
    except ValueError:
        raise AdminError("bad_argument", f"{value} is no IP address") from None


async def explain(
    judge: Judge, books: Books, forward: Forward, args: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns what docs/admin.md (forward) says. Raises AdminError."""
    target, source = read_target(str(args.get("url"))), read_source(args.get("from"))
    user = str(args["user"]) if args.get("user") else None
    decision = judge.decide(rules.Question(user, source, *target))
    told: dict[str, Any] = {
        "forward": judge.terms.name,
        "host": target.host,
        "port": target.port,
        "action": decision.action,
        "rule": decision.rule or "otherwise",
        "list": decision.list,
        "line": None,
        "addresses": [],
        "private": [],
    }
    if decision.list is not None:
        told["line"] = await asyncio.to_thread(books.place, decision.list, target.host)
    if decision.action != "allow":
        return told
    try:
        found = (await judge.names.resolve(target.host)).found
    except ResolveError as error:
        return told | {"action": "unknown", "why": str(error)}
    private = [one for one in found if is_refused(one, forward)]
    told |= {"addresses": list(found), "private": private}
    return told | ({"action": "deny", "rule": "private"} if len(private) == len(found) else {})


def is_refused(address: str, forward: Forward) -> bool:
    """Returns whether an address is a private one that clients may not reach, as the worker that
    connects decides it."""
    if forward.private == "allow" or inside(address) is None:
        return False
    ip = ipaddress.ip_address(address)
    return not any(ip in ipaddress.ip_network(net) for net in forward.allow_private)
