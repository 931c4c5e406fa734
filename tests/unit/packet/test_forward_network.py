"""The program that forwards, between real hosts: namespaces with a client, this host, a backend.

why: long: all tests share one set of hosts.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import select
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator

import pytest
from e2e.harness.netns import Route, in_namespace, routed

from l4lb.packet import program, tables

from .forwarding import (
    BACK,
    BACKEND,
    CLIENT,
    FRONT,
    OURS,
    VIP,
    Forward,
    client,
    echoes,
    loaded,
)  # fmt: skip

if not program.OBJECT.with_name("forward.bpf.o").exists():
    pytest.skip("built without libbpf or clang", allow_module_level=True)

IP_RECVERR, IPV6_RECVERR, IP_MTU, IPV6_MTU = 11, 25, 14, 24
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, PMTUDISC_DO = 10, 23, 2
LINGER = struct.pack("ii", 1, 0)
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
DATAGRAM = socket.SOCK_DGRAM
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
ELSEWHERE = {4: "10.9.0.1", 6: "fd09::1"}  # an address that no router has
both = pytest.mark.parametrize("family", [4, 6])


def until(done: Callable[[], bool], rounds: int = 400) -> None:
    """Waits until it is so: the kernel works on, and nobody says when it has done."""
    for _ in range(rounds):
        if done():
            return
        select.select([], [], [], 0.02)
    raise AssertionError("it has not come")


@pytest.fixture(scope="module")
def route() -> Iterator[Route]:
    with routed() as made, echoes(made):
        yield made


@contextlib.contextmanager
def forwarding(route: Route, *, max_flows: int = 1024, **how: object) -> Iterator[Forward]:
    """A program that is attached, with pools of one backend."""
    with in_namespace(route.router):
        made = loaded(max_flows)
        made.teach(**how)  # type: ignore[arg-type]
        made.attach("front", "back")
    try:
        yield made
    finally:
        made.detach()


@pytest.fixture
def forward(route: Route) -> Iterator[Forward]:
    with forwarding(route) as made:
        yield made


@contextlib.contextmanager
def mtu(route: Route, size: int) -> Iterator[None]:
    """Gives the way to the backend a smaller MTU. why not its cable: that would swallow long
    packets of the other direction."""
    ways = (("-4", "10.2.0.0/24", ["src", "10.2.0.1"]), ("-6", "fd02::/64", ["metric", "256"]))
    for family, network, more in ways:
        way = [network, "dev", "back", "proto", "kernel", *more]
        route.run("ip", family, "route", "replace", *way, "mtu", "lock", str(size))
    try:
        yield
    finally:
        for family, network, more in ways:
            way = [network, "dev", "back", "proto", "kernel", *more]
            route.run("ip", family, "route", "replace", *way)
        flush(route)


def flush(route: Route) -> None:
    """Lets the client forget what it knows of path MTUs."""
    for family in ("-4", "-6"):
        command = ["ip", "-n", route.client, family, "route", "flush", "cache"]
        subprocess.run(command, check=True, capture_output=True)


def echoed(one: socket.socket, data: bytes) -> bytes:
    """Sends it and returns what comes back."""
    got, sent = bytearray(), memoryview(data)
    one.settimeout(20)
    while len(got) < len(data):
        poll = select.poll()
        poll.register(one, select.POLLIN | (select.POLLOUT if sent else 0))
        ready = sum(events for _, events in poll.poll(20_000))
        if not ready:
            raise AssertionError(f"stalled after {len(got)} bytes")
        if ready & select.POLLOUT:
            sent = sent[one.send(sent[: 1 << 16]) :]
        if ready & ~select.POLLOUT:
            part = one.recv(1 << 16)
            if not part:
                break
            got += part
    return bytes(got)


# ---- errors of routers ---------------------------------------------------------------------------


def next_error(one: socket.socket) -> tuple[int, int, int, str]:
    """Returns errno, type and code of an ICMP error for this socket, and whose address it has."""
    until(lambda: _has_error(one))
    six = one.family == socket.AF_INET6
    _, control, _, _ = one.recvmsg(1024, 1024, socket.MSG_ERRQUEUE)
    for _, kind, data in control:
        if kind in (IP_RECVERR, IPV6_RECVERR):
            number, _, icmp, code = struct.unpack_from("=IBBB", data)
            at = 16 + (8 if six else 4)
            found = data[at : at + (16 if six else 4)]
            return number, icmp, code, socket.inet_ntop(one.family, found)
    raise AssertionError("no error is told")


def _has_error(one: socket.socket) -> bool:
    """why poll: a process with many open files has sockets that select does not take."""
    poll = select.poll()
    poll.register(one, 0)
    return bool(poll.poll(0))


def telling(route: Route, family: int) -> socket.socket:
    """A UDP socket of the client that is told of errors."""
    made = client(route, family, DATAGRAM)
    if family == 4:
        made.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    return made


@both
def test_a_packet_at_its_last_hop_is_answered(route: Route, forward: Forward, family: int) -> None:
    with telling(route, family) as one:
        if family == 4:
            one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        else:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
        one.send(b"x")
        kind = (11, 0) if family == 4 else (3, 0)
        assert next_error(one) == (errno.EHOSTUNREACH, *kind, VIP[family])
    assert forward.drops() == {"ttl": 1}


def set_checksums(name: str, by_interface: bool) -> None:
    """Whether the interface makes checksums, or else the kernel before it."""
    value = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_STXCSUM, by_interface))
    request = struct.pack("16sP16x", name.encode(), ctypes.addressof(value))
    with socket.socket() as one:
        fcntl.ioctl(one, SIOCETHTOOL, request)


@both
def test_errors_are_right_where_checksums_are_still_to_be_made(
    route: Route, forward: Forward, family: int
) -> None:
    with in_namespace(route.router):
        set_checksums("front", False)
    try:
        test_a_packet_at_its_last_hop_is_answered(route, forward, family)
    finally:
        with in_namespace(route.router):
            set_checksums("front", True)


@both
def test_port_unreachable_reaches_the_clients_socket(
    route: Route, forward: Forward, family: int
) -> None:
    forward.teach_pool(family == 6, BACKEND[family], BACK + 1, OURS[family])
    with client(route, family, DATAGRAM) as one:
        one.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            one.recv(1)
    with pytest.raises(ConnectionRefusedError):
        client(route, family)


@both
def test_datagrams_that_are_too_long_are_told_so(
    route: Route, forward: Forward, family: int
) -> None:
    with mtu(route, 1300), telling(route, family) as one:
        if family == 4:
            one.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
        else:
            one.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO)
        one.send(bytes(1400))
        kind = (3, 4) if family == 4 else (2, 0)
        assert next_error(one) == (errno.EMSGSIZE, *kind, VIP[family])
        with pytest.raises(OSError, match="too long"):
            one.send(bytes(1400))
        one.send(bytes(1200))
        assert one.recv(2000) == bytes(1200)
    assert forward.drops() == {"too_big": 1}


def test_datagrams_that_may_be_cut_are_cut_by_their_sender(route: Route, forward: Forward) -> None:
    with mtu(route, 1300), client(route, 4, DATAGRAM) as one:
        one.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, 0)
        one.send(bytes(1400))
        until(lambda: forward.drops() == {"too_big": 1})
        one.send(b"y" * 1400)
        assert one.recv(2000) == b"y" * 1400


@both
def test_bulk_goes_through_a_smaller_mtu(route: Route, forward: Forward, family: int) -> None:
    """Of connections that began before, so that their segments are longer."""
    with client(route, family) as one:
        assert echoed(one, b"hello") == b"hello"
        with mtu(route, 1300):
            assert echoed(one, bytes(2_000_000)) == bytes(2_000_000)
    assert forward.drops().keys() == {"too_big"}


@both
def test_segments_of_new_connections_fit_at_once(
    route: Route, forward: Forward, family: int
) -> None:
    with mtu(route, 1300), client(route, family) as one:
        segment = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        assert segment + 12 == 1300 - (40 if family == 4 else 60)
        assert echoed(one, bytes(500_000)) == bytes(500_000)
    assert not forward.drops()


@both
def test_long_datagrams_come_in_fragments(route: Route, forward: Forward, family: int) -> None:
    with client(route, family, DATAGRAM) as one:
        for size in (1, 3_000, 60_000):
            one.send(bytes(size))
            assert len(one.recv(65_536)) == size
    assert not forward.drops()


# ---- ports and tables ----------------------------------------------------------------------------


def halves(forward: Forward) -> set[tables.Key]:
    """Returns the entries whose other direction is missing."""
    found = {**forward.flows("young"), **forward.flows()}
    twins = set()
    for key, flow in found.items():
        family = socket.AF_INET6 if ":" in key.source else socket.AF_INET
        size = 16 if ":" in key.source else 4
        source, target = (
            socket.inet_ntop(family, one[:size]) for one in (flow.source, flow.target)
        )
        twins.add(tables.Key(target, source, flow.target_port, flow.source_port, key.protocol))
    return twins ^ found.keys()


def test_ports_of_closed_connections_serve_at_once(route: Route) -> None:
    with forwarding(route) as forward:
        for n in range(1_500):
            with in_namespace(route.client):
                one = socket.socket()
            with one:
                one.settimeout(0.8)  # less than TCP waits before it tries again
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
                one.bind((CLIENT[4], 40_000 + n % 5))
                one.connect((VIP[4], FRONT))
                one.sendall(b"x")
                assert one.recv(1) == b"x"
        assert not halves(forward)
        assert len(forward.flows()) <= 10
        assert forward.total(0).proven == forward.total(0).opened == 1_500
        assert not forward.drops()


@both
def test_both_directions_know_that_it_is_over(route: Route, forward: Forward, family: int) -> None:
    with client(route, family) as one:
        assert echoed(one, b"x") == b"x"
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""
    until(lambda: all(flow.flags & tables.CLOSED for flow in forward.flows().values()))
    assert len(forward.flows()) == 2
    assert not halves(forward)


def test_without_a_free_port_this_hosts_sockets_have_the_client(route: Route) -> None:
    with forwarding(route) as forward, contextlib.ExitStack() as held:
        few = tables.Settings(1, 2, low=1027, high=65_535).packed()
        forward.made.put("settings", bytes(4), few)
        for _ in range(3):
            held.enter_context(client(route, 4))
        with in_namespace(route.router), socket.create_server((VIP[4], FRONT)) as own:
            one = held.enter_context(client(route, 4))
            other, _ = own.accept()
            with other:
                one.sendall(b"mine")
                assert other.recv(10) == b"mine"
        assert len(forward.flows()) == 6
        assert not forward.flows("young")
        assert forward.drops() == {"no_local_port": 1}


def flood(route: Route, count: int) -> None:
    """Sends SYNs from made-up addresses."""
    from .forward_twin import ip_header, summed
    from .frames import TCP, tcp

    with in_namespace(route.client):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw:
        for n in range(count):
            source = f"10.77.{n >> 8 & 255}.{n & 255}"
            syn = summed((source, VIP[4]), TCP, tcp(FRONT, from_port=1024 + n % 60_000))
            raw.sendto(ip_header(source, VIP[4], TCP, len(syn)) + syn, (VIP[4], 0))


def test_a_flood_of_syns_breaks_no_connection(route: Route) -> None:
    with forwarding(route, max_flows=256) as forward, contextlib.ExitStack() as held:
        idle = [held.enter_context(client(route, 4)) for _ in range(200)]
        for one in idle:
            assert echoed(one, b"x") == b"x"
        for _ in range(4):
            flood(route, 3_000)
            with client(route, 4) as newcomer:
                assert echoed(newcomer, b"y") == b"y"
        assert forward.total(0).opened >= 12_000
        for one in idle:
            assert echoed(one, b"z") == b"z"
        assert forward.total(0).proven == 204


def test_when_the_table_is_full_newcomers_stay_young(route: Route) -> None:
    with forwarding(route, max_flows=4) as forward, contextlib.ExitStack() as held:
        many = [held.enter_context(client(route, 4)) for _ in range(20)]
        for one in many:
            assert echoed(one, b"x") == b"x"
        assert len(forward.flows()) <= 8
        assert len(forward.flows("young")) >= 32
        assert not halves(forward)
        assert forward.drops().keys() == {"full"}


# ---- ways without NAT ----------------------------------------------------------------------------


@both
def test_backends_see_the_client_where_only_the_target_changes(route: Route, family: int) -> None:
    with forwarding(route, mode="dnat") as forward, client(route, family) as one:
        assert echoed(one, bytes(100_000)) == bytes(100_000)
        (key,) = [key for key in forward.flows() if key.source == BACKEND[family]]
        assert key.target == CLIENT[family]
        with client(route, family, DATAGRAM) as other:
            other.send(bytes(3_000))
            assert len(other.recv(4_000)) == 3_000
        assert not forward.drops()


@contextlib.contextmanager
def with_the_address(route: Route, family: int) -> Iterator[socket.socket]:
    """The backend has the address that clients ask for, on lo. Yields its listening socket."""
    bits, more = {4: ("32", []), 6: ("128", ["nodad"])}[family]
    address = [f"{ELSEWHERE[family]}/{bits}", "dev", "lo", *more]
    subprocess.run(["ip", "-n", route.backend, "addr", "add", *address], check=True)
    try:
        with in_namespace(route.backend):
            server = socket.create_server((ELSEWHERE[family], FRONT), family=FAMILIES[family])
        with server:
            server.settimeout(10)
            yield server
    finally:
        subprocess.run(["ip", "-n", route.backend, "addr", "del", *address[:3]], check=True)


@both
def test_frames_go_to_the_backend_that_has_the_address(route: Route, family: int) -> None:
    with forwarding(route, mode="mac") as forward, with_the_address(route, family) as server:
        forward.made.put("services", tables.service(ELSEWHERE[family], FRONT, "tcp"),
                         tables.Place(0, family == 6).packed())  # fmt: skip
        with in_namespace(route.client):
            one = socket.create_connection((ELSEWHERE[family], FRONT), 10)
        other, peer = server.accept()
        with one, other:
            assert peer[0] == CLIENT[family]
            one.sendall(b"question")
            assert other.recv(100) == b"question"
            other.sendall(b"answer")
            assert one.recv(100) == b"answer"
        until(lambda: any(flow.flags & tables.CLOSED for flow in forward.flows().values()))
        total = forward.total(family == 6)
        assert total.proven == 1
        assert total.packets_in > 2
        assert total.packets_out == 0


@both
def test_packets_are_wrapped_for_the_backend(route: Route, family: int) -> None:
    kind, number = {4: (0x0800, 4), 6: (0x86DD, 41)}[family]
    with forwarding(route, mode="ipip") as forward:
        with in_namespace(route.backend):
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
        with raw, client(route, family, DATAGRAM) as one:
            raw.settimeout(10)
            for size in (10, 1_000):
                one.send(bytes(size))
                frame = raw.recv(4096)
                while frame[23 if family == 4 else 20] != number:
                    frame = raw.recv(4096)
                check_wrapped(frame, family)
        assert forward.total(family == 6).packets_in == 2


@both
def test_a_wrapped_packet_has_room_for_its_wrapping(route: Route, family: int) -> None:
    whole, head = 1500, 20 if family == 4 else 40
    with forwarding(route, mode="ipip"), telling(route, family) as one:
        if family == 4:
            one.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO)
            told = socket.IPPROTO_IP, IP_MTU
        else:
            one.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO)
            told = socket.IPPROTO_IPV6, IPV6_MTU
        one.send(bytes(whole - head - 8))
        assert next_error(one)[0] == errno.EMSGSIZE
        assert one.getsockopt(*told) == whole - head
    flush(route)


def check_wrapped(frame: bytes, family: int) -> None:
    from .forward_twin import checksum

    head, packed = (20, 4) if family == 4 else (40, 16)
    at = 14 + (12 if family == 4 else 8)
    ends = [socket.inet_ntop(FAMILIES[family], frame[at + i : at + i + packed])
            for i in (0, packed)]  # fmt: skip
    assert ends == [OURS[family], BACKEND[family]]
    inner = frame[14 + head :]
    size = int.from_bytes(frame[16:18]) if family == 4 else 40 + int.from_bytes(frame[18:20])
    assert size == len(frame) - 14
    if family == 4:
        assert checksum(frame[14:34]) == 0
        assert checksum(inner[:20]) == 0
    ends = [socket.inet_ntop(FAMILIES[family], inner[at - 14 + i : at - 14 + i + packed])
            for i in (0, packed)]  # fmt: skip
    assert ends == [CLIENT[family], VIP[family]]
