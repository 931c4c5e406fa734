"""The kernel's program says of every packet what its naive twin says."""

from __future__ import annotations

import ipaddress
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from l4lb.native import sets

from .frames import (
    FRAMES,
    PORTS,
    SOURCES,
    TARGETS,
    TCP,
    UDP,
    ethernet,
    frame,
    ipv4,
    ipv6,
    tagged,
    tcp,
    udp,
)  # fmt: skip
from .teaching import DENIED, LOCAL, LOOPBACK, counted, drops, teach, twin_of
from .twin import BLOCKED, Rules, Twin, longest

if TYPE_CHECKING:
    from l4lb.native.packet import Shield

DENY, ALLOW = sets.DENY, sets.ALLOW


def is_taken(packet: bytes) -> bool:
    """Returns whether BPF_PROG_TEST_RUN takes the packet: an IP header must be whole."""
    least = {b"\x08\x00": 34, b"\x86\xdd": 54}
    return len(packet) >= least.get(packet[12:14], 15)


# ---- all kinds of packets ------------------------------------------------------------------------

_networks = st.dictionaries(
    st.one_of(
        st.builds(lambda a, n: f"{a}/{n}", st.sampled_from([a for a in SOURCES if "." in a]),
                  st.integers(0, 32)),
        st.builds(lambda a, n: f"{a}/{n}", st.sampled_from([a for a in SOURCES if ":" in a]),
                  st.integers(0, 128)),
    ),
    st.sampled_from([1, 2]), max_size=4,
)  # fmt: skip
_rules = st.builds(
    Rules, st.just({}) | _networks, _networks, st.just({}) | _networks, _networks, _networks,
    st.booleans(), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
_services = st.dictionaries(
    st.tuples(st.sampled_from([*map(ipaddress.ip_address, [*TARGETS, "0.0.0.0", "::"])]),
              st.sampled_from(PORTS), st.sampled_from(["tcp", "udp"])),
    st.tuples(st.integers(0, 2), st.sampled_from([0, 0, 0, LOOPBACK, 7])),
    min_size=1,
)  # fmt: skip
_known = st.sets(
    st.tuples(st.integers(0, 2), st.sampled_from([*map(ipaddress.ip_address, SOURCES)]),
              st.sampled_from([1234, 1235])), max_size=4,
)  # fmt: skip
_twins = st.builds(
    Twin, _services, st.dictionaries(st.integers(0, 2), _rules), _known,
    st.just(set(map(ipaddress.ip_address, LOCAL))),
)  # fmt: skip


def unique(networks: dict[str, int]) -> dict[str, int]:
    """Returns the networks by their canonical name; of equal ones the greater value counts."""
    found: dict[str, int] = {}
    for text, value in networks.items():
        name = str(ipaddress.ip_network(text, strict=False))
        found[name] = max(value, found.get(name, 0))
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_twins, st.lists(FRAMES.filter(is_taken), min_size=5, max_size=20))
def test_every_packet_gets_the_verdict_of_the_twin(
    each_shield: Shield, twin: Twin, frames: list[bytes]
) -> None:
    shield = each_shield
    teach(shield, twin)
    for packet in frames:
        wanted = twin.judge(packet, LOOPBACK, is_xdp=shield.is_xdp)
        listener = wanted[0] if wanted else 0
        with counted(shield, listener) as grown:
            dropped = drops(shield, packet)
        assert dropped == (wanted is not None and not wanted[2]), packet.hex()
        expected = {}
        if wanted:
            prefix = "dry_" if wanted[2] else ""
            expected = {f"{prefix}{wanted[1]}": 1}
            if not wanted[2]:
                expected[f"{wanted[1]}_bytes"] = len(packet)
        assert {key: value for key, value in grown.items() if value} == expected, packet.hex()


@settings(max_examples=60)
@given(_networks, st.lists(st.sampled_from(SOURCES), min_size=1))
@example({"0.0.0.0/0": 2, "10.0.0.1/32": 1, "::/0": 2}, SOURCES)
def test_the_most_specific_network_decides(
    shield: Shield, networks: dict[str, int], sources: list[str]
) -> None:
    twin = twin_of(Rules(access=unique(networks)))
    teach(shield, twin)
    for source in sources:
        target = "fd05::1" if ":" in source else "10.5.0.1"
        packet = frame(source, target, tcp(80), TCP)
        assert drops(shield, packet) == (twin.judge(packet, LOOPBACK) is not None)


def test_hundreds_of_networks_say_what_the_naive_search_says(shield: Shield) -> None:
    rng = random.Random(7)
    networks = {
        str(ipaddress.ip_network((kind(rng.getrandbits(size)), bits), strict=False)): value
        for kind, size in ((ipaddress.IPv4Address, 32), (ipaddress.IPv6Address, 128))
        for _ in range(300)
        for bits, value in [(rng.randint(size // 16, size), rng.choice([ALLOW, DENY]))]
    }
    teach(shield, twin_of(Rules(access=networks)))
    for text in networks:
        network = ipaddress.ip_network(text)
        for at in (network.network_address, network.broadcast_address):
            for source in (at, at - 1 if int(at) else at):
                target = "fd05::1" if network.version == 6 else "10.5.0.1"
                packet = frame(str(source), target, tcp(80), TCP)
                assert drops(shield, packet) == (longest(networks, source) == DENY), source


# ---- one by one ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "packet"),
    [
        ("a SYN", frame("10.0.0.1", "10.5.0.1", tcp(80), TCP)),
        ("a SYN of IPv6", frame("fd00::1", "fd05::1", tcp(80), TCP)),
        ("a datagram", frame("10.0.0.1", "10.5.0.1", udp(53), UDP)),
        ("options", ethernet(ipv4("10.0.0.1", "10.5.0.1", TCP, tcp(80), options=bytes(40)))),
        ("a first fragment", ethernet(ipv4("10.0.0.1", "10.5.0.1", UDP, udp(53), fragment=0x2000))),
        ("eight headers", ethernet(ipv6("fd00::1", "fd05::1", TCP, tcp(80),
                                        headers=[(60, bytes(7))] * 8))),
        ("a SYN that asks for ECN", frame("10.0.0.1", "10.5.0.1", tcp(80, 0xC2), TCP)),
        ("a large one", frame("10.0.0.1", "10.5.0.1", udp(53, bytes(3000)), UDP)),
    ],
)  # fmt: skip
def test_what_begins_something_is_dropped(each_shield: Shield, what: str, packet: bytes) -> None:
    shield = each_shield
    teach(shield, twin_of(DENIED))
    with counted(shield, 1) as grown:
        assert drops(shield, packet), what
    assert (grown["denied"], grown["denied_bytes"]) == (1, len(packet))


@pytest.mark.parametrize(
    ("what", "packet"),
    [
        ("data of a session", frame("10.0.0.1", "10.5.0.1", tcp(80, 0x10), TCP)),
        ("the end of a session", frame("10.0.0.1", "10.5.0.1", tcp(80, 0x11), TCP)),
        ("a reset", frame("10.0.0.1", "10.5.0.1", tcp(80, 0x04), TCP)),
        ("another port", frame("10.0.0.1", "10.5.0.1", tcp(81), TCP)),
        ("ICMP", frame("10.0.0.1", "10.5.0.1", bytes(8), 1)),
        ("a later fragment", ethernet(ipv4("10.0.0.1", "10.5.0.1", UDP, udp(53), fragment=185))),
        ("nine headers", ethernet(ipv6("fd00::1", "fd05::1", TCP, tcp(80),
                                       headers=[(60, bytes(7))] * 9))),
        ("a routing header", ethernet(ipv6("fd00::1", "fd05::1", TCP, tcp(80),
                                           headers=[(43, bytes(7))]))),
        ("a header cut off", frame("10.0.0.1", "10.5.0.1", tcp(80)[:13], TCP)),
        ("another host's", ethernet(ipv4("10.0.0.1", "10.5.0.1", TCP, tcp(80)),
                                    to=b"\2\0\0\0\0\1")),
        ("ARP", ethernet(ipv4("10.0.0.1", "10.5.0.1", TCP, tcp(80)), kind=0x0806)),
    ],
)  # fmt: skip
def test_all_else_passes(shield: Shield, what: str, packet: bytes) -> None:
    teach(shield, twin_of(DENIED))
    with counted(shield, 1) as grown:
        assert not drops(shield, packet), what
    assert not any(grown.values())


def test_a_listener_on_any_address_is_not_one_on_other_hosts(shield: Shield) -> None:
    services = {(ipaddress.ip_address(any_), 80, "tcp"): (1, 0) for any_ in ("0.0.0.0", "::")}
    teach(shield, twin_of(DENIED, services=services))
    for here, beyond, source in (("10.5.0.1", "10.9.0.7", "10.0.0.1"),
                                 ("fd05::1", "fd09::7", "fd00::1")):  # fmt: skip
        assert drops(shield, frame(source, here, tcp(80), TCP))
        assert not drops(shield, frame(source, beyond, tcp(80), TCP))


def test_a_udp_client_that_had_a_session_goes_on(shield: Shield) -> None:
    from l4lb.native.packet import client_key

    known = {(1, ipaddress.ip_address("10.0.0.1"), 1234)}
    teach(shield, twin_of(DENIED, known=known))
    assert not drops(shield, frame("10.0.0.1", "10.5.0.1", udp(53, from_port=1234), UDP))
    assert drops(shield, frame("10.0.0.1", "10.5.0.1", udp(53, from_port=1235), UDP))
    shield.drop_known(client_key(1, "10.0.0.1", 1234))
    assert drops(shield, frame("10.0.0.1", "10.5.0.1", udp(53, from_port=1234), UDP))


def test_a_packet_of_several_datagrams_counts_as_so_many(shield: Shield) -> None:
    teach(shield, twin_of(DENIED))
    with counted(shield, 1) as grown:
        shield.run(frame("10.0.0.1", "10.5.0.1", udp(53, bytes(1000)), UDP), LOOPBACK, segments=10)
    assert grown["denied"] == 10


def test_xdp_looks_behind_the_tag_of_a_vlan(xdp_shield: Shield) -> None:
    teach(xdp_shield, twin_of(DENIED))
    whole = frame("10.0.0.1", "10.5.0.1", tcp(80), TCP)
    with counted(xdp_shield, 1) as grown:
        assert drops(xdp_shield, tagged(whole, 5, 0x8100))
    assert grown["denied_bytes"] == len(whole) + 4
    assert not drops(xdp_shield, tagged(tagged(whole, 5, 0x8100), 6, 0x88A8))


def test_a_dry_block_is_left_to_the_workers(shield: Shield) -> None:
    teach(shield, twin_of(Rules(blocks={"10.0.0.1": BLOCKED, "10.0.0.2": 2})))
    assert drops(shield, frame("10.0.0.1", "10.5.0.1", tcp(80), TCP))
    assert not drops(shield, frame("10.0.0.2", "10.5.0.1", tcp(80), TCP))
