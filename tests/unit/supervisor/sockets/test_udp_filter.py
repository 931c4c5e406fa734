"""A client always meets one socket, and clients are spread over all sockets."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from l4lb.config.address import parse_bind
from l4lb.supervisor.sockets import udp, udp_filter
from l4lb.supervisor.sockets.options import SocketOptions

WORKERS, CLIENTS = 3, 240


@contextlib.contextmanager
def opened(host: str) -> Iterator[list[socket.socket]]:
    """Yields an address's sockets, on a free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((host.strip("[]"), 0))
        port = probe.getsockname()[1]
    (bind,) = parse_bind(f"{host}:{port}")
    sockets = udp.open_sockets(bind, WORKERS, SocketOptions("udp"))
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


def met(sockets: list[socket.socket], clients: list[socket.socket], to: str) -> list[int]:
    """Returns which socket gets each client's datagram."""
    port = sockets[0].getsockname()[1]
    by_client: dict[int, int] = {}
    for client in clients:
        client.sendto(b"?", (to, port))
    for index, sock in enumerate(sockets):
        with contextlib.suppress(BlockingIOError):
            while True:
                by_client[sock.recvfrom(10)[1][1]] = index
    return [by_client[client.getsockname()[1]] for client in clients]


@pytest.mark.parametrize(("bind", "hosts"), [("0.0.0.0", ("127.0.0.1", "127.0.0.2")),
                                             ("[::1]", ("::1", "::1"))])  # fmt: skip
def test_a_client_meets_one_worker_by_whatever_address(bind: str, hosts: tuple[str, str]) -> None:
    with opened(bind) as sockets, contextlib.ExitStack() as stack:
        clients = []
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.socket(sockets[0].family, socket.SOCK_DGRAM))
            client.bind((hosts[0], 0))
            clients.append(client)
        first = met(sockets, clients, hosts[0])
        assert met(sockets, clients, hosts[0]) == first
        assert met(sockets, clients, hosts[1]) == first
        shares = Counter(first)
        assert all(CLIENTS / 6 < shares[index] < CLIENTS / 2 for index in range(WORKERS)), shares


def test_another_seed_gives_other_places() -> None:
    with opened("127.0.0.1") as sockets, contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.bind(("127.0.0.1", 0))
        places = []
        for seed in (1, 2):
            assert udp_filter.steer(sockets[0], WORKERS, seed)
            places.append(met(sockets, clients, "127.0.0.1"))
        same = sum(one == other for one, other in zip(*places, strict=True))
        assert same < CLIENTS * 0.6


def test_a_kernel_that_does_not_take_it_is_no_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as alone:
        assert udp_filter.steer(alone, 70_000, 1) in (True, False)
