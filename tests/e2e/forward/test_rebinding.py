"""DNS rebinding: a name server that gives another answer each time, public and private addresses in
all their forms. Whatever is asked and however often, no client reaches what is inside.

L4LB_REBINDING: how many tries are made; 10,000 take some minutes.
"""

from __future__ import annotations

import collections
import contextlib
import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from unit.discovery.nameserver import Says, nameserver

from ..harness import PATIENCE_S, PORTS, Balancer
from ..harness.netns import Hosts, in_namespace, two_hosts
from .proxy import exactly, proxy

TRIES = int(os.environ.get("L4LB_REBINDING", "400"))
AT_ONCE = 16
PUBLIC, BESIDE = "203.0.113.9", "203.0.113.1"  # the second one is the host's own
PRIVATE = {
    "A": ["127.0.0.1", "127.1.2.3", "0.0.0.0", "10.9.9.9", "169.254.169.254"],
    "AAAA": ["::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "fd99::1", "fe80::1"],
}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n"


class Changing(dict[str, Any]):
    """A zone whose names have other addresses each time."""

    def __init__(self) -> None:
        super().__init__()
        self._rng = random.Random(1)
        self.told: collections.Counter[str] = collections.Counter()

    def get(self, key: str, default: Any = None) -> Any:
        name, kind = key.split()
        if kind not in PRIVATE:
            return default
        private = self._rng.choice(PRIVATE[kind])
        if kind == "AAAA":
            answers = [[private], [], []]
        else:
            answers = [[private], [PUBLIC], [PUBLIC, private], [private, PUBLIC]]
        found = self._rng.choice(answers)
        self.told.update(found)
        if found and self._rng.random() < 0.1:
            rows = [f"{name} 0 CNAME elsewhere.example.", f"elsewhere.example 0 {kind} {found[0]}"]
            return Says(rows)
        return Says([f"{name} 0 {kind} {one}" for one in found])


@dataclass
class Server:
    """A server that answers each request with a word, and counts its connections."""

    word: bytes
    accepted: int = 0
    doors: list[socket.socket] = field(default_factory=list)

    def opens(self, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        door = socket.create_server((address, port), family=family, backlog=256)
        self.doors.append(door)
        threading.Thread(target=self._serve, args=(door,), daemon=True).start()

    def _serve(self, door: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = door.accept()
                self.accepted += 1
                with client, contextlib.suppress(OSError):
                    client.settimeout(PATIENCE_S)
                    client.recv(4096)
                    client.sendall(ANSWER + self.word)


@contextlib.contextmanager
def servers(hosts: Hosts, port: int) -> Iterator[tuple[Server, Server]]:
    """Runs a server outside, and one at all addresses inside."""
    public, private = Server(b"public"), Server(b"secret")
    with in_namespace(hosts.client):
        public.opens(PUBLIC, port)
    with hosts.inside():
        private.opens("0.0.0.0", port)
        private.opens("::1", port)
    try:
        yield public, private
    finally:
        for door in (*public.doors, *private.doors):
            door.close()


@dataclass
class Client:
    """Clients in the proxy's own namespace. got: what came of their tries."""

    lb: Balancer
    socks: tuple[str, int]
    port: int
    got: collections.Counter[str] = field(default_factory=collections.Counter)

    def tries(self, number: int) -> None:
        name = f"n{number % 7 if number % 3 else number}.evil.example"
        way = (self._whole_url, self._tunnel, self._socks)[number % 3]
        with (
            socket.create_connection(self.lb.address, PATIENCE_S)
            if number % 3 < 2
            else (socket.create_connection(self.socks, PATIENCE_S)) as sock
        ):
            got = way(sock, name)
        self.got[got] += 1

    def _whole_url(self, sock: socket.socket, name: str) -> str:
        host = f"{name}:{self.port}"
        sock.sendall(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n".encode())
        sock.sendall(b"Connection: close\r\n\r\n")
        said = to_the_end(sock)
        return outcome(said.split()[1].decode(), said)

    def _tunnel(self, sock: socket.socket, name: str) -> str:
        host = f"{name}:{self.port}"
        sock.sendall(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = sock.recv(4096)
        if b" 200 " not in head:
            return head.split()[1].decode()
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return outcome("200", to_the_end(sock))

    def _socks(self, sock: socket.socket, name: str) -> str:
        told = name.encode()
        sock.sendall(b"\5\1\0\5\1\0\3%c%b" % (len(told), told) + struct.pack("!H", self.port))
        reply = exactly(sock, 12)[3]
        if reply:
            return f"socks {reply}"
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return outcome("200", to_the_end(sock))


def to_the_end(sock: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(4096):
            said += data
    return said


def outcome(status: str, said: bytes) -> str:
    return said[-6:].decode() if status == "200" else status


def enter(namespace: contextlib.AbstractContextManager[None]) -> None:
    namespace.__enter__()  # why without an exit: the thread ends there


def test_no_name_leads_inside_whatever_its_addresses_become() -> None:
    port = PORTS.take()
    with two_hosts([BESIDE, "10.9.9.9"], PUBLIC) as hosts, contextlib.ExitStack() as stack:
        with hosts.inside():
            names = stack.enter_context(nameserver())
        zone = names.zone = Changing()
        resolve = {"servers": [names.server], "min_ttl": "100ms", "max_ttl": "1s", "timeout": "5s"}
        lb = proxy(inside=False, resolve=resolve, connect_timeout="500ms", policy_timeout="20s")
        assert lb.config is not None
        socks = ("127.0.0.1", PORTS.take())
        lb.config["listeners"]["socks"] = {
            "bind": ["{}:{}".format(*socks)], "protocol": "socks5", "forward": "office",
        }  # fmt: skip
        lb.command = [*hosts.prefix, *lb.command]
        try:
            with servers(hosts, port) as (public, private), lb:
                client = Client(lb, socks, port)
                inside = [hosts.inside() for _ in range(AT_ONCE)]
                turns = iter(inside)
                with ThreadPoolExecutor(AT_ONCE, initializer=lambda: enter(next(turns))) as pool:
                    list(pool.map(client.tries, range(TRIES)))
                print(dict(client.got), "told", dict(zone.told), "outside", public.accepted)
                assert private.accepted == 0
        finally:
            with hosts.inside():  # where the name server is ended
                stack.close()
    assert client.got["secret"] == 0
    assert client.got.total() == TRIES
    assert client.got["public"] > TRIES / 10
    assert client.got["403"] + client.got["socks 2"] > TRIES / 10
