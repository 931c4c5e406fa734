"""What a cache would do with a request (`explain LISTENER --request`), and what it has for it."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from l4lb.control.views.caches import looked_at
from l4lb.errors import AdminError
from l4lb.native import cache as native
from l4lb.native import cached, http
from l4lb.native.caches import CacheRow, Found, KeyRules
from l4lb.native.requests import Target
from l4lb.native.table import Table

Map = dict[str, Any]
PORTS = {"http": 80, "https": 443}
NONE: Map = {"cache": None}
WAITS: Map = {"outcome": "waits", "why": "another request asks a backend for the same"}


class Message(NamedTuple):
    """A request as caches see it. host: as the client says it."""

    method: str
    target: Target
    host: bytes
    fields: tuple[tuple[bytes, bytes], ...]

    @property
    def head(self) -> bytes:
        """The head, for the code that serves clients."""
        query = b"" if self.target.query is None else b"?" + self.target.query
        others = [(name, value) for name, value in self.fields if name.lower() != b"host"]
        lines = [b"%b: %b\r\n" % pair for pair in ((b"Host", self.host), *others)]
        path = self.target.path or b"/"
        first = b"%b %b%b HTTP/1.1\r\n" % (self.method.encode(), path, query)
        return first + b"".join(lines) + b"\r\n"

    def key(self, rules: KeyRules) -> bytes:
        """Returns the key. Raises ValueError if it is too long."""
        scheme = self.target.scheme or "http"
        name, port = http.read_host(self.host)
        host = name if port in (None, PORTS[scheme]) else f"{name}:{port}"
        return native.key(scheme.encode(), host.encode(), self.target.path, self.target.query,
                          rules.parts, rules.ignored)  # fmt: skip


def would(
    table: Table, fd: int, number: int, message: Message, pool: str, route: int | None
) -> Map:
    """Returns what the cache of this number (0: none) would do with a request. fd: the memory of
    all caches. pool: that would answer it; route: the slot of its route. Raises AdminError."""
    row = next((one for one in native.rows(table) if one.row == number - 1), None)
    if row is None:
        return NONE
    try:
        asked = cached.asked(message.head)
    except ValueError:
        raise AdminError("bad_argument", "a header field of the request cannot be read") from None
    rules = cached.rules(table, row.row)
    told: Map = {"cache": row.name}
    if message.method.encode() == rules.purge:
        return told | {"cache_result": "purge"}
    if not asked.may_answer:
        return told | {"cache_result": "bypass"}
    try:
        key = message.key(rules)
    except ValueError:
        return told | {"cache_result": "bypass"}
    told["cache_key"] = key.decode("ascii", "backslashreplace")
    found, fetched = _looked(table, fd, row, key, message.head, pool, route)
    told["cache_result"] = "miss" if found is None else found.use
    told["cache_has"] = None if found is None else found.place
    if found is not None:
        told |= {"age_s": found.kept.age_s, "fresh_for_s": found.kept.left_s}
    if told["cache_result"] in ("hit", "updating"):
        return told | {"outcome": "cached"}
    if asked.only:
        return told | {"outcome": "refused", "status": 504, "why": "only-if-cached"}
    return told | (WAITS if fetched and asked.fetches and rules.collapses else {})


def _looked(
    table: Table, fd: int, row: CacheRow, key: bytes, head: bytes, pool: str, route: int | None
) -> tuple[Found | None, bool]:
    """Returns what the cache has for the request, and whether somebody fetches it now."""
    now_s = int(time.time())
    with looked_at(fd, row) as (purges, area):
        found = cached.found(table, purges, area, row.row, key, head, pool, route, now_s)
        return found, cached.is_fetched(table, purges, area, row.row, key, now_s)
