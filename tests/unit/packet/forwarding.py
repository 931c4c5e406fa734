"""The program that forwards, taught by hand: a client, this host and a backend in namespaces."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e.harness.netns import Route, in_namespace

from l4lb.native.bpf_rows import TCX_INGRESS
from l4lb.packet import program, tables

if TYPE_CHECKING:
    from l4lb.native.bpf import Program

FORWARD = program.OBJECT.with_name("forward.bpf.o")
VIP = {4: "10.1.0.1", 6: "fd01::1"}
OURS = {4: "10.2.0.1", 6: "fd02::1"}
BACKEND = {4: "10.2.0.2", 6: "fd02::2"}
CLIENT = {4: "10.1.0.2", 6: "fd01::2"}
FRONT, BACK = 8080, 9000
KEYS = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
ROUND_ROBIN = 0


@dataclass
class Forward:
    """A loaded program, with one pool of one backend for each family."""

    made: Program
    max_flows: int
    links: list[int] = field(default_factory=list)

    def teach(self, *, mode: str = "nat", balance: int = ROUND_ROBIN, **pool: int) -> None:
        made = self.made
        made.put("settings", bytes(4), tables.Settings(*KEYS).packed())
        for number, family in enumerate((4, 6)):
            port = FRONT if mode in ("mac", "ipip") else BACK
            self.teach_pool(number, BACKEND[family], port, OURS[family], mode=mode,
                            balance=balance, **pool)  # fmt: skip
            for protocol in ("tcp", "udp"):
                made.put("services", tables.service(VIP[family], FRONT, protocol),
                         tables.Place(0, number).packed())  # fmt: skip

    def teach_pool(self, number: int, address: str, port: int, source: str, *, mode: str = "nat",
                   balance: int = ROUND_ROBIN, **pool: int) -> None:  # fmt: skip
        """Makes a pool with one backend, both of this number."""
        made = self.made
        one = tables.Backend(address, port, tables.PRIMARY | tables.ANY, number, number, bytes(16),
                             source)  # fmt: skip
        made.put("backends", tables.index(number), one.packed())
        made.put("pools", tables.index(number),
                 tables.Pool(balance, mode=tables.MODES[mode], **pool).packed())  # fmt: skip
        made.put("slots", tables.index(number), (number * 0x0001000100010001).to_bytes(8, "little"))
        view = (4 * number, 1, 0, 0, 4 * number, 1)
        made.put("views", tables.index(2 * number),
                 b"".join(v.to_bytes(4, "little") for v in view) + bytes(8))  # fmt: skip

    def attach(self, *names: str) -> None:
        self.links += [self.made.link(socket.if_nametoindex(name), TCX_INGRESS) for name in names]

    def detach(self) -> None:
        for link in self.links:
            os.close(link)
        self.links.clear()
        self.made.close()

    def flows(self, name: str = "flows") -> dict[tables.Key, tables.Flow]:
        found = {}
        for key in self.made.keys(name, 4 * self.max_flows + 4096):
            value = self.made.get(name, key)
            if value is not None:
                found[tables.Key.unpacked(key)] = tables.Flow.unpacked(value)
        return found

    def drops(self) -> dict[str, int]:
        return {
            name: count
            for number, name in enumerate(tables.DROPS)
            if (count := sum(int.from_bytes(one, "little")
                for one in self.made.get_all("drops", tables.index(number))))
        }  # fmt: skip

    def total(self, row: int) -> tables.Total:
        return tables.Total.summed(self.made.get_all("totals", tables.index(row)))


def loaded(max_flows: int = 1024, slots: int = 1 << 16) -> Forward:
    from l4lb.native.bpf import Program

    kind = tables.kind(max_flows, slots)
    return Forward(Program.load(FORWARD.read_bytes(), kind), max_flows)


@contextlib.contextmanager
def echoes(route: Route) -> Iterator[None]:
    """Backends that send back what they get, over TCP and UDP, IPv4 and IPv6."""
    servers: list[socket.socket] = []
    with in_namespace(route.backend):
        for family, host in ((socket.AF_INET, BACKEND[4]), (socket.AF_INET6, BACKEND[6])):
            servers.append(socket.create_server((host, BACK), family=family, backlog=512))
            datagrams = socket.socket(family, socket.SOCK_DGRAM)
            datagrams.bind((host, BACK))
            servers.append(datagrams)

    def serve_one(one: socket.socket) -> None:
        with one, contextlib.suppress(OSError):
            while data := one.recv(65536):
                one.sendall(data)

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = server.accept()
                threading.Thread(target=serve_one, args=(one,), daemon=True).start()

    def answer(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, peer = server.recvfrom(65536)
                if peer is None:
                    return
                server.sendto(data, peer)

    for one in servers:
        work = serve if one.type == socket.SOCK_STREAM else answer
        threading.Thread(target=work, args=(one,), daemon=True).start()
    yield
    for one in servers:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


def client(route: Route, family: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Returns a connected socket of the client."""
    with in_namespace(route.client):
        made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, kind)
    made.settimeout(10)
    made.connect((VIP[family], FRONT))
    return made


def set_forwarding(name: str, on: bool) -> None:
    for family in ("ipv4", "ipv6"):
        Path(f"/proc/sys/net/{family}/conf/{name}/forwarding").write_text(str(int(on)))


def skip_without_rights() -> None:
    """Skips a test where this host loads no programs."""
    try:
        loaded(1024).made.close()
    except OSError as error:
        pytest.skip(f"this host loads no programs: {error}")
