"""Hosts that vanish silently: in a network namespace, nftables drops every packet to a backend, as
if its host were dead."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ..harness import PORTS, Balancer, program, until

SERVER = """
import socket
sock = socket.create_server(("127.0.0.1", {port}))
while True:
    one, _ = sock.accept()
    try:
        one.sendall(b"{name}\\n")
    except OSError:
        pass  # a check has gone again
    one.close()
"""


class Namespace:
    """A network namespace with a loopback, servers in it, and a rule that drops packets."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._servers: list[subprocess.Popen[bytes]] = []
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)

    def inside(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def serve(self, name: str, port: int) -> None:
        code = SERVER.format(port=port, name=name)
        self._servers.append(subprocess.Popen(self.inside("python3", "-c", code)))

    def drop(self, port: int) -> None:
        """Drops every packet to and from this port from now on."""
        for rule in (
            ["add", "table", "inet", "t"],
            ["add", "chain", "inet", "t", "in", "{ type filter hook input priority 0; }"],
            ["add", "rule", "inet", "t", "in", "tcp", "dport", str(port), "drop"],
            ["add", "rule", "inet", "t", "in", "tcp", "sport", str(port), "drop"],
        ):
            subprocess.run(self.inside("nft", *rule), check=True)

    def client(self, port: int) -> str:
        """Returns what a client inside receives; "" for nothing."""
        code = (
            f"import socket; s = socket.create_connection(('127.0.0.1', {port}), 20); "
            "s.settimeout(20); print(s.recv(10).decode().strip())"
        )
        done = subprocess.run(
            self.inside("python3", "-c", code), capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    def close(self) -> None:
        for server in self._servers:
            server.kill()
            server.wait(20)
        subprocess.run(["ip", "netns", "del", self.name], check=False)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    if os.getuid() != 0:
        pytest.skip("network namespaces need root")
    for tool in ("ip", "nft"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    try:
        one = Namespace(f"l4lb-{os.getpid()}")
    except subprocess.CalledProcessError:
        pytest.skip("network namespaces cannot be made here")
    yield one
    one.close()


def balancer(namespace: Namespace, front: int, ports: dict[str, int], **pool: Any) -> Balancer:
    backends = [{"name": n, "address": f"127.0.0.1:{port}"} for n, port in ports.items()]
    config = {
        "process": {"workers": 1},
        "listeners": {"web": {"bind": [f"127.0.0.1:{front}"], "pool": "web"}},
        "pools": {"web": {"backends": backends, **pool}},
    }
    # The admin socket is a file, so it can be reached from outside of the namespace too.
    return Balancer(config, command=namespace.inside(*program()))


def test_a_silent_host_is_down_after_fall_timeouts(
    namespace: Namespace,
) -> None:
    ports = {"a": PORTS.take(), "b": PORTS.take()}
    front = PORTS.take()
    for name, port in ports.items():
        namespace.serve(name, port)
    health = {"interval": "200ms", "timeout": "300ms", "rise": 1, "fall": 3, "jitter": "0%"}
    with balancer(namespace, front, ports, health=health, connect_timeout="1s") as lb:
        until(lambda: {one["health"] for one in lb.ask("backends")} == {"up"}, "both are up")
        namespace.drop(ports["b"])
        dropped_ms = time.monotonic_ns() // 1_000_000
        until(lambda: lb.backends()["b"]["health"] == "down", "b is down")
        told = lb.ask("events")[-1]
        assert (told["kind"], told["result"], told["in_a_row"]) == ("backend_down", "timeout", 3)
        # fall x (interval + timeout), and a margin for a busy machine.
        assert told["at_ms"] - dropped_ms <= 3 * (200 + 300) + 2_000
        assert [namespace.client(front) for _ in range(4)] == ["a"] * 4


def test_without_checks_clients_attempts_eject_it_and_none_of_them_sees_it(
    namespace: Namespace,
) -> None:
    ports = {"a": PORTS.take(), "b": PORTS.take()}
    front = PORTS.take()
    for name, port in ports.items():
        namespace.serve(name, port)
    passive = {"failures": 3, "eject": "1h", "max_eject": "1h"}
    with balancer(namespace, front, ports, passive=passive, connect_timeout="200ms") as lb:
        until(lambda: namespace.client(front), "it serves")
        namespace.drop(ports["b"])
        heard = [namespace.client(front) for _ in range(8)]
        assert heard == ["a"] * 8
        row = lb.backends()["b"]
        assert (row["health"], row["connect_errors"]) == ("ejected", 3)
        assert row["passive"]["error"] == "Connection timed out"
