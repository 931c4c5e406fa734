"""Which addresses are outside, compared with Python's ipaddress: what it takes for global is."""

from __future__ import annotations

import ipaddress

from doors.forward import outside
from hypothesis import example, given
from hypothesis import strategies as st

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
network = ipaddress.ip_network

# Inside for us, global for ipaddress.
STRICTER = {
    "192.0.0.0/24": "all of it, without IANA's exceptions in it",
    "224.0.0.0/4": "multicast is global for ipaddress, and no TCP goes there",
    "::/3": "not global unicast (2000::/3), the only network that IANA assigns from",
    "4000::/2": "the same",
    "8000::/1": "the same; of it ff00::/8 is multicast",
    "2001::/23": "all of it, without IANA's exceptions in it",
}
# Outside for us, not global for ipaddress.
LOOSER = {
    "192.0.2.0/24": "documentation: nobody is there",
    "198.51.100.0/24": "the same",
    "203.0.113.0/24": "the same",
    "2001:db8::/32": "the same",
    "3fff::/20": "the same",
}


def is_in(ip: Ip, networks: dict[str, str]) -> bool:
    return any(ip in network(one) for one in networks if network(one).version == ip.version)


def inner(ip: Ip) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses in an IPv6 address."""
    if ip.version == 4:
        return []
    found = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
    if ip in network("64:ff9b::/96"):
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


def agrees(ip: Ip) -> bool:
    found = outside(str(ip)) == "outside"
    if hidden := inner(ip):
        return found == all(outside(str(one)) == "outside" for one in hidden)
    if ip.is_global:
        return found or is_in(ip, STRICTER)
    return not found or is_in(ip, LOOSER)


NETWORKS = [
    network(one)
    for one in """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12
    192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24
    203.0.113.0/24 224.0.0.0/4 233.252.0.0/24 240.0.0.0/4 255.255.255.255/32 ::/128 ::1/128
    ::ffff:0:0/96 ::/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/32 2001::/23
    2001:1::1/128 2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:db8::/32
    2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8
    2000::/3""".split()  # noqa: SIM905 - a table is read better
]


def test_each_special_network_ends_where_that_of_ipaddress_does() -> None:
    for one in NETWORKS:
        first, last = int(one.network_address), int(one.broadcast_address)
        kind = type(one.network_address)
        most = (1 << one.max_prefixlen) - 1
        for number in (first - 1, first, first + 1, (first + last) // 2, last - 1, last, last + 1):
            ip = kind(min(max(number, 0), most))
            assert agrees(ip), ip


fours = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address) | st.builds(
    lambda net, at: net[at % net.num_addresses],
    st.sampled_from([one for one in NETWORKS if one.version == 4]),
    st.integers(0, 2**32 - 1),
)
sixes = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address) | st.builds(
    lambda net, at: net[at % net.num_addresses],
    st.sampled_from([one for one in NETWORKS if one.version == 6]),
    st.integers(0, 2**128 - 1),
)


@given(fours | sixes)
@example(ipaddress.ip_address("169.254.169.254"))
@example(ipaddress.ip_address("fd00:ec2::254"))
def test_an_address_is_outside_as_ipaddress_says_but_for_the_listed_differences(ip: Ip) -> None:
    assert agrees(ip)


@given(fours, st.integers(0, 2**64 - 1))
def test_no_address_that_is_inside_can_hide_in_another(four: ipaddress.IPv4Address, n: int) -> None:
    number = int(four)
    hiding = (
        0xFFFF << 32 | number,
        0x64FF9B << 96 | number,
        0x2002 << 112 | number << 80 | n,
        0x20010000 << 96 | number << 64 | 0xF7F7F7F7,
        0x20010000 << 96 | 0x08080808 << 64 | (number ^ 0xFFFFFFFF),
    )
    for one in hiding:
        assert outside(str(ipaddress.IPv6Address(one))) == outside(str(four))


def test_the_differences_that_are_listed_are_real() -> None:
    for one in STRICTER:
        ip = network(one)[-1]
        assert outside(str(ip)) != "outside", ip
    for one in LOOSER:
        ip = network(one)[1]
        assert outside(str(ip)) == "outside", ip
