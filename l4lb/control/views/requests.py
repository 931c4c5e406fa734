"""`explain LISTENER --request`: which route an HTTP request takes, and which backend it would get.

The code that serves requests answers: targets, hosts and paths are read, and routes are looked up,
as the workers do it.
"""

from __future__ import annotations

from typing import Any

from l4lb.config.values.http import REQUEST_KEYS
from l4lb.control import names
from l4lb.control.views import cached
from l4lb.control.views.explain import HASHES, Values, client_address, pool_row
from l4lb.control.views.explain import explain as explain_pick
from l4lb.errors import AdminError
from l4lb.native import http
from l4lb.native.requests import Chosen, Request
from l4lb.native.rows import ListenerRow
from l4lb.native.table import Table

Map = dict[str, Any]
OWN_ADDRESS = "127.0.0.1"  # the client of a request that names none
TOLD_BY_PROXIES = (b"x-forwarded-for", b"forwarded")
PICKED = ("backend", "why", "keys", "candidates")
HALF = 1 << 31  # the luck of a request: percentages of less than 50 do not take it


def explain(table: Table, args: Map, cache_fd: int = -1) -> Map:
    """Returns what would happen with a request. args: pool (the listener's name), request,
    header, from. cache_fd: the memory of all caches."""
    listener = _listener(table, args["pool"])
    method, url = _parted(args["request"])
    fields = [_field(text) for text in args["header"]]
    ip, _ = client_address(args["from"] or OWN_ADDRESS)
    told: Map = {"listener": listener.name, "request": args["request"]}
    head = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(
        b"%b: %b\r\n" % (name, value) for name, value in fields if name.lower() in TOLD_BY_PROXIES
    )
    client = http.true_client(table, listener.index, ip, head + b"\r\n")
    told |= {"client": client or ip} | ({"peer": ip} if client else {})
    try:
        request, message = _read(table, listener, method, url, fields, client or ip)
    except http.RequestError as refused:
        word, status = refused.args
        return told | {"outcome": "refused", "status": status, "why": word}
    told |= {"host": request.host, "path": request.path.decode("ascii")}
    met = http.rules_met(table, listener.index, request)
    if met:
        told["rules"] = [rule.name for rule in met]
    for rule in met:
        if rule.action in ("deny", "tarpit") and not rule.dry_run:
            status = rule.status if rule.action == "deny" else None
            return told | {"outcome": "refused", "status": status, "why": f"filter {rule.name}"}
    chosen = http.choose_in_force(table, listener.index, request)
    if chosen is None:
        told |= {"route": None} | _pick(table, listener.pool, request)
        number = http.cache_of(table, listener.index)
        its = cached.would(table, cache_fd, number, message, listener.pool, None)
        return _with_cache(told, its)
    told |= _happens(table, chosen, request)
    if chosen.action != "pool":
        return told
    its = cached.would(table, cache_fd, chosen.cache, message, told["pool"], chosen.slot)
    return _with_cache(told, its)


def _with_cache(told: Map, its: Map) -> Map:
    """Adds what a cache does. Without a backend, there is no choice of one."""
    if its.get("outcome") in ("cached", "refused"):
        told = {key: value for key, value in told.items() if key not in PICKED}
    return told | its


def _listener(table: Table, name: str) -> ListenerRow:
    """Returns the first row of an HTTP listener. Raises AdminError."""
    for row in table.listeners():
        if row.name == name:
            if row.protocol != "http":
                raise AdminError("bad_argument", f"{name} is a {row.protocol} listener, not http")
            return row
    # why not not_found: the argument's name says that it is a pool.
    raise AdminError("bad_argument", names.unknown(table, "listener", name).message)


def _parted(text: str) -> tuple[str, str]:
    method, _, url = text.strip().partition(" ")
    if not method or not url or " " in url or not text.isascii():
        raise AdminError("bad_argument", f'{text!r} is not "METHOD URL"')
    return method, url


def _field(text: str) -> tuple[bytes, bytes]:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise AdminError("bad_argument", f'{text!r} is not "NAME: VALUE"')
    return name.strip().encode(), value.strip().encode()


def _read(
    table: Table,
    listener: ListenerRow,
    method: str,
    url: str,
    fields: list[tuple[bytes, bytes]],
    ip: str,
) -> tuple[Request, cached.Message]:
    """Reads the request as a worker does, for routes and for caches. The host of a URL is as good
    as a Host field. Raises RequestError, or AdminError if there is no host."""
    target = http.read_target(url.encode(), method)
    said = [value for name, value in fields if name.lower() == b"host"]
    text = target.host if target.host is not None else said[0] if said else None
    if text is None:
        raise AdminError(
            "bad_argument", 'the request names no host: give a URL, or --header "Host:'
        )
    host = http.read_host(text).name
    merges = http.merges_slashes(table, listener.index)
    path = http.read_path(target.path, merges=merges)
    scheme = target.scheme or "http"
    sni = host if scheme == "https" else ""
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    body = int(lengths[0]) if lengths and lengths[0].isdigit() else 0
    given = tuple(fields)
    request = Request(method, scheme, host, path, target.query, given, sni, ip, HALF, body)
    return request, cached.Message(method, target, text, given)


def _happens(table: Table, chosen: Chosen, request: Request) -> Map:
    """Returns what a route does with a request."""
    told: Map = {"route": chosen.number + 1}
    if chosen.action == "redirect":
        where = chosen.location.decode("ascii")
        return told | {"outcome": "redirected", "status": chosen.status, "location": where}
    if chosen.action == "respond":
        kind = chosen.content_type.decode("ascii")
        return told | {
            "outcome": "answered",
            "status": chosen.status,
            "content_type": kind,
            "body_bytes": len(chosen.body),
        }
    if chosen.target:
        told["target"] = chosen.target.decode("ascii")
    if chosen.set_request:
        pairs = chosen.set_request.items()
        told["sets"] = [f"{name.decode()}: {value.decode()}" for name, value in pairs]
    pool = next(row.name for row in table.pools() if row.index == chosen.pool)
    return told | _pick(table, pool, request)


def _pick(table: Table, pool: str, request: Request) -> Map:
    row = pool_row(table, pool)
    keys = {}
    if row.balance in HASHES and _is_of_request(row.hash_key):
        keys["hash_key"] = row.hash_key
    if _is_of_request(row.sticky_key):
        keys["sticky.key"] = row.sticky_key
    found = {use: http.request_key(key, request) or b"" for use, key in keys.items()}
    values = Values(found.get("hash_key", b""), found.get("sticky.key", b""))
    args = {"pool": pool, "client": request.source, "sni": request.sni or None}
    pick = explain_pick(table, args, values)
    told: Map = {key: pick[key] for key in ("outcome", "pool", "backend", "why")}
    if keys:
        told["keys"] = [
            {
                "key": use,
                "takes": key,
                "value": found[use].decode("latin-1") if found[use] else None,
            }
            for use, key in keys.items()
        ]
    return told | {"candidates": pick["candidates"]}


def _is_of_request(key: str) -> bool:
    return key.partition(":")[0] in REQUEST_KEYS
