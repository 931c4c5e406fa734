"""Network namespaces that a test makes itself: a host with several addresses, and one beside it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True, text=True)


@contextlib.contextmanager
def in_namespace(name: str) -> Iterator[None]:
    """This thread is in the namespace; sockets made meanwhile stay there."""
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
    """Two namespaces with a cable between them."""

    server: str
    client: str

    @property
    def prefix(self) -> list[str]:
        """How a command is started on the server."""
        return ["ip", "netns", "exec", self.server]

    def inside(self) -> contextlib.AbstractContextManager[None]:
        """On the server."""
        return in_namespace(self.server)

    def client_socket(self, towards: str) -> socket.socket:
        """A UDP socket on the client."""
        with in_namespace(self.client):
            family = socket.AF_INET6 if ":" in towards else socket.AF_INET
            return socket.socket(family, socket.SOCK_DGRAM)


@contextlib.contextmanager
def two_hosts(server: Sequence[str], client: str) -> Iterator[Hosts]:
    """A server with these addresses and a client with that one; needs root and iproute2."""
    if os.getuid() != 0:
        pytest.skip("network namespaces need root")
    tag = f"l4t{os.getpid() % 100_000:x}{os.urandom(1).hex()}"
    hosts = Hosts(f"{tag}s", f"{tag}c")
    try:
        try:
            _ip("netns", "add", hosts.server)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no network namespaces here: {error}")
        _ip("netns", "add", hosts.client)
        _ip("link", "add", f"{tag}0", "netns", hosts.server, "type", "veth",
            "peer", "name", f"{tag}1", "netns", hosts.client)  # fmt: skip
        for name, link, addresses in (
            (hosts.server, f"{tag}0", server),
            (hosts.client, f"{tag}1", [client]),
        ):
            _ip("-n", name, "link", "set", "lo", "up")
            for address in addresses:
                bits, more = ("64", ["nodad"]) if ":" in address else ("24", [])
                _ip("-n", name, "addr", "add", f"{address}/{bits}", "dev", link, *more)
            _ip("-n", name, "link", "set", link, "up")
        yield hosts
    finally:
        for name in (hosts.server, hosts.client):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
