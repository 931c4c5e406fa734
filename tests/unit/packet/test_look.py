"""Wide ranges of ports: what is written into the maps, in which order, and what the kernel makes of
it. The program meets real sockets, in a network of its own."""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from l4lb.errors import L4lbError
from l4lb.packet import listening, look, look_program
from l4lb.packet.look import Bound, Range
from l4lb.packet.look_written import BOUND, PARTS, SOCKETS, Steered, Written

if TYPE_CHECKING:
    from l4lb.native.bpf import Program

HEADER = Path(__file__).parents[3] / "csrc/packet/look.h"
HERE, V6 = "10.5.0.1", "fd05::1"


# ---- without the kernel --------------------------------------------------------------------------


def test_python_and_c_agree_about_the_maps() -> None:
    text = HEADER.read_text()
    sizes = [int(size) for size in re.findall(r"_Static_assert\(sizeof\(.*\) == (\d+)", text)]
    part, place, bound = sizes
    assert look_program.KIND.maps[0][:3] == (PARTS, part, place)
    assert look_program.KIND.maps[2][:3] == (BOUND, bound, 4)
    assert f"L4_LOOK_LAYOUT {look.LAYOUT}\n" in text
    assert "L4_LOOK_ADDRESS_BITS = 8 * (2 + 16)" in text


def covered(first: int, last: int) -> list[int]:
    """Returns the ports of all prefixes, by a naive reading."""
    found = []
    for port, bits in look.prefixes(first, last):
        free = 16 - bits
        assert port >> free << free == port
        found += range(port, port + (1 << free))
    return found


def test_prefixes_are_exactly_the_ports_of_a_range() -> None:
    chosen = random.Random(1)
    spans = [(1, 65535), (0, 65535), (7, 7), (1024, 65535), (1, 65534)]
    for _ in range(200):
        low, high = sorted(chosen.choices(range(65536), k=2))
        spans.append((low, high))
    for first, last in spans:
        assert covered(first, last) == list(range(first, last + 1))
        assert len(list(look.prefixes(first, last))) <= 30


class Mirror:
    """The maps as the program would read them. After each write a client of each of these ports
    looks whose it is."""

    def __init__(self, watched: tuple[int, ...] = ()) -> None:
        self.maps: dict[str, dict[bytes, bytes]] = {PARTS: {}, SOCKETS: {}, BOUND: {}}
        self.watched = watched
        self.seen: list[tuple[int | None, ...]] = []

    def put(self, name: str, key: bytes, value: bytes) -> None:
        self.maps[name][key] = value
        self._look()

    def drop(self, name: str, key: bytes) -> None:
        del self.maps[name][key]
        self._look()

    def _look(self) -> None:
        self.seen.append(tuple(self.socket_of(port) for port in self.watched))

    def socket_of(self, port: int) -> int | None:
        """Returns the descriptor that a client of this port meets."""
        found = None
        for bits in range(17):
            free = 16 - bits
            (key,) = look.parts(Range(HERE, port >> free << free, (port >> free << free)))
            wanted = look.number(look.ADDRESS_BITS + bits) + key[4:]
            found = self.maps[PARTS].get(wanted, found)
        if found is None:
            return None
        there = self.maps[SOCKETS].get(found[:4])
        return None if there is None else int.from_bytes(there, "little")


def test_a_port_of_both_ranges_is_served_at_every_moment_of_a_change() -> None:
    maps, written = Mirror((7100, 7200)), Written()
    written.put(maps, [Steered(Range(HERE, 7000, 7999), 1, 11)], [])
    assert maps.socket_of(7999) == 11
    maps.seen.clear()
    written.put(maps, [Steered(Range(HERE, 7050, 8999), 2, 22)], [])
    assert set(sum(maps.seen, ())) == {11, 22}
    assert [maps.socket_of(port) for port in (7049, 7050, 8999, 9000)] == [None, 22, 22, None]
    assert len(maps.maps[SOCKETS]) == 1


def test_a_slot_is_given_to_another_range_only_when_it_is_free() -> None:
    maps, written = Mirror((7100, 9100)), Written()
    written.put(maps, [Steered(Range(HERE, 7000, 7999), 1, 11)], [])
    maps.seen.clear()
    written.put(maps, [Steered(Range(HERE, 9000, 9999), 2, 22)], [])
    assert {seen[0] for seen in maps.seen} <= {11, None}
    assert {seen[1] for seen in maps.seen} <= {22, None}
    written.put(maps, [], [])
    assert not any(maps.maps.values())


def test_what_was_written_goes_to_the_next_program() -> None:
    maps, written = Mirror(), Written()
    steered = [Steered(Range(HERE, 7000, 7999), 1, 11)]
    written.put(maps, steered, [Bound(HERE, 7001)])
    successor = Written(written.carried())
    maps.seen.clear()
    successor.put(maps, steered, [Bound(HERE, 7001)])
    assert maps.seen == []  # nothing was written
    successor.put(maps, [], [])
    assert not any(maps.maps.values())


def test_two_sockets_that_are_bound_to_different_interfaces_take_the_port_everywhere() -> None:
    assert list(look.bound([Bound(HERE, 1, 3), Bound(HERE, 1, 4)]).values()) == [0]
    assert list(look.bound([Bound(HERE, 1, 3), Bound(HERE, 1, 3)]).values()) == [3]


# ---- with the kernel -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program(_network_of_its_own: None) -> Iterator[Program]:
    try:
        made = look_program.load()
    except L4lbError as error:
        pytest.skip(error.message)
    link = look_program.attach(made)
    yield made
    os.close(link)
    made.close()


class Led:
    """A listening socket that a range of ports leads to."""

    def __init__(self, program: Program, span: Range) -> None:
        self._program, self._written = program, Written()
        family = socket.AF_INET6 if ":" in span.host else socket.AF_INET
        self.server = socket.create_server((span.host, span.first), family=family)
        self.server.settimeout(5)
        self._steered = Steered(span, 1, self.server.fileno())
        self.tell([])

    def tell(self, bound: list[Bound]) -> None:
        self._written.put(self._program, [self._steered], bound)

    def serves(self, host: str, port: int) -> bool:
        """Returns whether a client is served here, and its connection has the port it asked
        for."""
        try:
            client = socket.create_connection((host, port), timeout=5)
        except ConnectionRefusedError:
            return False
        with client, self.server.accept()[0] as one:
            assert one.getsockname()[:2] == (host, port)
            return True

    def __enter__(self) -> Led:
        return self

    def __exit__(self, *_: object) -> None:
        self._written.put(self._program, [], [])
        self.server.close()


def test_clients_of_a_range_meet_its_socket_and_others_do_not(program: Program) -> None:
    with Led(program, Range(HERE, 7000, 7999)) as led:
        served = [port for port in (6999, 7000, 7001, 7512, 7999, 8000) if led.serves(HERE, port)]
        assert served == [7000, 7001, 7512, 7999]
        assert not led.serves("127.0.0.1", 7001)


def test_any_address_of_a_family_and_no_other_family(program: Program) -> None:
    with Led(program, Range("0.0.0.0", 7000, 7999)) as led:
        assert led.serves(HERE, 7001)
        assert led.serves("127.0.0.1", 7001)
        assert not led.serves(V6, 7001)
    with Led(program, Range("::", 7000, 7999)) as led:
        assert led.serves(V6, 7001)
        assert not led.serves(HERE, 7001)
    with Led(program, Range(V6, 7000, 7999)) as led:
        assert led.serves(V6, 7999)
        assert not led.serves("::1", 7999)


def test_only_clients_of_its_interface(program: Program) -> None:
    lo = socket.if_nametoindex("lo")
    for interface, served in ((lo, True), (lo + 1, False)):
        with Led(program, Range(HERE, 7000, 7999, interface)) as led:
            assert led.serves(HERE, 7001) is served


@pytest.mark.parametrize("host", [HERE, "0.0.0.0", "::"])
def test_a_socket_that_is_really_bound_has_its_port(program: Program, host: str) -> None:
    dual = host == "::"
    family = socket.AF_INET6 if dual else socket.AF_INET
    with (
        Led(program, Range(HERE, 7000, 7999)) as led,
        socket.create_server((host, 7001), family=family, dualstack_ipv6=dual) as other,
    ):
        led.tell([at for one in listening.sockets() for at in one.at if at.port == 7001])
        with socket.create_connection((HERE, 7001), timeout=5):
            other.settimeout(5)
            other.accept()[0].close()
        assert led.serves(HERE, 7002)
        led.tell([])
        assert led.serves(HERE, 7001)


def test_a_socket_that_was_closed_leads_nowhere(program: Program) -> None:
    with Led(program, Range(HERE, 7000, 7999)) as led:
        led.server.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HERE, 7001), timeout=5)


@pytest.mark.usefixtures("_network_of_its_own")
def test_the_sockets_of_the_host_are_those_in_proc() -> None:
    with contextlib.ExitStack() as stack:
        for host, dual in ((HERE, False), ("::", True), ("::", False), (V6, False)):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            stack.enter_context(socket.create_server((host, 0), family=family, dualstack_ipv6=dual))
        told = {(one.inode, one.at[0].port) for one in listening.sockets()}
        proc = set()
        for name in ("tcp", "tcp6"):
            for line in Path(f"/proc/thread-self/net/{name}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A":
                    proc.add((int(words[9]), int(words[1].rpartition(":")[2], 16)))
        assert told == proc
        assert len(told) == 4
        assert sum(len(one.at) for one in listening.sockets()) == 5
