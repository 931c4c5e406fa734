"""The PROXY header in front of datagrams to UDP backends, read by a parser of the test's own."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Any

import pytest

from ..harness import PORTS, until
from ..harness.datagrams import LARGEST, UdpBackends, ask, clients, udp_balancer

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CRC32C = 3


def crc32c(data: bytes) -> int:
    """Computes CRC-32C as in RFC 9260, appendix A: bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def parted(data: bytes) -> tuple[tuple[str, int], tuple[str, int], dict[int, bytes], bytes]:
    """Returns source, target, TLVs and payload. Fails if there is no header of version 2 for
    UDP."""
    assert data.startswith(SIGNATURE), data[:40]
    command, family, length = struct.unpack_from(">BBH", data, 12)
    assert command == 0x21
    assert family in (0x12, 0x22), "UDP over IPv4 or IPv6"
    size = 4 if family == 0x12 else 16
    body, payload = data[16 : 16 + length], data[16 + length :]
    ips = [str(ipaddress.ip_address(body[at : at + size])) for at in (0, size)]
    ports = struct.unpack_from(">HH", body, 2 * size)
    tlvs, rest = {}, body[2 * size + 4 :]
    while rest:
        kind, value_length = struct.unpack_from(">BH", rest)
        tlvs[kind] = rest[3 : 3 + value_length]
        rest = rest[3 + value_length :]
    if CRC32C in tlvs:
        header = data[: 16 + length].replace(tlvs[CRC32C], bytes(4))
        assert struct.unpack(">I", tlvs[CRC32C]) == (crc32c(header),)
    return (ips[0], ports[0]), (ips[1], ports[1]), tlvs, payload


def is_bare(data: bytes, payload: bytes) -> bool:
    """Returns whether the datagram came without a header."""
    return data == payload


@pytest.mark.parametrize("told", ["first", "each"])
def test_a_client_whose_pool_has_no_backend_any_more_harms_no_worker(told: str) -> None:
    """The session ends at its next datagram, before the worker looks for such sessions."""
    passive = {"failures": 1, "eject": "1h", "max_eject": "1h", "max_ejected": "100%"}
    with (
        UdpBackends() as backends,
        udp_balancer(backends.rows(), workers=1, passive=passive, proxy_protocol_udp=told) as lb,
        clients(lb, 2) as (first, second),
    ):
        before = lb.pids()
        for client in (first, second):
            ask(client)
        backends.stop("a")
        first.send(b"to a closed port")
        until(lambda: lb.backends()["a"]["health"] == "ejected", "it is ejected")
        second.send(b"to nobody")
        until(lambda: lb.ask("listeners")[0]["dropped"].get("no_backend"), "it was dropped")
        assert lb.pids() == before


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_first_datagram_of_a_session_tells_whose_it_is(host: str) -> None:
    bind = f"[{host}]:{PORTS.take()}" if ":" in host else ""
    told: dict[str, Any] = {"proxy_protocol_udp": "first", "proxy_tlvs": ["crc32c"]}
    with (
        UdpBackends(1) as backends,
        udp_balancer(backends.rows(), bind=bind, **told) as lb,
        clients(lb, 3) as all_clients,
    ):
        for client in all_clients:
            source, to, tlvs, payload = parted(ask(client, b"hello"))
            assert source == client.getsockname()[:2]
            assert to == client.getpeername()[:2]
            assert (list(tlvs), payload) == ([CRC32C], b"hello")
            assert is_bare(ask(client, b"again"), b"again")


def test_each_datagram_tells_it_also_those_of_a_burst() -> None:
    with (
        UdpBackends(1) as backends,
        udp_balancer(backends.rows(), proxy_protocol_udp="each") as lb,
        clients(lb) as (client,),
    ):
        sent = [b"%d" % at * 100 for at in range(10)] * 3 + [b""]
        for data in sent:
            client.send(data)
        got = [parted(client.recv(LARGEST)) for _ in sent]
        assert [payload for *_, payload in got] == sent
        assert {source for source, *_ in got} == {client.getsockname()}


def test_a_backend_that_takes_a_session_over_is_told_too() -> None:
    with (
        UdpBackends(2) as backends,
        udp_balancer(backends.rows(), proxy_protocol_udp="first") as lb,
        clients(lb) as (client,),
    ):
        parted(ask(client))
        assert is_bare(ask(client, b"x"), b"x")
        first = max(backends.received, key=lambda name: backends.received[name])
        backends.stop(first)
        client.settimeout(0.2)

        def answered() -> bytes:
            try:
                return ask(client, b"moved")
            except TimeoutError:
                return b""

        source, *_, payload = parted(until(answered, "the other backend answers"))
        assert (source, payload) == (client.getsockname(), b"moved")


def test_a_datagram_too_long_with_its_header_is_counted() -> None:
    with (
        UdpBackends(1) as backends,
        udp_balancer(backends.rows(), proxy_protocol_udp="each") as lb,
        clients(lb) as (client,),
    ):
        client.send(bytes(LARGEST))
        until(lambda: lb.ask("listeners")[0]["dropped"] == {"send_to_backend": 1}, "it is counted")
        assert parted(ask(client, bytes(LARGEST - 28)))[-1] == bytes(LARGEST - 28)


@pytest.mark.parametrize("kind", ["udp", "dns"])
def test_a_check_says_that_no_client_is_behind_it(kind: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as backend:
        backend.bind(("127.0.0.1", 0))
        backend.settimeout(20)
        health = {"type": kind, "interval": "100ms", "timeout": "5s"}
        row = {"name": "a", "address": "{}:{}".format(*backend.getsockname())}
        with udp_balancer([row], health=health, proxy_protocol_udp="first"):
            assert backend.recv(4096).startswith(SIGNATURE + b"\x20\0\0\0")
