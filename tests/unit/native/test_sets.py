"""Sets of networks against a naive oracle: the longest prefix wins in every set."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4lb.native import sets
from l4lb.native.table import Table

Networks = Sequence[tuple[str, int]]


@pytest.fixture(scope="module")
def table() -> Table:
    return Table((1, 1, 1, 1, 1))


def lists(networks: Networks) -> list[tuple[bytes, int]]:
    values = sorted({value for _, value in networks})
    return [("\n".join(net for net, v in networks if v == one).encode(), one) for one in values]


def naive(networks: Networks, address: str) -> int:
    ip = ipaddress.ip_address(address)
    hits = [(one.prefixlen, value) for text, value in networks if ip in (one := parsed(text))]
    return max(hits, default=(0, 0))[1]


@functools.cache
def parsed(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text, strict=False)


def probes(networks: Networks, rng: random.Random) -> list[str]:
    found = ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]
    for text, _ in networks:
        net = parsed(text)
        kind = type(net.network_address)
        first, last = int(net.network_address), int(net.broadcast_address)
        top = (1 << net.max_prefixlen) - 1
        for at in (first, last, max(first - 1, 0), min(last + 1, top), rng.randint(first, last)):
            found.append(str(kind(at)))
    return found


def compare(table: Table, networks: Networks, seed: int = 1) -> None:
    sets.rebuild(table, {3: lists(networks)}, [])
    for address in probes(networks, random.Random(seed)):
        assert sets.find(table, 3, address) == naive(networks, address), (address, networks)


small4 = st.builds(lambda a, p: f"10.{a}.0.0/{p}", st.integers(0, 3), st.integers(0, 32))
small6 = st.builds(lambda a, p: f"fd{a:02x}::/{p}", st.integers(0, 3), st.integers(0, 128))


@settings(deadline=None)
@given(st.lists(st.tuples(small4 | small6, st.integers(1, 3)), max_size=12))
def test_nested_and_equal_networks_say_what_the_naive_search_says(networks: Networks) -> None:
    compare(_shared, networks)


_shared = Table((1, 1, 1, 1, 1))


@pytest.mark.parametrize("count", [1, 15, 16, 17, 200, 1500])
def test_random_networks_of_every_size_of_tree(table: Table, count: int) -> None:
    rng = random.Random(count)
    networks = [
        (f"{ipaddress.IPv4Address(rng.getrandbits(32))}/{rng.randint(4, 32)}", rng.randint(1, 2))
        for _ in range(count)
    ] + [
        (f"{ipaddress.IPv6Address(rng.getrandbits(128))}/{rng.randint(4, 128)}", rng.randint(1, 2))
        for _ in range(count // 2)
    ]
    sets.rebuild(table, {3: lists(networks)}, [])
    sample = rng.sample(networks, min(count, 60))
    for address in probes(sample, rng):
        assert sets.find(table, 3, address) == naive(networks, address), address


def hosts6(rng: random.Random, net: str, bits: int, count: int) -> list[str]:
    first = int(ipaddress.IPv6Address(net))
    return [str(ipaddress.IPv6Address(first | rng.getrandbits(bits))) for _ in range(count)]


def shapes() -> dict[str, list[str]]:
    """Returns networks that meet each kind of node of a set, and its borders."""
    rng = random.Random(7)
    return {
        "neighbours": [f"10.0.{n >> 8}.{n & 255}" for n in range(300)],
        "neighbours of IPv6": [f"2001:db8::{n:x}" for n in range(200)],
        "nested": [f"10.1.2.3/{n}" for n in range(33)],
        "nested in IPv6": [f"2001:db8:aaaa:5555::1234/{n}" for n in range(129)],
        "far below one prefix": hosts6(rng, "2001:db8:1:2:3::", 48, 60),
        "... and beside it": [*hosts6(rng, "2001:db8::ff00", 8, 40), "::/0", "2001:db8::/120"],
        "... at different depths": [
            f"{one}/{32 + n % 97}" for n, one in enumerate(hosts6(rng, "2001::", 112, 90))
        ],
        "half a leaf": [f"10.0.0.{n}" for n in range(0, 16, 2)],
        "a leaf and one more": [f"10.0.{n}.0/24" for n in range(0, 34, 2)],
        "at the ends": [
            *(f"0.0.0.{n}" for n in range(0, 40, 2)),
            *(f"255.255.255.{n}" for n in range(215, 256, 2)),
            *hosts6(rng, "::", 6, 30),
            *hosts6(rng, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00", 8, 60),
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ],
        "everything": ["0.0.0.0/0", "::/0"],
    }


@pytest.mark.parametrize("shape", shapes())
@pytest.mark.parametrize("values", [1, 3])
def test_sets_of_every_shape(table: Table, shape: str, values: int) -> None:
    networks = {text: 1 + n % values for n, text in enumerate(shapes()[shape])}
    compare(table, list(networks.items()))


near4 = st.builds(lambda a, p: f"192.0.2.{a}/{p}", st.integers(0, 255), st.integers(22, 32))
near6 = st.builds(
    lambda a, p: f"fd00::{a >> 8:x}:{a & 255:x}/{p}", st.integers(0, 0xFFFFF), st.integers(100, 128)
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(near4 | near6, st.integers(1, 3)), min_size=17, max_size=90))
def test_many_networks_side_by_side(networks: Networks) -> None:
    compare(_shared, list(dict(networks).items()))


def test_small_sets_are_small_and_large_ones_no_larger_than_their_networks(table: Table) -> None:
    sets.rebuild(table, {3: [(b"10.0.0.0/8\n192.0.2.1\n2001:db8::/32", 1)]}, [])
    assert sets.set_bytes(table, 3) <= 256
    rng = random.Random(3)
    hosts = hosts6(rng, "::", 128, 20_000)
    sets.rebuild(table, {3: [("\n".join(hosts).encode(), 1)]}, [])
    assert sets.set_bytes(table, 3) / len(hosts) < 60
    assert sets.set_bytes(table, 4) == 0


def memory_of_tables() -> int:
    """Returns the bytes of all tables of this process."""
    found = 0
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:l4lb-table"):
                found += os.stat(int(fd)).st_blocks * 512
    return found


def test_the_memory_of_a_half_that_was_replaced_is_given_back(table: Table) -> None:
    hosts = "\n".join(hosts6(random.Random(3), "::", 128, 30_000)).encode()
    sets.rebuild(table, {3: [(hosts, 1)]}, [])
    size = sets.set_bytes(table, 3)
    sets.rebuild(table, {3: [(b"10.0.0.0/8", 1)]}, [])
    before = memory_of_tables()
    sets.release(table)
    assert before - memory_of_tables() > size * 0.9
    assert sets.find(table, 3, "10.0.0.1") == 1


def test_a_set_without_room_is_told_and_the_last_one_stays(table: Table) -> None:
    hosts = "\n".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(0, 400_000, 2))
    sets.rebuild(table, {3: [(hosts.encode(), 1)]}, [])
    with pytest.raises(OverflowError, match="no room"):
        sets.rebuild(table, {number: [(hosts.encode(), 1)] for number in range(100)}, [])
    assert sets.find(table, 3, "10.0.0.2") == 1


def test_of_two_equal_networks_the_greater_value_holds(table: Table) -> None:
    compare(table, [("10.0.0.0/8", 2), ("10.0.0.0/8", 1)])
    assert sets.find(table, 3, "10.0.0.1") == 2


def test_a_rebuild_keeps_what_did_not_change(table: Table) -> None:
    sets.rebuild(table, {1: [(b"10.0.0.0/8", 1)], 2: [(b"fd00::/8", 2)]}, [])
    sets.rebuild(table, {2: [(b"fd00::/9", 1)]}, [1])
    assert sets.find(table, 1, "10.9.9.9") == 1
    assert sets.find(table, 2, "fd00::1") == 1
    assert sets.find(table, 2, "fd80::1") == 0
    sets.release(table)
    assert sets.find(table, 1, "10.9.9.9") == 1
    sets.rebuild(table, {}, [2])
    assert sets.find(table, 1, "10.9.9.9") == 0


def test_text_has_comments_blank_lines_and_addresses(table: Table) -> None:
    text = b"# who\n\n 10.0.0.0/8 # office\r\n\t192.0.2.7\n2001:db8::/32\n::1"
    sets.rebuild(table, {3: [(text, 1)]}, [])
    for address in ("10.1.1.1", "192.0.2.7", "2001:db8::5", "::1"):
        assert sets.find(table, 3, address) == 1
    assert sets.find(table, 3, "192.0.2.8") == 0


@pytest.mark.parametrize(
    "line", [b"10.0.0", b"10.0.0.0/33", b"::/129", b"10.0.0.0/", b"10.0.0.0/1x", b"x", b"1" * 99]
)
def test_a_line_that_is_none_is_told_and_changes_nothing(table: Table, line: bytes) -> None:
    sets.rebuild(table, {3: [(b"10.0.0.0/8", 1)]}, [])
    with pytest.raises(sets.BadLineError) as caught:
        sets.rebuild(table, {3: [(b"10.0.0.0/9", 1), (b"::1\n" + line, 2)]}, [])
    assert caught.value.args == (3, 1, 2)
    assert sets.find(table, 3, "10.255.0.1") == 1
