"""A naive twin of the kernel's program (csrc/packet/shield.bpf.c): what it must say of a packet."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from l4lb.native import sets

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
BLOCKED = 1
HEADERS_MAX = 8
SKIPPED = {0, 44, 60}  # hop-by-hop, fragment, destination options


class Opening(NamedTuple):
    """A packet that begins something."""

    source: Address
    source_port: int
    target: Address
    port: int
    protocol: str


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


@dataclass
class Twin:
    """services: (address, port, protocol) to a listener and an interface; rules: by listener;
    known: UDP clients (listener, address, port); local: the addresses of this host."""

    services: Mapping[tuple[Address, int, str], tuple[int, int]]
    rules: Mapping[int, Rules]
    known: set[tuple[int, Address, int]]
    local: set[Address]

    def judge(self, frame: bytes, interface: int) -> tuple[int, str, bool] | None:
        """Returns the listener, the reason and whether it is only counted; None: it passes."""
        opening = parse(frame)
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
        client = (listener, opening.source, opening.source_port)
        if reason is None or (opening.protocol == "udp" and client in self.known):
            return None
        if is_any and opening.target not in self.local:
            return None
        return listener, reason, self.rules[listener].dry_run


def why(rules: Rules, source: Address) -> str | None:
    """Returns why a source is turned away; None: it is not."""
    if longest(rules.proxies, source):
        return None
    if longest(rules.blocks, source) == BLOCKED:
        return "blocked"
    if not rules.judges_access or longest(rules.speakers, source):
        return None
    found = longest(rules.rules, source) or longest(rules.access, source)
    denied = found == sets.DENY if found else rules.others_denied
    return "denied" if denied else None


def longest(networks: Mapping[str, int], address: Address) -> int:
    """Returns the value of the most specific network; 0: there is none."""
    hits = [
        (network.prefixlen, value)
        for text, value in networks.items()
        if address in (network := _network(text))
    ]
    return max(hits, default=(0, 0))[1]


@functools.cache
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def parse(frame: bytes) -> Opening | None:
    """Returns what the frame begins; None: nothing, or it is not understood."""
    if frame[:6] != bytes(6):  # not for the loopback interface
        return None
    kind, packet = frame[12:14], frame[14:]
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
    is_syn = protocol == 6 and len(rest) >= 14 and rest[13] & 0x17 == 0x02
    return Opening(source, ports[0], target, ports[1], "tcp") if is_syn else None
