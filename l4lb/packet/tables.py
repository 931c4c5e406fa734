"""The maps of the program that forwards packets, as bytes (csrc/packet/forward.h). Pure."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from l4lb.native.bpf_rows import SCHED_CLS, Kind, Map

LAYOUT = 1  # to be raised with each change of forward.h: another program takes over no maps then
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
MODES = {"nat": 0, "dnat": 1, "mac": 2, "ipip": 3, "udp": 4}
HASHES = {"source_ip": 0, "source_ip_port": 1, "source_mac": 2}
LISTENERS_MAX = 1024
POOLS_MAX = 1024
BACKENDS_MAX = 16384
SOURCES_MAX = 4096
NETWORKS_MAX = 65536
SLOTS_EACH = 4
NO_ROW = 0xFFFFFFFF

_SETTINGS = struct.Struct("=QQQHHI")
_SERVICE = struct.Struct("=16sHBB")
_PLACE = struct.Struct("=IIII")
_POOL = struct.Struct("=IIIII IIII 4s16s I16s")
_LISTENER = struct.Struct("=II16s")
_BACKEND = struct.Struct("=16sHHIIII16s16s")
_ROUTE = struct.Struct("=II")
_KEY = struct.Struct("=16s16sHHBBH")
_FLOW = struct.Struct("=16s16sHHIIIIIIIQQQQ")
_TOTAL = struct.Struct("=QQQQQQ")
REPLY, FIN, CLOSED, ANSWERED, RESET = 1, 2, 4, 8, 16  # flags of a flow
PRIMARY, BACKUP, ANY = 1, 2, 4  # bits of a backend's usable
TRY_ALL, ALL_BACKUPS = 1, 2  # flags of a pool
DROPS = (
    "no_backend", "no_local_port", "no_room", "no_route", "no_neighbour", "too_big", "ttl",
    "malformed", "full", "not_forwarded",
)  # fmt: skip


def kind(max_flows: int, slots: int) -> Kind:
    """Returns what is loaded. max_flows: flows that are proven; slots: of all views together."""
    entries = 2 * max_flows
    return Kind(
        "l4lb_forward",
        SCHED_CLS,
        (
            Map("settings", 4, _SETTINGS.size),
            Map("services", _SERVICE.size, _PLACE.size),
            Map("pools", 4, _POOL.size),
            Map("views", 4, 32),
            Map("slots", 4, 8, -(-slots // SLOTS_EACH)),
            Map("turns", 4, 16),
            Map("listeners", 4, _LISTENER.size),
            Map("told", 4, 16),
            Map("backends", 4, _BACKEND.size),
            Map("sources", 4, 16),
            Map("routes4", 12, _ROUTE.size),
            Map("routes6", 24, _ROUTE.size),
            Map("routes_mac", 12, _ROUTE.size),
            Map("young", _KEY.size, _FLOW.size, max(2048, entries // 8)),
            Map("flows", _KEY.size, _FLOW.size, entries),
            Map("fragments", 40, 4),
            Map("totals", 4, _TOTAL.size, per_cpu=True),
            Map("drops", 4, 8, per_cpu=True),
            Map("events", 0, 0),
        ),
    )


def packed(address: str) -> tuple[bytes, int]:
    """Returns an address as maps have it, and its family."""
    found = ipaddress.ip_address(address)
    return found.packed.ljust(16, b"\0"), found.version


def index(number: int) -> bytes:
    return number.to_bytes(4, "little")


class Settings(NamedTuple):
    k0: int
    k1: int
    beat_ns: int = 0
    low: int = 32768
    high: int = 60999

    def packed(self) -> bytes:
        return _SETTINGS.pack(*self, 0)


def service(address: str, port: int, protocol: str) -> bytes:
    whole, family = packed(address)
    return _SERVICE.pack(whole, socket.htons(port), PROTOCOLS[protocol], family)


class Place(NamedTuple):
    """Whose a service is. interface 0: packets of any."""

    listener: int
    pool: int
    routes: int = 0
    interface: int = 0

    def packed(self) -> bytes:
        return _PLACE.pack(*self)


class Pool(NamedTuple):
    balance: int
    flags: int = 0
    mode: int = 0
    hash: int = 0
    row: int = NO_ROW
    sources4_at: int = 0
    sources4: int = 0
    sources6_at: int = 0
    sources6: int = 0
    prefixes: tuple[int, int] = (32, 128)
    identity: bytes = bytes(16)

    def packed(self) -> bytes:
        four, six = (
            ((1 << size) - (1 << (size - bits))).to_bytes(size // 8)
            for size, bits in zip((32, 128), self.prefixes, strict=True)
        )
        return _POOL.pack(*self[:-2], four, six, 1, self.identity)

    @staticmethod
    def identity_of(value: bytes) -> bytes | None:
        """Returns None for a free row."""
        *_, used, digest = _POOL.unpack(value)
        return digest if used else None


class Backend(NamedTuple):
    """source: this host's address towards it; "": none is known."""

    address: str
    port: int
    usable: int
    row: int
    pool: int
    identity: bytes
    source: str = ""

    def packed(self) -> bytes:
        whole, family = packed(self.address)
        source = packed(self.source)[0] if self.source else bytes(16)
        return _BACKEND.pack(whole, socket.htons(self.port), family, self.usable, self.row,
                             self.pool, bool(self.source), source, self.identity)  # fmt: skip

    @classmethod
    def unpacked(cls, value: bytes) -> Backend | None:
        """Returns None for a free row."""
        whole, port, family, usable, row, pool, has_source, source, identity = _BACKEND.unpack(
            value
        )
        if not family:
            return None
        return cls(_text(whole, family), socket.ntohs(port), usable, row, pool, identity,
                   _text(source, family) if has_source else "")  # fmt: skip


class Listener(NamedTuple):
    row: int
    identity: bytes

    def packed(self) -> bytes:
        return _LISTENER.pack(self.row, 1, self.identity)

    @classmethod
    def unpacked(cls, value: bytes) -> Listener | None:
        """Returns None for a free row."""
        row, used, digest = _LISTENER.unpack(value)
        return cls(row, digest) if used else None


def generation(turn: bytes) -> int:
    """Returns the generation of a pool's view; 0: there is none yet."""
    return int.from_bytes(turn[8:12], "little")


FREE_LISTENER = bytes(_LISTENER.size)
FREE_BACKEND = bytes(_BACKEND.size)


def identity(*parts: object) -> bytes:
    """Returns the digest by which another program finds the same thing again."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:16]


def network_key(routes: int, network: str) -> tuple[str, bytes]:
    """Returns the map and the key of a network in a set of routes."""
    found = ipaddress.ip_network(network)
    head = struct.pack("=II", 32 + found.prefixlen, routes)
    return f"routes{found.version}", head + found.network_address.packed


def mac_key(routes: int, mac: str) -> bytes:
    return struct.pack("=I6sH", routes, bytes.fromhex(mac.replace(":", "").replace("-", "")), 0)


def route(pool: int, order: int) -> bytes:
    return _ROUTE.pack(pool, order)


class Key(NamedTuple):
    """The packets of one direction of a flow."""

    source: str
    target: str
    source_port: int
    target_port: int
    protocol: int

    def packed(self) -> bytes:
        source, family = packed(self.source)
        return _KEY.pack(source, packed(self.target)[0], socket.htons(self.source_port),
                         socket.htons(self.target_port), self.protocol, family, 0)  # fmt: skip

    @classmethod
    def unpacked(cls, value: bytes) -> Key:
        source, target, source_port, target_port, protocol, family, _ = _KEY.unpack(value)
        return cls(_text(source, family), _text(target, family), socket.ntohs(source_port),
                   socket.ntohs(target_port), protocol)  # fmt: skip


class Flow(NamedTuple):
    """What becomes of packets of one direction. Times are in nanoseconds of CLOCK_MONOTONIC."""

    source: bytes
    target: bytes
    source_port: int
    target_port: int
    mode: int
    flags: int
    backend: int
    listener: int
    pool: int
    proof: int
    mss: int
    began_ns: int
    seen_ns: int
    packets: int
    ip_bytes: int

    @classmethod
    def unpacked(cls, value: bytes) -> Flow:
        found = list(_FLOW.unpack(value))
        found[2], found[3] = socket.ntohs(found[2]), socket.ntohs(found[3])
        return cls(*found)


class Total(NamedTuple):
    """What a backend's flows, or a listener's, have counted. Bytes are those of IP packets."""

    opened: int = 0
    proven: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    @classmethod
    def summed(cls, values: Iterable[bytes]) -> Total:
        """Returns the sum over all processors."""
        rows = [_TOTAL.unpack(one) for one in values]
        return cls(*map(sum, zip(*rows, strict=True)))


def _text(address: bytes, family: int) -> str:
    if family == 4:
        return str(ipaddress.IPv4Address(address[:4]))
    return str(ipaddress.IPv6Address(address))
