"""Frames of all kinds for the kernel's program: right ones, wrong ones, and parts of them."""

from __future__ import annotations

import ipaddress

from hypothesis import strategies as st

TO_US, TO_OTHERS = bytes(6), b"\x02\0\0\0\0\7"
TCP, UDP, ICMP = 6, 17, 1
SOURCES = ["10.0.0.1", "10.0.0.2", "10.0.1.9", "10.3.3.3", "fd00::1", "fd00::2", "fd03:1::9"]
TARGETS = ["10.5.0.1", "10.5.0.2", "10.9.0.7", "fd05::1", "fd05::2", "fd09::7"]
PORTS = [53, 80, 443]


def ipv4(source: str, target: str, protocol: int, payload: bytes, *, options: bytes = b"",
         fragment: int = 0, version: int = 4, words: int | None = None) -> bytes:  # fmt: skip
    """Returns an IPv4 packet. words: what the header says of its length."""
    size = words if words is not None else 5 + len(options) // 4
    length = (20 + len(options) + len(payload)) & 0xFFFF
    return (
        bytes([version << 4 | size, 0]) + length.to_bytes(2) + bytes(2) + fragment.to_bytes(2)
        + bytes([64, protocol, 0, 0])
        + ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(target).packed
        + options + payload
    )  # fmt: skip


def ipv6(source: str, target: str, protocol: int, payload: bytes, *,
         headers: list[tuple[int, bytes]] | None = None, version: int = 6) -> bytes:  # fmt: skip
    """Returns an IPv6 packet with these extension headers: their number, and all of them but the
    number of the next."""
    parts = headers or []
    following = [*(kind for kind, _ in parts), protocol]
    body = b"".join(
        bytes([after]) + rest for (_, rest), after in zip(parts, following[1:], strict=True)
    )
    length = (len(body) + len(payload)) & 0xFFFF
    return (
        bytes([version << 4, 0, 0, 0]) + length.to_bytes(2) + bytes([following[0], 64])
        + ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(target).packed
        + body + payload
    )  # fmt: skip


def tcp(port: int, flags: int = 0x02, from_port: int = 1234) -> bytes:
    """Returns a TCP header."""
    return (
        from_port.to_bytes(2) + port.to_bytes(2) + bytes(8) + bytes([0x50, flags]) + bytes(6)
    )  # fmt: skip


def udp(port: int, payload: bytes = b"x", from_port: int = 1234) -> bytes:
    """Returns a UDP datagram."""
    return (
        from_port.to_bytes(2) + port.to_bytes(2) + (8 + len(payload)).to_bytes(2) + bytes(2)
        + payload
    )  # fmt: skip


def ethernet(packet: bytes, *, to: bytes = TO_US, kind: int | None = None) -> bytes:
    """Returns an Ethernet frame. kind: what it says the packet is."""
    if kind is None:
        kind = 0x86DD if packet[:1] and packet[0] >> 4 == 6 else 0x0800
    return to + bytes(6) + kind.to_bytes(2) + packet


def frame(source: str, target: str, segment: bytes, protocol: int) -> bytes:
    """Returns a frame without anything special."""
    make = ipv6 if ":" in target else ipv4
    return ethernet(make(source, target, protocol, segment))


def tagged(frame: bytes, number: int, kind: int) -> bytes:
    """Returns the frame with the tag of a VLAN."""
    return frame[:12] + kind.to_bytes(2) + number.to_bytes(2) + frame[12:]


_ports = st.sampled_from(PORTS)
_from_ports = st.sampled_from([1234, 1235])
_flags = st.sampled_from([0x02, 0xC2, 0x12, 0x10, 0x04, 0x06, 0x03, 0x00]) | st.integers(0, 255)
_segments = st.one_of(
    st.builds(lambda port, flags, back: (TCP, tcp(port, flags, back)), _ports, _flags, _from_ports),
    st.builds(lambda port, size, back: (UDP, udp(port, bytes(size), back)), _ports,
              st.sampled_from([0, 1, 1400, 2900]), _from_ports),
    st.builds(lambda kind, rest: (kind, rest), st.integers(0, 255), st.binary(max_size=40)),
)  # fmt: skip
_addresses4 = [a for a in SOURCES if "." in a], [a for a in TARGETS if "." in a]
_addresses6 = [a for a in SOURCES if ":" in a], [a for a in TARGETS if ":" in a]
_fragments = st.sampled_from([0, 0, 0, 0x2000, 0x4000, 0x0001, 0x2010, 0x1FFF])
_headers = st.one_of(
    st.builds(lambda n, kind: (kind, bytes([n]) + bytes(6 + 8 * n)), st.integers(0, 3),
              st.sampled_from([0, 60])),
    st.builds(lambda offset: (44, bytes([0]) + offset.to_bytes(2) + bytes(4)),
              st.sampled_from([0, 1, 8, 0xFFF8, 6])),
    st.builds(lambda kind, rest: (kind, rest), st.sampled_from([43, 51, 59, 60, 0]),
              st.binary(min_size=1, max_size=9)),
)  # fmt: skip
_packets4 = st.builds(
    lambda source, target, segment, words, fragment, wrong: ipv4(
        source, target, *segment, options=bytes(4 * words), fragment=fragment, **wrong
    ),
    st.sampled_from(_addresses4[0]), st.sampled_from(_addresses4[1]), _segments,
    st.integers(0, 10), _fragments,
    st.sampled_from([{}, {}, {}, {}, {"version": 6}, {"words": 4}, {"words": 15}, {"words": 0}]),
)  # fmt: skip
_packets6 = st.builds(
    lambda source, target, segment, headers, version: ipv6(
        source, target, *segment, headers=headers, version=version
    ),
    st.sampled_from(_addresses6[0]), st.sampled_from(_addresses6[1]), _segments,
    st.lists(_headers, max_size=10), st.sampled_from([6, 6, 6, 6, 6, 4]),
)  # fmt: skip
_framed = st.builds(
    lambda packet, to, kind: ethernet(packet, to=to, kind=kind),
    _packets4 | _packets6, st.sampled_from([TO_US] * 6 + [TO_OTHERS, b"\xff" * 6]),
    st.sampled_from([None] * 8 + [0x8100, 0x0806, 0x86DD, 0x0800]),
)  # fmt: skip
PLAIN = st.builds(
    lambda ends, segment: frame(*ends, segment[1], segment[0]),
    st.one_of(st.tuples(*map(st.sampled_from, _addresses4)),
              st.tuples(*map(st.sampled_from, _addresses6))),
    _segments,
)  # fmt: skip
CUT = st.builds(lambda whole, share: whole[: 15 + round(share * (len(whole) - 15))], _framed,
                st.floats(0, 1))  # fmt: skip
TAGGED = st.builds(tagged, PLAIN, st.sampled_from([0, 5, 4095]),
                   st.sampled_from([0x8100, 0x88A8, 0x9100]))  # fmt: skip
FRAMES = st.one_of(PLAIN, PLAIN, _framed, CUT, TAGGED, st.binary(min_size=15, max_size=100))
