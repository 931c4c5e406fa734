"""The routes of HTTP listeners as one run of bytes, in the form of csrc/shm/http_routes.h. Pure:
plain data in, bytes out.

Every number is 32 bits in this machine's order unless the header says otherwise. Everything but
texts begins at a multiple of four.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from l4lb import regex

FORMAT = 0x52740007  # L4_ROUTER_FORMAT
ANY_HOST = "*"
KINDS = (
    "scheme", "method", "other_method", "query_length", "body_over", "header_count", "path",
    "path_prefix", "path_suffix", "sni", "source", "header", "cookie", "query", "path_regex",
)  # fmt: skip
"""enum l4_router_kind, in its order: what costs least comes first."""
NUMBERS = ("query_length", "body_over", "header_count")
ACTIONS = ("pool", "redirect", "respond", "deny", "tarpit", "limit", "log", "inspect", "record")
"""enum l4_router_action; from "deny" on: of rules of a filter, "inspect" of those about engines,
"record" of those about records."""
PARTS = ("", "scheme", "host", "path", "rest", "query")  # enum l4_router_part_kind; "": text
SET, REMOVE = 0, 1  # enum l4_router_change_kind
PLACEHOLDER = re.compile(r"\{(scheme|host|path|rest|query)\}")
NET = struct.Struct("=HH16sI")  # struct l4_router_net
VERDICTS = ("", "clean", "changed", "too_large", "failed", "blocked")
"""enum l4_inspect_verdict."""
INSPECTED = {"requests": 1, "answers": 2}  # enum l4_inspected
INSPECTION = struct.Struct(f"={6 + len(VERDICTS)}IHH16s6I")  # struct l4_router_inspection
FIRST = 8  # 0 means that a listener has no routes


class Condition(NamedTuple):
    """A condition: a word of KINDS; the name of a header field, cookie or argument; and items of
    which one must match. Server names may begin with "*." or be "*"."""

    kind: str
    items: tuple[str, ...]
    name: str = ""


class Limit(NamedTuple):
    """A rate limit: requests a second, requests at once, the status of who is above it."""

    rate: int
    burst: int
    status: int
    dry_run: bool


class Answer(NamedTuple):
    """An answer of our own."""

    status: int
    content_type: str
    body: bytes


class Redirect(NamedTuple):
    """Sends the client to a location; PLACEHOLDER says what may stand in it."""

    status: int
    location: str


NO_LIMIT = Limit(0, 0, 0, False)


class Rule(NamedTuple):
    """What a rule of a filter does: a word of ACTIONS, and the status of its answer."""

    action: str
    status: int


class Inspection(NamedTuple):
    """What a rule has inspected, and by which engine. what: bits of INSPECTED. slots: for the
    counts of each verdict, as VERDICTS has them."""

    what: int
    fails_open: bool
    large_goes_on: bool
    timeout_ms: int
    body_ms: int
    max_body: int
    slots: tuple[int, ...]
    ip: str
    port: int
    host: str
    path: str
    name: str


class Recording(NamedTuple):
    """Where a rule has requests recorded, and how many bytes of each body."""

    record: str
    max_body: int


class Route(NamedTuple):
    """A route, or a rule. pool: a row, or what l4lb does itself. slot: its number for hits and
    limits. target: what backends get in place of the request's target, as a location; "": as
    it came. set_*, remove_*: header fields. key: what requests_per_key counts by, as enum
    l4_key_kind and the name of its values. cache: number of its cache; 0: none."""

    pool: int | Redirect | Answer | Rule
    slot: int
    hosts: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    percent: float | None = None
    timeout_ms: int = 0
    cache: int = 0
    target: str = ""
    set_request: Mapping[str, str] = {}
    remove_request: tuple[str, ...] = ()
    set_answer: Mapping[str, str] = {}
    remove_answer: tuple[str, ...] = ()
    requests: Limit = NO_LIMIT
    requests_per_source: Limit = NO_LIMIT
    requests_per_key: Limit = NO_LIMIT
    key: tuple[int, str] = (0, "")
    name: str = ""
    inspection: Inspection | None = None
    recording: Recording | None = None


class Its(NamedTuple):
    """What a listener has: the rows of its addresses, its routes, the rules of its filter, those
    about engines, and those about records."""

    rows: Sequence[int]
    routes: Sequence[Route]
    rules: Sequence[Route] = ()
    inspections: Sequence[Route] = ()
    recordings: Sequence[Route] = ()


def compiled(listeners: Iterable[Its], rows: int) -> tuple[bytes, list[int]]:
    """Returns the routes and rules of these listeners, and for each of `rows` rows where they are
    (0: it has none)."""
    run, ats = _Run(), [0] * rows
    for its in listeners:
        beside = [run.listener(rules) if rules else 0 for rules in its[2:]]
        at = run.listener(its.routes, beside) if any(its[1:]) else 0
        for row in its.rows:
            ats[row] = at
    return bytes(run.bytes), ats


def hash_of(name: bytes) -> int:
    """Returns the hash of a host: l4_router_hash."""
    value = 0x811C9DC5
    for byte in reversed(name):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def _suffixes(name: str) -> list[str]:
    """Returns the names in the table that stand for this one: itself, and wildcards above it."""
    labels = name.removeprefix(".").split(".")
    above = ["." + ".".join(labels[at:]) for at in range(1, len(labels))]
    return [name, *above]


class _Run:
    """The bytes that grow. Equal texts are in them once."""

    def __init__(self) -> None:
        self.bytes = bytearray(FIRST)
        self._known: dict[bytes, tuple[int, int]] = {}

    def text(self, text: str | bytes) -> tuple[int, int]:
        """Returns where a text is, and its length."""
        content = text.encode() if isinstance(text, str) else text
        if content not in self._known:
            self._known[content] = (len(self.bytes), len(content))
            self.bytes += content
        return self._known[content]

    def add(self, content: bytes) -> int:
        """Adds bytes at a multiple of four. Returns where they begin."""
        self.bytes += bytes(-len(self.bytes) % 4)
        at = len(self.bytes)
        self.bytes += content
        return at

    def rows(self, rows: Sequence[Sequence[int]]) -> tuple[int, int]:
        """Adds structs of 32-bit numbers. Returns where they are, and how many."""
        numbers = [number for row in rows for number in row]
        return self.add(struct.pack(f"={len(numbers)}I", *numbers)), len(rows)

    def shorts(self, numbers: Sequence[int]) -> tuple[int, int]:
        return self.add(struct.pack(f"={len(numbers)}H", *numbers)), len(numbers)

    def listener(self, routes: Sequence[Route], beside: Sequence[int] = (0, 0, 0)) -> int:
        """Adds a struct l4_router. beside: where the rules of its filter, about engines, and about
        records are. Returns where it is."""
        names: dict[str, set[int]] = {}
        rest: list[int] = []
        for number, route in enumerate(routes):
            if not route.hosts or ANY_HOST in route.hosts:
                rest.append(number)
                continue
            for host in route.hosts:
                names.setdefault(host.removeprefix("*"), set()).add(number)
        found = self.rows([self.route(route) for route in routes])
        wildcards = any(name.startswith(".") for name in names)
        hosts = self.hosts(names)
        others = self.shorts(rest)
        head = struct.pack("=11I", FORMAT, wildcards, *found, *hosts, *others, *beside)
        return self.add(head)

    def hosts(self, names: Mapping[str, set[int]]) -> tuple[int, int]:
        """Adds the table of hosts, at most half full."""
        if not names:
            return 0, 0
        size = 1 << (2 * len(names) - 1).bit_length()
        table: list[tuple[int, ...]] = [(0,) * 5] * size
        for name in names:
            routes = sorted(set().union(*(names.get(one, ()) for one in _suffixes(name))))
            key = hash_of(name.encode())
            at = key & (size - 1)
            while table[at][2]:
                at = (at + 1) & (size - 1)
            table[at] = (key, *self.text(name), *self.shorts(routes))
        return self.rows(table)

    def route(self, route: Route) -> list[int]:
        """Returns the numbers of a struct l4_router_route."""
        ordered = sorted(route.conditions, key=lambda one: KINDS.index(one.kind))
        conditions = self.rows([self.condition(one) for one in ordered])
        has_share = route.percent is not None and route.percent < 100
        share = int((route.percent or 0) / 100 * (1 << 32)) if has_share else 0
        pool, action, status = 0, 0, 0
        location, content_type, body = (0, 0), (0, 0), (0, 0)
        match route.pool:
            case Redirect(status, to):
                action, location = ACTIONS.index("redirect"), self.parts(to)
            case Answer(status, kind, content):
                action, content_type, body = 2, self.text(kind), self.text(content)
            case Rule(word, status):
                action = ACTIONS.index(word)
            case row:
                pool = row
        return [
            *conditions, has_share, share, route.slot, pool, action, status, route.timeout_ms,
            route.cache,
            *location, *(self.parts(route.target) if route.target else (0, 0)),
            *content_type, *body,
            *self.changes(route.set_request, route.remove_request),
            *self.changes(route.set_answer, route.remove_answer),
            *route.requests, *route.requests_per_source, *route.requests_per_key,
            route.key[0], *self.text(route.key[1]), *self.text(route.name),
            *(self.inspection(route.inspection) if route.inspection else (0, 0)),
            *(self.recording(route.recording) if route.recording else (0, 0)),
        ]  # fmt: skip

    def condition(self, condition: Condition) -> list[int]:
        """Returns the numbers of a struct l4_router_condition."""
        kind, items, name = condition
        if kind == "source":
            nets = b"".join(map(_net, items))
            found = self.add(nets), len(items)
        elif kind in NUMBERS:
            found = self.rows([divmod(int(one), 1 << 32)[::-1] for one in items])
        elif kind == "path_regex":
            found = self.rows([self.automaton(one) for one in items])
        else:
            texts = [one.removeprefix("*") or "*" for one in items] if kind == "sni" else items
            found = self.rows([self.text(one) for one in texts])
        name = name.lower() if kind == "header" else name
        return [KINDS.index(kind), *self.text(name), *found]

    def inspection(self, its: Inspection) -> tuple[int, int]:
        """Adds a struct l4_router_inspection. Returns where it is, and how many there are."""
        family, packed = _address(its.ip)
        texts = [self.text(text) for text in (its.host, its.path, its.name)]
        row = INSPECTION.pack(
            its.what, its.fails_open, its.large_goes_on, its.timeout_ms, its.body_ms, its.max_body,
            *its.slots, family, its.port, packed, *(number for text in texts for number in text),
        )  # fmt: skip
        return self.add(row), 1

    def recording(self, its: Recording) -> tuple[int, int]:
        """Adds a struct l4_router_recording. Returns where it is, and how many there are."""
        return self.rows([[*self.text(its.record), its.max_body]])

    def automaton(self, pattern: str) -> tuple[int, int]:
        """Adds a struct l4_router_dfa. Returns where it is, and its size."""
        made = regex.compiled(pattern)
        steps = self.shorts(made.steps)
        ends = self.add(bytes(made.ends)), len(made.ends)
        row = struct.pack("=6I", made.start, made.classes, *steps, *ends) + made.class_of
        return self.add(row), len(row)

    def parts(self, text: str) -> tuple[int, int]:
        """Adds the struct l4_router_part of a location."""
        pieces = PLACEHOLDER.split(text)
        rows = []
        for at, piece in enumerate(pieces):
            if at % 2:
                rows.append([PARTS.index(piece), 0, 0])
            elif piece:
                rows.append([0, *self.text(piece)])
        return self.rows(rows)

    def changes(self, new: Mapping[str, str], old: Sequence[str]) -> tuple[int, int]:
        """Adds struct l4_router_change."""
        rows = [[SET, *self.text(name), *self.text(value)] for name, value in new.items()]
        rows += [[REMOVE, *self.text(name), 0, 0] for name in old]
        return self.rows(rows)


def _net(text: str) -> bytes:
    network = ipaddress.ip_network(text)
    family, packed = _address(str(network.network_address))
    return NET.pack(family, 0, packed, network.prefixlen)


def _address(text: str) -> tuple[int, bytes]:
    """Returns the family and the bytes of an IP address."""
    address = ipaddress.ip_address(text)
    return socket.AF_INET if address.version == 4 else socket.AF_INET6, address.packed
