"""A naive twin of the program that forwards (csrc/packet/forward.bpf.c): what becomes of a packet.

Checksums are computed anew over whole packets, which is another way than the program's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .frames import ICMP, TCP, UDP

ICMPV6, FRAGMENT = 58, 44
PASS, DROP, REDIRECT = "pass", "drop", "redirect"


class Ends(NamedTuple):
    """Who sends to whom."""

    source: str
    target: str
    source_port: int
    target_port: int


class Verdict(NamedTuple):
    """What becomes of a packet. reason: of a drop, also of one that an error answers; packet: the
    one that leaves, from its IP header on."""

    word: str
    reason: str = ""
    packet: bytes = b""


# ---- packets -------------------------------------------------------------------------------------


def checksum(data: bytes) -> int:
    """Returns the Internet checksum (RFC 1071)."""
    total = sum(int.from_bytes(data[i : i + 2].ljust(2, b"\0")) for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _pseudo(source: str, target: str, protocol: int, size: int) -> bytes:
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    if ":" in source:
        return ends + size.to_bytes(4) + protocol.to_bytes(4)
    return ends + bytes([0, protocol]) + size.to_bytes(2)


SUM_AT = {TCP: 16, UDP: 6, ICMPV6: 2, ICMP: 2}


def summed(ends: tuple[str, str], protocol: int, segment: bytes) -> bytes:
    """Returns the segment with its checksum."""
    at = SUM_AT[protocol]
    blank = segment[:at] + bytes(2) + segment[at + 2 :]
    pseudo = b"" if protocol == ICMP else _pseudo(*ends, protocol, len(segment))
    found = checksum(pseudo + blank) or (0xFFFF if protocol == UDP else 0)
    return blank[:at] + found.to_bytes(2) + blank[at + 2 :]


def is_right(ends: tuple[str, str], protocol: int, segment: bytes) -> bool:
    """Returns whether a receiver takes the segment's checksum."""
    if protocol == UDP and segment[6:8] == bytes(2):
        return True
    pseudo = b"" if protocol == ICMP else _pseudo(*ends, protocol, len(segment))
    return checksum(pseudo + segment) == 0


def ip_header(source: str, target: str, protocol: int, size: int, *, ttl: int = 64,
              service: int = 0, identity: int = 0, fragment: int = 0) -> bytes:  # fmt: skip
    """Returns an IP header without options. size: bytes behind it."""
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    if ":" in source:
        head = bytes([0x60 | service >> 4, service << 4 & 0xF0, 0, 0])
        return head + size.to_bytes(2) + bytes([protocol, ttl]) + ends
    head = bytes([0x45, service]) + (20 + size).to_bytes(2) + identity.to_bytes(2)
    head += fragment.to_bytes(2) + bytes([ttl, protocol])
    return head + checksum(head + ends).to_bytes(2) + ends


# ---- the twin ------------------------------------------------------------------------------------


@dataclass
class Parsed:
    """A packet that the program understands. at: where its segment begins; tail: a fragment that
    does not have the ports."""

    ends: Ends
    protocol: int
    packet: bytes
    at: int
    ttl: int
    size: int
    tail: bool = False
    fragment: bool = False
    error: bool = False


@dataclass
class ForwardTwin:
    """flows: by protocol and ends, what the ends become. mtu: of all interfaces. heads: the ports
    of fragments that are on their way, by addresses and identity."""

    flows: Mapping[tuple[int, Ends], Ends]
    mtu: int
    heads: dict[tuple[str, str, int, bytes], tuple[int, int]] = field(default_factory=dict)

    def judge(self, frame: bytes) -> Verdict | None:
        """Returns what becomes of a frame; None: it may begin a flow."""
        parsed = parse(frame)
        if parsed is None:
            return Verdict(PASS)
        if parsed.error:
            return self._error(parsed)
        if parsed.tail or parsed.fragment:
            known = self._ports(parsed)
            if known is None:
                return Verdict(PASS)
            parsed.ends = Ends(*parsed.ends[:2], *known)
        became = self.flows.get((parsed.protocol, parsed.ends))
        if became is None:
            flags = (
                parsed.packet[parsed.at + 13] if parsed.protocol == TCP and not parsed.tail else 0
            )
            opens = parsed.protocol == UDP or flags & 0x17 == 0x02
            return None if opens and not parsed.tail else Verdict(PASS)
        return self.forwarded(parsed, became)

    def _ports(self, parsed: Parsed) -> tuple[int, int] | None:
        six = ":" in parsed.ends.source
        identity = parsed.packet[44:48] if six else parsed.packet[4:6]
        key = (*parsed.ends[:2], parsed.protocol, identity)
        if parsed.tail:
            return self.heads.get(key)
        if (parsed.protocol, parsed.ends) in self.flows:
            self.heads[key] = parsed.ends[2:]
        return parsed.ends[2:]

    def forwarded(self, parsed: Parsed, became: Ends) -> Verdict:
        """Returns the packet with other ends."""
        if parsed.ttl <= 1:
            return self._answer(parsed, "ttl")
        if parsed.size > self.mtu:
            return self._answer(parsed, "too_big")
        return Verdict(REDIRECT, packet=with_ends(parsed, became))

    def _answer(self, parsed: Parsed, reason: str) -> Verdict:
        if parsed.tail:
            return Verdict(DROP, reason)
        six = ":" in parsed.ends.source
        kind = {"ttl": (3, 0) if six else (11, 0), "too_big": (2, 0) if six else (3, 4)}[reason]
        mtu = self.mtu if reason == "too_big" else 0
        quote = parsed.packet[: (40 if six else 20) + (20 if parsed.protocol == TCP else 8)]
        if not parsed.fragment:
            quote = _balanced(quote, parsed.at, SUM_AT[parsed.protocol])
        protocol = ICMPV6 if six else ICMP
        back = parsed.ends.target, parsed.ends.source
        body = summed(back, protocol, bytes([*kind, 0, 0]) + mtu.to_bytes(4) + quote)
        head = ip_header(*back, protocol, len(body), service=0 if six else 0xC0)
        return Verdict(REDIRECT, reason, head + body)

    def _error(self, parsed: Parsed) -> Verdict:
        """An ICMP error: the flow is that of the packet that would answer the one it is about."""
        inner = parsed.packet[parsed.at + 8 :]
        about = quoted(inner, ":" in parsed.ends.source)
        if about is None:
            return Verdict(PASS)
        ends, protocol, at = about
        key = Ends(ends.target, ends.source, ends.target_port, ends.source_port)
        became = self.flows.get((protocol, key))
        if became is None or parsed.ttl <= 1:
            return Verdict(PASS)
        source = became.source if parsed.ends.source == ends.target else parsed.ends.source
        return Verdict(REDIRECT, packet=error_with_ends(parsed, became, source, at))


def _balanced(quote: bytes, at: int, sum_at: int) -> bytes:
    """Returns the quote with the checksum that icmp.bpf.h tells of."""
    middle = at + sum_at
    rest = checksum(quote[at:middle] + bytes(2) + quote[middle + 2 :])
    half = (rest >> 1 | rest << 15) & 0xFFFF
    return quote[:middle] + half.to_bytes(2) + quote[middle + 2 :]


def with_ends(parsed: Parsed, became: Ends) -> bytes:
    """Returns a packet with other ends, a TTL that is one less, and checksums that are as right as
    they were."""
    six, at, old = ":" in parsed.ends.source, parsed.at, parsed.packet
    addresses = b"".join(ipaddress.ip_address(one).packed for one in became[:2])
    ttl = bytes([parsed.ttl - 1])
    if six:
        head = old[:7] + ttl + addresses + old[40:at]
    else:
        head = _moved(old[:8] + ttl + old[9:12] + addresses, old[:20], 10)
    if parsed.tail:
        return head + old[at:]
    ports = b"".join(port.to_bytes(2) for port in became[2:])
    segment = ports + old[at + 4 :]
    sum_at = SUM_AT[parsed.protocol]
    if parsed.protocol == UDP and old[at + 6 : at + 8] == bytes(2):
        return head + segment
    moved = _moved(addresses + segment, old[8:40] + old[at:] if six else old[12:20] + old[at:],
                   len(addresses) + sum_at)[len(addresses):]  # fmt: skip
    if parsed.protocol == UDP and moved[6:8] == bytes(2):
        moved = moved[:6] + b"\xff\xff" + moved[8:]
    return head + moved


def _moved(new: bytes, old: bytes, at: int) -> bytes:
    """Returns the new bytes with a checksum that is as right as that of the old ones."""
    error = int.from_bytes(old[at : at + 2]) - checksum(old[:at] + bytes(2) + old[at + 2 :])
    right = checksum(new[:at] + bytes(2) + new[at + 2 :])
    return new[:at] + ((right + error) % 0xFFFF).to_bytes(2) + new[at + 2 :]


def error_with_ends(parsed: Parsed, became: Ends, source: str, at: int) -> bytes:
    """Returns an ICMP error that is about a packet of other ends. at: of the quoted ports."""
    six, inner = ":" in source, parsed.packet[parsed.at + 8 :]
    protocol = ICMPV6 if six else ICMP
    addresses = b"".join(ipaddress.ip_address(one).packed for one in (became.target, became.source))
    if six:
        quote = inner[:8] + addresses + inner[40:]
    else:
        blank = inner[:10] + bytes(2) + addresses
        quote = blank[:10] + checksum(blank).to_bytes(2) + addresses + inner[20:]
    ports = became.target_port.to_bytes(2) + became.source_port.to_bytes(2)
    quote = quote[:at] + ports + quote[at + 4 :]
    ends = source, became.target
    old, whole = parsed.packet, parsed.packet[parsed.at : parsed.at + 8] + quote
    size = parsed.size - parsed.at
    body = summed(ends, protocol, whole[:size]) + whole[size:]
    addresses = b"".join(ipaddress.ip_address(one).packed for one in ends)
    if six:
        return old[:7] + bytes([parsed.ttl - 1]) + addresses + body
    return _moved(old[:8] + bytes([parsed.ttl - 1]) + old[9:12] + addresses, old[:20], 10) + body


def quoted(inner: bytes, six: bool) -> tuple[Ends, int, int] | None:
    """Returns the ends and the protocol of the packet that an error quotes, and where the ports
    are."""
    if six:
        if len(inner) < 40:
            return None
        protocol, at, packed = inner[6], 40, (inner[8:24], inner[24:40])
    else:
        if len(inner) < 20 or inner[0] != 0x45 or int.from_bytes(inner[6:8]) & 0x1FFF:
            return None
        protocol, at, packed = inner[9], 20, (inner[12:16], inner[16:20])
    ports = inner[at : at + 4]
    if protocol not in (TCP, UDP) or len(ports) < 4:
        return None
    source, target = (str(ipaddress.ip_address(one)) for one in packed)
    ends = Ends(source, target, int.from_bytes(ports[:2]), int.from_bytes(ports[2:]))
    return ends, protocol, at


def parse(frame: bytes) -> Parsed | None:
    """Returns None for what the program passes at once."""
    if frame[:6] != bytes(6):
        return None
    kind, rest = frame[12:14], frame[14:]
    if kind == b"\x08\x00" and len(rest) >= 20 and rest[0] == 0x45:
        size, protocol, ttl = int.from_bytes(rest[2:4]), rest[9], rest[8]
        offset = int.from_bytes(rest[6:8])
        at, packed = 20, (rest[12:16], rest[16:20])
        tail, fragment = bool(offset & 0x1FFF), bool(offset & 0x3FFF)
    elif kind == b"\x86\xdd" and len(rest) >= 40 and rest[0] >> 4 == 6:
        size, protocol, ttl = 40 + int.from_bytes(rest[4:6]), rest[6], rest[7]
        at, packed, tail, fragment = 40, (rest[8:24], rest[24:40]), False, protocol == FRAGMENT
        if fragment:
            if len(rest) < 48:
                return None
            protocol, at, tail = rest[40], 48, bool(int.from_bytes(rest[42:44]) & 0xFFF8)
    else:
        return None
    if size > len(rest) or size < at:
        return None
    source, target = (str(ipaddress.ip_address(one)) for one in packed)
    parsed = Parsed(Ends(source, target, 0, 0), protocol, rest, at, ttl, size, tail, fragment)
    return _content(parsed, size)


def _content(parsed: Parsed, size: int) -> Parsed | None:
    segment = parsed.packet[parsed.at :]
    if parsed.tail:
        return parsed if parsed.protocol in (TCP, UDP) else None
    if parsed.protocol == (ICMPV6 if ":" in parsed.ends.source else ICMP):
        errors = (1, 2, 3, 4) if parsed.protocol == ICMPV6 else (3, 11, 12)
        parsed.error = bool(segment) and segment[0] in errors
        return parsed if parsed.error else None
    if parsed.protocol not in (TCP, UDP) or len(segment) < (20 if parsed.protocol == TCP else 8):
        return None
    head = (segment[12] >> 4) * 4 if parsed.protocol == TCP else 8
    if head < (20 if parsed.protocol == TCP else 8) or parsed.at + head > size:
        return None
    ports = int.from_bytes(segment[:2]), int.from_bytes(segment[2:4])
    parsed.ends = Ends(*parsed.ends[:2], *ports)
    return parsed
