"""Network namespaces made by a test: a host with several addresses, and another host beside it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True, text=True)


@contextlib.contextmanager
def in_namespace(name: str) -> Iterator[None]:
    """Puts this thread into the namespace. Sockets that are made meanwhile stay there."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        _libc.setns(before, CLONE_NEWNET)
        os.close(before)
        os.close(there)


@dataclass
class Hosts:
    """Two namespaces, connected by a cable (veth pair)."""

    server: str
    client: str

    @property
    def prefix(self) -> list[str]:
        """The prefix of commands that run on the server."""
        return ["ip", "netns", "exec", self.server]

    def inside(self) -> contextlib.AbstractContextManager[None]:
        """Runs the block on the server."""
        return in_namespace(self.server)

    def client_socket(self, towards: str) -> socket.socket:
        """Returns a UDP socket on the client."""
        with in_namespace(self.client):
            family = socket.AF_INET6 if ":" in towards else socket.AF_INET
            return socket.socket(family, socket.SOCK_DGRAM)


@contextlib.contextmanager
def _namespaces(*roles: str) -> Iterator[tuple[str, list[str]]]:
    """Yields a tag of this test, and makes a namespace for each role; needs root and iproute2."""
    if os.getuid() != 0:
        pytest.skip("network namespaces need root")
    tag = f"l4t{os.getpid() % 100_000:x}{os.urandom(1).hex()}"
    names = [f"{tag}{role}" for role in roles]
    try:
        for name in names:
            try:
                _ip("netns", "add", name)
            except (FileNotFoundError, subprocess.CalledProcessError) as error:
                pytest.skip(f"no network namespaces here: {error}")
            _ip("-n", name, "link", "set", "lo", "up")
            # why: a router asks for neighbours of foreign addresses from its link-local address. It
            # does not use that before duplicate detection has ended, which takes a second or two.
            with in_namespace(name):
                Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
        yield tag, names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _address(name: str, link: str, *addresses: str) -> None:
    for address in addresses:
        bits, more = ("64", ["nodad"]) if ":" in address else ("24", [])
        _ip("-n", name, "addr", "add", f"{address}/{bits}", "dev", link, *more)
    _ip("-n", name, "link", "set", link, "up")


@contextlib.contextmanager
def two_hosts(server: Sequence[str], client: str) -> Iterator[Hosts]:
    """Yields a server with these addresses, and a client with that address."""
    with _namespaces("s", "c") as (tag, names):
        hosts = Hosts(*names)
        _ip("link", "add", f"{tag}0", "netns", hosts.server, "type", "veth",
            "peer", "name", f"{tag}1", "netns", hosts.client)  # fmt: skip
        _address(hosts.server, f"{tag}0", *server)
        _address(hosts.client, f"{tag}1", client)
        yield hosts


@dataclass
class Route:
    """A client, a router, and a backend behind the router, each in a namespace. Addresses: 10.1.0.2
    - 10.1.0.1, 10.2.0.1 - 10.2.0.2, and likewise in fd01:: and fd02::. The router's interfaces are
    named front and back."""

    client: str
    router: str
    backend: str

    @property
    def prefix(self) -> list[str]:
        """The prefix of commands that run on the router."""
        return ["ip", "netns", "exec", self.router]

    def run(self, *command: str, text: str = "") -> None:
        """Runs a command on the router. Raises subprocess.CalledProcessError."""
        done = [*self.prefix, *command]
        subprocess.run(done, check=True, capture_output=True, text=True, input=text, timeout=20)


@contextlib.contextmanager
def routed() -> Iterator[Route]:
    """Yields a client and a backend that reach each other through a router."""
    with _namespaces("c", "r", "b") as (_, names):
        route = Route(*names)
        for net, host, there in ((1, route.client, "front"), (2, route.backend, "back")):
            _ip("link", "add", "eth0", "netns", host, "type", "veth",
                "peer", "name", there, "netns", route.router)  # fmt: skip
            _address(host, "eth0", f"10.{net}.0.2", f"fd0{net}::2")
            _address(route.router, there, f"10.{net}.0.1", f"fd0{net}::1")
            _ip("-n", host, "route", "add", "default", "via", f"10.{net}.0.1")
            _ip("-n", host, "route", "add", "default", "via", f"fd0{net}::1")
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            route.run("sysctl", "-qw", f"{key}=1")
        yield route
