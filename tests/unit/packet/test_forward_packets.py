"""The program that forwards makes of every packet what its naive twin makes of it."""

from __future__ import annotations

import itertools
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from l4lb.packet import tables

from .forward_twin import (
    DROP,
    FRAGMENT,
    ICMP,
    ICMPV6,
    PASS,
    REDIRECT,
    Ends,
    ForwardTwin,
    Verdict,
    ip_header,
    is_right,
    parse,
    summed,
)
from .forwarding import Forward, loaded
from .frames import TCP, UDP, ethernet

MTU, LOOPBACK = 1500, 1
FLOW = struct.Struct("=16s16sHHIIIIIIIQQQQ")
WORDS = {0xFFFFFFFF: PASS, -1: PASS, 2: DROP, 7: REDIRECT}
CLIENT = {4: "10.9.1.1", 6: "fd09:1::1"}
VIP = {4: "10.5.0.1", 6: "fd05::1"}
OURS = {4: "10.5.0.2", 6: "fd05::2"}
BACKEND = {4: "10.9.0.7", 6: "fd09::7"}
ROUTER = {4: "10.9.3.3", 6: "fd09:3::3"}
OLD, NEW, FRONT, BACK, LOCAL = 1234, 1235, 80, 9000, 2000
HOST_PORTS = range(32768, 61000)
_identity = itertools.count(1)


def forth(family: int) -> tuple[Ends, Ends]:
    """What a client sends, and what becomes of it."""
    return (Ends(CLIENT[family], VIP[family], OLD, FRONT),
            Ends(OURS[family], BACKEND[family], LOCAL, BACK))  # fmt: skip


def back(family: int) -> tuple[Ends, Ends]:
    (client, ours) = forth(family)
    return (Ends(ours.target, ours.source, ours.target_port, ours.source_port),
            Ends(client.target, client.source, client.target_port, client.source_port))  # fmt: skip


FLOWS = {
    (protocol, came): became
    for protocol in (TCP, UDP)
    for family in (4, 6)
    for came, became in (forth(family), back(family))
}


def flow(became: Ends, flags: int) -> bytes:
    return FLOW.pack(tables.packed(became.source)[0], tables.packed(became.target)[0],
                     socket.htons(became.source_port), socket.htons(became.target_port),
                     0, flags, 0, 0, 0, 0, 0, 1, 1, 0, 0)  # fmt: skip


@pytest.fixture(scope="module")
def forward(_network_of_its_own: None) -> Iterator[Forward]:
    subprocess.run(["ip", "link", "set", "lo", "mtu", str(MTU)], check=True)
    made = loaded()
    made.made.put("settings", bytes(4), tables.Settings(1, 2).packed())
    for number, family in enumerate((4, 6)):
        made.teach_pool(number, BACKEND[family], BACK, OURS[family])
        for protocol in ("tcp", "udp"):
            made.made.put("services", tables.service(VIP[family], FRONT, protocol),
                          tables.Place(0, number).packed())  # fmt: skip
    yield made
    made.made.close()


def reset(forward: Forward) -> None:
    """Leaves only FLOWS in the tables."""
    for name in ("young", "flows"):
        for key in forward.made.keys(name, 64):
            forward.made.drop(name, key)
    for (protocol, came), became in FLOWS.items():
        forward.made.put("flows", tables.Key(*came, protocol).packed(),
                         flow(became, tables.REPLY if came.source_port == BACK else 0))  # fmt: skip


# ---- frames --------------------------------------------------------------------------------------


def segment(ends: Ends, protocol: int, flags: int, payload: bytes, wrong: int) -> bytes:
    """wrong: is added to the checksum; -1: UDP without one."""
    ports = ends.source_port.to_bytes(2) + ends.target_port.to_bytes(2)
    if protocol == TCP:
        made = ports + bytes(range(8)) + bytes([0x50, flags]) + bytes(6) + payload
    else:
        made = ports + (8 + len(payload)).to_bytes(2) + bytes(2) + payload
    if wrong == -1 and protocol == UDP:
        return made
    made = summed(ends[:2], protocol, made)
    at = 16 if protocol == TCP else 6
    bad = (int.from_bytes(made[at : at + 2]) + max(wrong, 0)) % 0xFFFF or 1
    return made if wrong <= 0 else made[:at] + bad.to_bytes(2) + made[at + 2 :]


def packet(ends: Ends, protocol: int, body: bytes, *, ttl: int = 64, offset: int = 0) -> bytes:
    """offset: the fragment field of IPv4; of IPv6 the bits that there are."""
    number = next(_identity) & 0xFFFF
    if ":" not in ends.source:
        return ip_header(*ends[:2], protocol, len(body), ttl=ttl, service=8, identity=number,
                         fragment=offset) + body  # fmt: skip
    if not offset & 0x3FFF:
        return ip_header(*ends[:2], protocol, len(body), ttl=ttl, service=8) + body
    field = (offset & 0x1FFF) << 3 | bool(offset & 0x2000)
    head = bytes([protocol, 0]) + field.to_bytes(2) + number.to_bytes(4)
    return ip_header(*ends[:2], FRAGMENT, 8 + len(body), ttl=ttl, service=8) + head + body


def error(ends: Ends, protocol: int, by: str, kind: tuple[int, int], ttl: int) -> bytes:
    """Returns an ICMP error about a packet with these ends, to its source."""
    body = segment(ends, protocol, 0x10, b"data", 0)
    six = ":" in by
    about = packet(ends, protocol, body, ttl=ttl, offset=0 if six else 0x4000)[: 48 if six else 28]
    made = bytes([*kind, 0, 0]) + (1400).to_bytes(4) + about
    target = (by, ends.source)
    whole = ip_header(*target, ICMPV6 if six else ICMP, len(made), ttl=ttl)
    return whole + summed(target, ICMPV6 if six else ICMP, made)


_families = st.sampled_from([4, 6])
_ends = st.one_of(
    st.builds(lambda family: forth(family)[0], _families),
    st.builds(lambda family: back(family)[0], _families),
    st.builds(lambda family, to: Ends(CLIENT[family], VIP[family], NEW, to), _families,
              st.sampled_from([FRONT, FRONT, 81])),
)  # fmt: skip
_protocols = st.sampled_from([TCP, UDP])
_ttls = st.sampled_from([64, 64, 64, 255, 2, 2, 1, 0])
_packets = st.builds(
    lambda ends, protocol, flags, size, wrong, ttl, offset: packet(
        ends, protocol, segment(ends, protocol, flags, bytes(i & 255 for i in range(size)), wrong),
        ttl=ttl, offset=offset,
    ),
    _ends, _protocols, st.sampled_from([0x02, 0x10, 0x18, 0x11, 0x04, 0x14, 0x12, 0x03]),
    st.sampled_from([0, 1, 7, 100, 1399, 1440, 1441, 1452, 1460, 1461, 1473]),
    st.sampled_from([0, 0, 0, -1, 7]), _ttls,
    st.sampled_from([0, 0, 0x4000, 0x4000, 0x2000, 0x2010, 0x0001, 0x00B9]),
)  # fmt: skip
_errors = st.builds(
    lambda family, way, protocol, by, kind, ttl: error(
        way(family)[1], protocol, way(family)[1].target if by is None else by[family],
        kind if family == 4 else (1, 4), ttl,
    ),
    _families, st.sampled_from([forth, back]), _protocols, st.sampled_from([None, ROUTER]),
    st.sampled_from([(3, 3), (3, 4), (11, 0), (8, 0)]), _ttls,
)  # fmt: skip
_broken = st.builds(
    lambda whole, at, value: whole[:at] + bytes([value]) + whole[at + 1 :], _packets,
    st.sampled_from([0, 2, 3, 6, 9, 32, 52]), st.integers(0, 255),
)  # fmt: skip
_frames = st.builds(
    lambda whole, to, share, padding: ethernet(whole, to=to)[: max(15, round(share * 2000))]
    + padding,
    _packets | _packets | _errors | _broken,
    st.sampled_from([bytes(6)] * 9 + [b"\x02" + bytes(5)]),
    st.sampled_from([1.0] * 9 + [0.01, 0.02, 0.025, 0.03]),
    st.sampled_from([b"", b"", b"", bytes(6)]),
)  # fmt: skip


# ---- the twin ------------------------------------------------------------------------------------


def run(forward: Forward, frame: bytes) -> Verdict:
    """Returns what the program does, with the reason that it counts."""
    before = forward.drops()
    answer, out, _ = forward.made.run(frame, LOOPBACK)
    word = WORDS[answer]
    grown = [name for name, count in forward.drops().items() if count != before.get(name, 0)]
    assert len(grown) <= 1
    return Verdict(word, grown[0] if grown else "", out[14:] if word == REDIRECT else b"")


def is_taken(frame: bytes) -> bool:
    """BPF_PROG_TEST_RUN takes only frames whose IP header is whole."""
    return len(frame) >= {b"\x08\x00": 34, b"\x86\xdd": 54}.get(frame[12:14], 15)


def expected(forward: Forward, twin: ForwardTwin, frame: bytes) -> Verdict:
    """What the twin says, after the program has run: a flow that it has begun is looked at."""
    said = twin.judge(frame)
    if said is not None:
        return said
    parsed = parse(frame)
    assert parsed is not None
    found = forward.flows("young").get(tables.Key(*parsed.ends, parsed.protocol))
    family = 6 if ":" in parsed.ends.source else 4
    if (parsed.ends.target, parsed.ends.target_port) != (VIP[family], FRONT):
        assert found is None
        return Verdict(PASS)
    assert found is not None
    became = Ends(OURS[family], BACKEND[family], found.source_port, BACK)
    assert found.source_port >= 1024
    assert found.source_port not in HOST_PORTS
    return twin.forwarded(parsed, became)


@settings(max_examples=700, deadline=None, database=None)
@given(_frames)
@example(ethernet(packet(forth(4)[0], UDP, segment(forth(4)[0], UDP, 0, b"\0\0", 0))))
def test_a_packet_becomes_what_the_twin_makes_of_it(forward: Forward, frame: bytes) -> None:
    if not is_taken(frame):
        return
    reset(forward)
    done = run(forward, frame)
    twin = ForwardTwin(FLOWS, MTU)
    wanted = expected(forward, twin, frame)
    if wanted.reason and wanted.word == REDIRECT and done.word == DROP:
        # Errors have a limit. It is tested below.
        assert done.reason == wanted.reason
        return
    assert done == wanted
    if done.word == REDIRECT and not done.reason:
        agrees_about_checksums(frame, done.packet)


def agrees_about_checksums(frame: bytes, out: bytes) -> None:
    """A receiver takes what leaves if and only if it would have taken what came."""
    came, left = parse(frame), parse(ethernet(out))
    assert came is not None
    assert left is not None
    if came.error or came.tail or came.fragment:
        return
    one = is_right(came.ends[:2], came.protocol, came.packet[came.at : came.size])
    other = is_right(left.ends[:2], left.protocol, left.packet[left.at : left.size])
    assert one == other


@pytest.mark.parametrize("family", [4, 6])
def test_fragments_follow_the_first_of_their_packet(forward: Forward, family: int) -> None:
    reset(forward)
    ends, became = forth(family)
    whole = segment(ends, UDP, 0, bytes(range(200)) * 8, 0)
    first = packet(ends, UDP, whole[:800], offset=0x2000)
    at = {4: slice(4, 6), 6: slice(44, 48)}[family]
    tail = packet(ends, UDP, whole[800:], offset=100)
    stranger = packet(ends, UDP, whole[800:], offset=100)
    tail = tail[: at.start] + first[at] + tail[at.stop :]
    if family == 4:  # its header's checksum has the identity in it
        tail = ip_header(*ends[:2], UDP, len(whole) - 800, service=8, fragment=100,
                         identity=int.from_bytes(first[4:6])) + whole[800:]  # fmt: skip
    assert run(forward, ethernet(tail)) == Verdict(PASS)
    twin = ForwardTwin(FLOWS, MTU)
    for one in (first, tail, stranger):
        wanted = twin.judge(ethernet(one))
        assert run(forward, ethernet(one)) == wanted
    assert twin.heads
    made = [run(forward, ethernet(one)).packet for one in (first, tail)]
    start = 20 if family == 4 else 48
    assert is_right(became[:2], UDP, made[0][start:] + made[1][start:])


def test_errors_have_a_limit(forward: Forward) -> None:
    reset(forward)
    ends = forth(4)[0]
    frame = ethernet(packet(ends, UDP, segment(ends, UDP, 0, b"x", 0), ttl=1))
    for _ in range(200_000):  # earlier tests may have used up what there is
        if forward.made.run(frame, LOOPBACK)[0] == 7:
            break
    else:
        pytest.fail("no error at all")
    words = [forward.made.run(frame, LOOPBACK)[0] for _ in range(1000)]
    assert 2 in words


def test_a_packet_of_many_segments_counts_as_so_many(forward: Forward) -> None:
    reset(forward)
    ends = forth(4)[0]
    frame = ethernet(packet(ends, TCP, segment(ends, TCP, 0x10, bytes(1000), 0)))
    before = forward.total(0)
    forward.made.run(frame, LOOPBACK, segments=10)
    after = forward.total(0)
    assert after.packets_in - before.packets_in == 10
    on_the_wire = 1000 + 10 * 40  # each with headers of its own
    assert after.bytes_in - before.bytes_in == on_the_wire
    found = forward.flows()[tables.Key(*ends, TCP)]
    assert (found.packets, found.ip_bytes) == (10, on_the_wire)
