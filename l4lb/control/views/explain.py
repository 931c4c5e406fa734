"""The admin commands explain (which backend a client would get, and why) and simulate (what a
change would do to a pool). Both change nothing.

Both ask the code that serves clients: explain makes one pick without taking a place, simulate makes
many picks on a copy of the pool.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from l4lb.clock import monotonic_ms
from l4lb.config.address import unmapped
from l4lb.config.bounds import WEIGHT
from l4lb.control import names
from l4lb.errors import AdminError
from l4lb.native import choose, sticky
from l4lb.native.rows import BackendRow, Choice, ExplainedBackend, PoolRow
from l4lb.native.table import Table

Map = dict[str, Any]
HASHES = ("ip_hash", "maglev")
KEYS = 1 << 17  # hash keys that simulate looks up, spread evenly over all hashes
PICKS = 20_000  # picks that simulate makes where the algorithm does not hash
PICKS_WORK = 40_000_000  # maximum number of backends that these picks look at
ADDED_MAX = 64  # backends that one simulation may add
CLIENT = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[^:]*)):(?P<port>[0-9]{1,5})")


def pool_row(table: Table, name: str) -> PoolRow:
    """Returns the pool of that name. Raises AdminError not_found."""
    for row in table.pools():
        if row.name == name:
            return row
    raise names.unknown(table, "pool", name)


def members(table: Table, pool: str) -> dict[int, BackendRow]:
    """Returns a pool's backends by row."""
    return {row.index: row for row in table.backends() if row.pool == pool}


# ---- explain -------------------------------------------------------------------------------------


def client_address(text: str) -> tuple[str, int]:
    """Parses IP, IP:PORT or [IPV6]:PORT. Returns IP and port; the port is 0 if none is given. The
    IP of "unix:" is ""."""
    if text == "unix:":
        return "", 0
    match = CLIENT.fullmatch(text)
    ip, port = ((match["v6"] or match["v4"]), int(match["port"])) if match else (text, 0)
    try:
        network = ipaddress.ip_network(ipaddress.ip_address(ip.strip("[]")))
    except ValueError:
        raise AdminError("bad_argument", f"{text!r} is no IP or IP:PORT") from None
    if port > 65_535 or "%" in ip:
        raise AdminError("bad_argument", f"{text!r} is no IP or IP:PORT")
    return str(unmapped(network).network_address), port


class Values(NamedTuple):
    """What the keys of a pool take of a request: hash_key and sticky.key; b"": nothing."""

    hashed: bytes = b""
    known: bytes = b""


def explain(table: Table, args: Map, values: Values | None = None) -> Map:
    """Returns which backend this client would get now, and why. values: of its request."""
    pool = pool_row(table, args["pool"])
    ip, port = client_address(args["client"])
    sni = (args["sni"] or "").lower().removesuffix(".").encode("ascii", "replace")
    values = values or Values()
    choice = choose.explain(
        table,
        pool.index,
        ip,
        port,
        monotonic_ms(),
        hashed=sni if pool.hash_key == "sni" else values.hashed,
        known=sni if pool.sticky_key == "sni" else values.known,
    )
    rows = members(table, pool.name)
    by_chance = pool.balance == "random" and not choice.sticky and choice.tier != "backups"
    found = rows.get(choice.backend) if choice.backend is not None else None
    candidates = [
        _candidate(one, rows[one.index], choice) for one in choice.candidates if one.index in rows
    ]
    if by_chance:
        whole = sum(one["effective_weight"] for one in candidates if one["usable"])
        for one in candidates:
            one["chance"] = round(one["effective_weight"] / whole, 4) if one["usable"] else 0.0
    waits = pool.queue_length > 0 and (pool.waiting > 0 or (choice.full and found is None))
    return {
        "pool": pool.name,
        "client": args["client"],
        "balance": pool.balance,
        "outcome": "waits" if waits else "refused" if found is None else "served",
        "backend": found.name if found is not None and not by_chance else None,
        "why": _why(pool, choice, found, rows, by_chance),
        "tier": choice.tier,
        "sticky": choice.sticky,
        "hash": choice.hash if pool.balance in HASHES else None,
        "slot": choice.slot if pool.balance in HASHES else None,
        "slots": choice.slots if pool.balance in HASHES else None,
        "candidates": candidates,
    }


def _candidate(one: ExplainedBackend, row: BackendRow, choice: Choice) -> Map:
    return {
        "name": row.name,
        "usable": one.usable == "yes",
        "why": _state(one, row, choice.tier),
        "weight": row.weight,
        "effective_weight": round(one.weight, 3),
        "active": row.inflight,
        "response_time_ms": round(one.response_us / 1000, 3),
    }


def _state(one: ExplainedBackend, row: BackendRow, tier: str) -> str:
    """Returns why a backend may or may not get this client."""
    if one.usable == "yes":
        return "starts slowly" if one.weight < row.weight else "usable"
    if one.usable == "full":
        return f"at its max_connections, {row.max_connections}"
    if row.state != "ready":
        return row.state
    if row.weight == 0:
        return "its weight is 0"
    if row.health == "down":
        return "down"
    if tier != "any" and row.backup != (tier == "backups"):
        return "a backup" if row.backup else "not a backup"
    return "ejected"


def _why(
    pool: PoolRow,
    choice: Choice,
    found: BackendRow | None,
    rows: Mapping[int, BackendRow],
    by_chance: bool,
) -> str:
    """Returns the reason of the choice in one line for people."""
    if found is None:
        if choice.full:
            return "all usable backends are at their max_connections"
        return "no backend can serve"
    if choice.sticky:
        return f"it belongs to {found.name} (sticky)"
    before = {
        "primaries": "",
        "backups": "no other backend is usable, so backups serve; ",
        "any": "no backend is up, so all are tried; ",
    }[choice.tier]
    if choice.tier == "backups" and not pool.all_backups:
        return before + "the first usable one"
    if by_chance:
        return before + "by chance: the less loaded of two that are drawn by weight"
    if pool.balance in HASHES:
        owner = rows.get(choice.slot_backend) if choice.slot_backend is not None else None
        said = f"its hash names slot {choice.slot} of {choice.slots}"
        if owner is None or owner.index == found.index:
            return f"{before}{said}, which is {found.name}'s"
        return f"{before}{said}, {owner.name}'s, who cannot serve it; hashed again"
    return (
        before
        + {
            "round_robin": f"turn {choice.ticket} of {choice.tickets} of the schedule, or the next"
            " usable one",
            "least_connections": "the fewest connections for its weight",
            "least_response_time": "the smallest response time x (connections + 1) / weight",
            "first": "the first usable one",
        }[pool.balance]
    )


# ---- simulate ------------------------------------------------------------------------------------


def _names(text: str | None) -> list[str]:
    return [name for name in (text or "").split(",") if name]


def row_of(rows: Mapping[int, BackendRow], pool: PoolRow, name: str) -> int:
    """Returns the row of the pool's backend of that name. Raises AdminError not_found."""
    for index, row in rows.items():
        if row.name == name:
            return index
    hint = names.near(name, [row.name for row in rows.values()])
    raise AdminError("not_found", f"pool {pool.name} has no backend {name}{hint}")


def _weight(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 3 or int(text) > WEIGHT[1]:
        raise AdminError("bad_argument", f"weight {text!r} of {name} is not 0 to {WEIGHT[1]}")
    return int(text)


def _shares(
    table: Table, pool: PoolRow, originals: list[int | None], now_ms: int
) -> tuple[dict[int, float], list[int | None]]:
    """Returns each backend's share of clients in a copied pool and, if the pool hashes, the backend
    of each hash key. A backend is named by its row in the original pool; added ones are -1, -2, ...
    in order."""
    added = [at for at, row in enumerate(originals) if row is None]
    name = {at: -1 - added.index(at) if row is None else row for at, row in enumerate(originals)}
    if pool.balance in HASHES:
        found = [None if at is None else name[at] for at in choose.keys(table, 0, KEYS, now_ms)]
        shares: dict[int, float] = {}
        for one in found:
            if one is not None:
                shares[one] = shares.get(one, 0) + 1 / KEYS
        return shares, found
    many = max(1_000, min(PICKS, PICKS_WORK // max(1, len(originals))))
    counts, _ = choose.picks(table, 0, many, now_ms, hold=True)
    return {name[at]: count / many for at, count in counts.items()}, []


class Asked(NamedTuple):
    """A change to simulate; backends by name."""

    remove: Sequence[str] = ()
    add: Sequence[tuple[str, int]] = ()
    weights: Mapping[str, int] = {}


class _Change(NamedTuple):
    """A change to simulate; backends that the pool has are given by row."""

    remove: list[int]
    add: list[tuple[str, int]]
    weights: dict[int, int]


def _change(pool: PoolRow, rows: Mapping[int, BackendRow], asked: Asked) -> _Change:
    """Finds the rows that the change names. Raises AdminError for a change that is not possible."""
    change = _Change(
        [row_of(rows, pool, name) for name in asked.remove],
        list(asked.add),
        {row_of(rows, pool, name): weight for name, weight in asked.weights.items()},
    )
    have = {row.name for row in rows.values()}
    for name, _ in asked.add:
        if name in have:
            raise AdminError("bad_argument", f"pool {pool.name} has a backend {name} already")
    if len(change.add) > ADDED_MAX:
        raise AdminError("bad_argument", f"at most {ADDED_MAX} backends can be added")
    return change


def _asked(args: Map) -> Asked:
    """Parses the command's arguments: names, NAME or NAME=WEIGHT, separated by commas."""
    weights = [said.rpartition("=")[::2] for said in _names(args["weight"])]
    added = [said.partition("=")[::2] for said in _names(args["add"])]
    return Asked(
        _names(args["remove"]),
        [(name, _weight(text, name) if text else 1) for name, text in added],
        {name: _weight(text, name) for name, text in weights},
    )


def simulate(table: Table, args: Map) -> Map:
    """Returns what removing, adding and weighing backends would do to a pool."""
    return simulated(table, args["pool"], _asked(args))


def simulated(table: Table, pool_name: str, asked: Asked) -> Map:
    """Returns what a change would do to a pool. Raises AdminError."""
    pool, now_ms = pool_row(table, pool_name), monotonic_ms()
    rows = members(table, pool.name)
    change = _change(pool, rows, asked)
    try:
        before, was = _shares(*_copied(table, pool, _Change([], [], {})), now_ms)
        after, now = _shares(*_copied(table, pool, change), now_ms)
    except ValueError as error:  # a name is too long
        raise AdminError("bad_argument", str(error)) from error
    pairs = list(zip(was, now, strict=True))
    kept = [pair for pair in pairs if pair[0] not in change.remove]
    leaving = [rows[index].name for index in change.remove]
    entries = sticky.entries(table, now_ms, pool=pool.index, limit=1 << 22)
    carried = [
        (row.name, 0 if at in change.remove else change.weights.get(at, row.weight), at,
         row.inflight)
        for at, row in rows.items()
    ] + [(name, weight, -1 - at, 0) for at, (name, weight) in enumerate(change.add)]  # fmt: skip
    return {
        "pool": pool.name,
        "balance": pool.balance,
        "keys": len(was) or None,
        "moved": _part(sum(a != b for a, b in pairs), len(pairs)),
        "moved_of_others": _part(sum(a != b for a, b in kept), len(kept)),
        "sticky_moved": sum(entry.backend in leaving for entry in entries),
        "backends": [
            {
                "name": name,
                "weight": weight,
                "share_before": round(before.get(at, 0.0), 5),
                "share_after": round(after.get(at, 0.0), 5),
                "active": active,
                "active_after": round(after.get(at, 0.0) * pool.active, 1),
            }
            for name, weight, at, active in carried
        ],
    }


def _copied(
    table: Table, pool: PoolRow, change: _Change
) -> tuple[Table, PoolRow, list[int | None]]:
    copy, originals = choose.copy_pool(
        table, pool.index, remove=change.remove, add=change.add, weights=change.weights
    )
    return copy, pool, originals


def _part(count: int, of: int) -> float | None:
    return round(count / of, 5) if of else None
