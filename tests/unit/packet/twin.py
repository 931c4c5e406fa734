"""A naive twin of the kernel's program (csrc/packet/shield.bpf.c): what it must say of a packet.
Time stands still for it: no token of a rate limit comes back."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from l4lb.native import sets

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
BLOCKED = 1
HEADERS_MAX = 8
TRIES = 4  # for each connection that a limit allows
SKIPPED = {0, 44, 60}  # hop-by-hop, fragment, destination options


class Opening(NamedTuple):
    """A packet that begins something; completes: that may complete a handshake."""

    source: Address
    source_port: int
    target: Address
    port: int
    protocol: str
    completes: bool = False


@dataclass
class Limit:
    """A limit of new connections of each source."""

    burst: int
    prefixes: tuple[int, int] = (32, 64)


@dataclass
class Seen:
    """What was seen of a source that has a limit."""

    taken: int = 0
    passed: int = 0
    is_over: bool = False


@dataclass
class Rules:
    """The rules of one listener; each set is a list of networks and their values."""

    proxies: Mapping[str, int] = field(default_factory=dict)
    blocks: Mapping[str, int] = field(default_factory=dict)
    speakers: Mapping[str, int] = field(default_factory=dict)
    rules: Mapping[str, int] = field(default_factory=dict)
    access: Mapping[str, int] = field(default_factory=dict)
    judges_access: bool = True
    others_denied: bool = False
    dry_run: bool = False
    denied_pass: bool = False
    limit: Limit | None = None


@dataclass
class Twin:
    """services: (address, port, protocol) to a listener and an interface; rules: by listener;
    known: UDP clients (listener, address, port); local: the addresses of this host; waiting:
    handshakes that wait to be completed (address, port, address, port)."""

    services: Mapping[tuple[Address, int, str], tuple[int, int]]
    rules: Mapping[int, Rules]
    known: set[tuple[int, Address, int]]
    local: set[Address]
    waiting: set[tuple[Address, int, Address, int]] = field(default_factory=set)
    seen: dict[tuple[int, Network], Seen] = field(default_factory=dict)

    def judge(
        self, frame: bytes, interface: int, *, is_xdp: bool = False
    ) -> tuple[int, str, bool] | None:
        """Returns the listener, the reason and whether it is only counted; None: it passes."""
        opening = parse_raw(frame) if is_xdp else parse(frame)
        if opening is None:
            return None
        any_address = type(opening.target)(0)
        key = (opening.target, opening.port, opening.protocol)
        is_any = key not in self.services
        place = self.services.get((any_address, *key[1:]) if is_any else key)
        if place is None or place[1] not in (0, interface):
            return None
        listener = place[0]
        if listener not in self.rules:
            return None
        reason = why(self.rules[listener], opening.source)
        if opening.completes:
            if reason == "let in" and opening[:4] in self.waiting:
                self._note_handshake(listener, opening.source)
            return None
        if reason == "let in" and self._is_above_limit(listener, opening.source):
            reason = "source_rate"
        client = (listener, opening.source, opening.source_port)
        if reason in (None, "let in") or (opening.protocol == "udp" and client in self.known):
            return None
        if is_any and opening.target not in self.local:
            return None
        return listener, str(reason), self.rules[listener].dry_run

    def _note_handshake(self, listener: int, source: Address) -> None:
        limit = self.rules[listener].limit
        if limit is None:
            return
        seen = self.seen.setdefault((listener, _source(limit, source)), Seen())
        if seen.taken < limit.burst:
            seen.taken += 1
        else:
            seen.is_over = True

    def _is_above_limit(self, listener: int, source: Address) -> bool:
        limit = self.rules[listener].limit
        seen = None if limit is None else self.seen.get((listener, _source(limit, source)))
        if limit is None or seen is None:
            return False
        if seen.passed < TRIES * limit.burst:
            seen.passed += 1
            return False
        return seen.is_over


def _source(limit: Limit, address: Address) -> Network:
    prefix = limit.prefixes[address.version == 6]
    return ipaddress.ip_network(f"{address}/{prefix}", strict=False)


def why(rules: Rules, source: Address) -> str | None:
    """Returns why a source is turned away; "let in": it is not; None: nothing is said of it."""
    if longest(rules.proxies, source):
        return None
    if longest(rules.blocks, source) == BLOCKED:
        return "blocked"
    if not rules.judges_access or longest(rules.speakers, source):
        return "let in"
    found = longest(rules.rules, source) or longest(rules.access, source)
    denied = found == sets.DENY if found else rules.others_denied
    if denied and rules.denied_pass:
        return None
    return "denied" if denied else "let in"


def longest(networks: Mapping[str, int], address: Address) -> int:
    """Returns the value of the most specific network; 0: there is none."""
    hits = [
        (network.prefixlen, value)
        for text, value in networks.items()
        if address in (network := _network(text))
    ]
    return max(hits, default=(0, 0))[1]


@functools.cache
def _network(text: str) -> Network:
    return ipaddress.ip_network(text, strict=False)


def parse(frame: bytes) -> Opening | None:
    """Returns what the frame begins; None: nothing, or it is not understood."""
    if frame[:6] != bytes(6):  # not for the loopback interface
        return None
    return _parse(frame[12:14], frame[14:])


def parse_raw(frame: bytes) -> Opening | None:
    """Returns what a frame begins that the kernel has not looked at yet."""
    if frame[0] & 1:  # for many hosts
        return None
    is_tagged = frame[12:14] in (b"\x81\x00", b"\x88\xa8")
    return _parse(frame[16:18], frame[18:]) if is_tagged else _parse(frame[12:14], frame[14:])


def _parse(kind: bytes, packet: bytes) -> Opening | None:
    if kind == b"\x08\x00" and len(packet) >= 20 and packet[0] >> 4 == 4:
        return _parse4(packet)
    if kind == b"\x86\xdd" and len(packet) >= 40 and packet[0] >> 4 == 6:
        return _parse6(packet)
    return None


def _parse4(packet: bytes) -> Opening | None:
    at = (packet[0] & 15) * 4
    if at < 20 or int.from_bytes(packet[6:8]) & 0x1FFF:
        return None
    source, target = (ipaddress.IPv4Address(packet[i : i + 4]) for i in (12, 16))
    return _ports(packet, at, packet[9], source, target)


def _parse6(packet: bytes) -> Opening | None:
    source, target = (ipaddress.IPv6Address(packet[i : i + 16]) for i in (8, 24))
    at, following = 40, packet[6]
    for _ in range(HEADERS_MAX):
        if following not in SKIPPED:
            break
        header = packet[at : at + 4]
        if len(header) < 4:
            return None
        if following == 44 and int.from_bytes(header[2:4]) & 0xFFF8:
            return None
        at += 8 if following == 44 else (header[1] + 1) * 8
        following = header[0]
    return _ports(packet, at, following, source, target)


def _ports(
    packet: bytes, at: int, protocol: int, source: Address, target: Address
) -> Opening | None:
    rest = packet[at:]
    ports = int.from_bytes(rest[:2]), int.from_bytes(rest[2:4])
    if protocol == 17 and len(rest) >= 8:
        return Opening(source, ports[0], target, ports[1], "udp")
    flags = rest[13] & 0x17 if protocol == 6 and len(rest) >= 14 else 0
    if flags not in (0x02, 0x10):
        return None
    return Opening(source, ports[0], target, ports[1], "tcp", completes=flags == 0x10)
