"""Socket options of listeners and pools as the kernel has them: the test copies the workers' own
sockets (pidfd_getfd) and reads the options."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import os
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ..harness import (
    PATIENCE_S,
    PORTS,
    Backends,
    Balancer,
    one_pool,
    program,
    run,
    toml,
    turned_away,
    until,
)
from ..harness.netns import in_namespace, two_hosts
from ..reload.test_reload import Service

SYS_PIDFD_GETFD = 438
IPPROTO_MPTCP = 262
_libc = ctypes.CDLL(None, use_errno=True)

TCP_OPTIONS = {
    "mark": (socket.SOL_SOCKET, socket.SO_MARK),
    "tos": (socket.IPPROTO_IP, socket.IP_TOS),
    "keepalive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "idle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "interval": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    "probes": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    "user_timeout": (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    "protocol": (socket.SOL_SOCKET, socket.SO_PROTOCOL),
}


def sockets_of(pid: int) -> Iterator[socket.socket]:
    """Yields the sockets of a process."""
    pidfd = os.pidfd_open(pid)
    with contextlib.closing(os.fdopen(pidfd)):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                    continue
                fd = _libc.syscall(SYS_PIDFD_GETFD, pidfd, int(name), 0)
                if fd < 0:
                    pytest.skip("this user may not look into its own processes (pidfd_getfd)")
                with socket.socket(fileno=fd) as sock:
                    yield sock


def connections(lb: Balancer, peer: tuple[str, int]) -> Iterator[socket.socket]:
    """Yields the workers' sockets that are connected to this peer."""
    for row in lb.ask("workers"):
        for sock in sockets_of(row["pid"]):
            with contextlib.suppress(OSError):  # a listening socket has no peer
                if sock.family == socket.AF_INET and sock.getpeername() == peer:
                    yield sock


def asked(sock: socket.socket, level: int, option: int) -> int | None:
    """Returns the option's value in the kernel; None if this kind of socket does not have it."""
    try:
        return sock.getsockopt(level, option)
    except OSError:
        return None


def options(lb: Balancer, peer: tuple[str, int]) -> dict[str, Any]:
    """Returns the options of the one connection with this peer, its interface included."""
    (found,) = (
        {name: asked(sock, *option) for name, option in TCP_OPTIONS.items()}
        | {"interface": sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)}
        for sock in connections(lb, peer)
    )
    return found | {"interface": found["interface"].rstrip(b"\0").decode()}


def exactly(sock: socket.socket, count: int) -> bytes:
    """Reads this number of bytes, or fewer if the peer has ended."""
    data = bytearray()
    while len(data) < count and (more := sock.recv(count - len(data))):
        data += more
    return bytes(data)


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with Backends(1, mode="echo") as running:
        yield running


def session(lb: Balancer, port: int) -> tuple[socket.socket, dict[str, Any], dict[str, Any]]:
    """Yields a client, and the options of both sides of its session."""
    client = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    client.sendall(b"hello")
    assert exactly(client, 7) == b"a\nhello"
    found = options(lb, client.getsockname())
    backend = next(row["address"] for row in lb.ask("backends"))
    host, _, at = backend.rpartition(":")
    return client, found, options(lb, (host, int(at)))


def front_port(config: dict[str, Any]) -> int:
    return int(config["listeners"]["web"]["bind"][0].rpartition(":")[2])


def test_both_sides_have_the_options_that_are_configured(backends: Backends) -> None:
    listener = {
        "dscp": "ef", "interface": "lo", "user_timeout": "30s",
        "keepalive": {"idle": "61s", "interval": "11s", "probes": 5},
    }  # fmt: skip
    pool: dict[str, Any] = {"dscp": 8, "keepalive": "2m", "user_timeout": "7s", "interface": "lo"}
    if os.getuid() == 0:
        listener["mark"], pool["mark"] = 7, 0xFFFFFFFF
    with Service.before(backends.rows(), **pool) as lb:
        assert isinstance(lb, Service)
        assert lb.config is not None
        config = copy.deepcopy(lb.config)
        config["listeners"]["web"] |= listener
        lb.reload(config)
        client, front, back = session(lb, front_port(config))
        with client:
            assert (front["tos"], front["interface"], front["user_timeout"]) == (0xB8, "lo", 30_000)
            assert front["keepalive"] == 1
            assert (front["idle"], front["interval"], front["probes"]) == (61, 11, 5)
            assert (back["tos"], back["interface"], back["user_timeout"]) == (0x20, "lo", 7_000)
            assert (back["keepalive"], back["idle"]) == (1, 120)
            if os.getuid() == 0:
                assert (front["mark"], back["mark"] & 0xFFFFFFFF) == (7, 0xFFFFFFFF)


def test_a_reload_changes_them_for_new_connections_and_takes_them_away_again(
    backends: Backends,
) -> None:
    with Service.before(backends.rows()) as lb:
        assert isinstance(lb, Service)
        assert lb.config is not None
        plain = copy.deepcopy(lb.config)
        port = front_port(plain)
        client, *usual = session(lb, port)
        client.close()
        until(lambda: not lb.ask("sessions"), "it has ended")
        other = copy.deepcopy(plain)
        other["listeners"]["web"] |= {"dscp": "cs1", "keepalive": "9s", "user_timeout": "1s"}
        other["pools"]["web"] |= {"dscp": "af41", "keepalive": "8s"}
        lb.reload(other)
        first, front, back = session(lb, port)
        with first:
            assert (front["tos"], front["idle"], front["user_timeout"]) == (0x20, 9, 1_000)
            assert (back["tos"], back["idle"]) == (0x88, 8)
            lb.reload(plain)
            first.sendall(b"still")
            assert exactly(first, 5) == b"still"
            assert options(lb, first.getsockname()) == front
        until(lambda: not lb.ask("sessions"), "it has ended")
        second, *now = session(lb, port)
        with second:
            assert now == usual


def test_they_hold_for_the_sockets_of_workers_that_come_later_and_after_an_upgrade(
    backends: Backends,
) -> None:
    with Service.before(backends.rows(), workers=1, dscp="ef") as lb:
        assert isinstance(lb, Service)
        assert lb.config is not None
        config = copy.deepcopy(lb.config)
        config["listeners"]["web"]["dscp"] = "cs2"
        lb.reload(config)
        lb.admin("upgrade")
        config["process"]["workers"] = 3
        lb.reload(config)
        until(lambda: len(lb.ask("workers")) == 3, "three workers")
        for _ in range(12):
            client, front, back = session(lb, front_port(config))
            with client:
                assert (front["tos"], back["tos"]) == (0x40, 0xB8)
            until(lambda: not lb.ask("sessions"), "it has ended")


def test_what_the_kernel_refuses_is_said_with_its_key_and_nothing_starts() -> None:
    config = one_pool(f"127.0.0.1:{PORTS.take()}", ["127.0.0.1:1"], process={"workers": 1})
    config["listeners"]["web"]["interface"] = "no-such-if0"
    done = run_config(config)
    assert done.returncode == 1
    assert "listeners.web: cannot set interface: No such device" in done.stderr


def test_a_host_without_mptcp_says_so_at_the_start() -> None:
    config = one_pool("10.99.0.1:8080", ["10.99.0.9:9000"], process={"workers": 1})
    config["listeners"]["web"]["mptcp"] = True
    with two_hosts(["10.99.0.1"], "10.99.0.9") as hosts:
        off = [*hosts.prefix, "sysctl", "-qw", "net.mptcp.enabled=0"]
        if subprocess.run(off, check=False, capture_output=True, timeout=20).returncode:
            pytest.skip("this kernel has no MPTCP")
        done = run_config(config, hosts.prefix)
    assert done.returncode == 1
    assert "cannot listen on 10.99.0.1:8080" in done.stderr
    assert "net.mptcp.enabled=1" in done.stderr


def run_config(config: dict[str, Any], prefix: Sequence[str] = ()) -> Any:
    """Runs `l4lb run` with a configuration that must fail at once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "l4lb.toml"
        path.write_text(toml(config | {"process": {"admin": f"{folder}/admin.sock"}}))
        return run("run", "-c", str(path), command=[*prefix, *program()])


# ---- more ways than one --------------------------------------------------------------------------


def mptcp_client(port: int) -> socket.socket:
    try:
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    except OSError as error:
        pytest.skip(f"this kernel has no MPTCP: {error}")
    client.settimeout(PATIENCE_S)
    client.connect(("127.0.0.1", port))
    return client


def test_mptcp_clients_are_served_as_such_and_others_as_ever(backends: Backends) -> None:
    with Service.before(backends.rows()) as lb:
        assert isinstance(lb, Service)
        assert lb.config is not None
        config = copy.deepcopy(lb.config)
        port = PORTS.take()
        config["listeners"]["many"] = {
            "bind": [f"127.0.0.1:{port}"], "pool": "web", "mptcp": True, "dscp": "ef",
            "keepalive": "33s",
        }  # fmt: skip
        lb.reload(config)
        sent = os.urandom(3 << 20)
        with mptcp_client(port) as client:
            assert exactly(client, 2) == b"a\n"
            received = bytearray()
            for at in range(0, len(sent), 1 << 16):
                client.sendall(sent[at : at + (1 << 16)])
                received += exactly(client, len(sent[at : at + (1 << 16)]))
            assert bytes(received) == sent
            front = options(lb, client.getsockname())
            assert (front["protocol"], front["idle"]) == (IPPROTO_MPTCP, 33)
        until(lambda: lb.total("active") == 0, "the first session has ended")
        plain, front, _ = session(lb, port)
        with plain:
            assert (front["protocol"], front["tos"]) == (socket.IPPROTO_TCP, 0xB8)
        config["listeners"]["many"]["mptcp"] = False
        lb.write(config)
        _, why = lb.refused("reload")
        assert "listeners.many.mptcp: cannot be changed while" in why


# ---- local addresses -----------------------------------------------------------------------------


def test_several_sources_serve_more_connections_than_one_has_ports() -> None:
    """On a host with 16 local ports, two addresses carry 32 connections to one backend."""
    with two_hosts(["10.99.0.1", "10.99.0.2"], "10.99.0.9") as hosts:
        ports = ["sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40015"]
        subprocess.run([*hosts.prefix, *ports], check=True, timeout=20)
        with in_namespace(hosts.client):
            server = socket.create_server(("10.99.0.9", 9000), backlog=64)
        config = one_pool(
            "10.99.0.1:8080", ["10.99.0.9:9000"], process={"workers": 1},
            source=["10.99.0.1", "10.99.0.2"], retries=0,
        )  # fmt: skip
        lb = Service(config)
        lb.command = [*hosts.prefix, *lb.command]
        with contextlib.ExitStack() as held, lb:
            held.enter_context(server)
            server.settimeout(PATIENCE_S)
            peers: Counter[str] = Counter()

            def connect() -> socket.socket:
                with in_namespace(hosts.client):
                    client = held.enter_context(socket.socket())
                client.settimeout(PATIENCE_S)
                client.bind(("10.99.0.9", 0))
                client.connect(("10.99.0.1", 8080))
                return client

            for _ in range(32):
                connect()
                one, peer = server.accept()
                held.enter_context(one)
                peers[peer[0]] += 1
            assert peers == {"10.99.0.1": 16, "10.99.0.2": 16}
            with pytest.raises(ConnectionResetError):  # the 33rd connection finds no port
                connect().recv(1)
            row = lb.ask("backends")[0]
            assert (row["active"], row["total"], row["connect_errors"]) == (32, 32, 0)


def test_each_source_is_used_and_only_for_its_family(backends: Backends) -> None:
    sources = ["127.0.0.2", "::1", "127.0.0.3"]
    with Service.before(backends.rows(), source=sources) as lb:
        assert lb.config is not None
        seen = set()
        for _ in range(40):
            with socket.create_connection(("127.0.0.1", front_port(lb.config))) as client:
                client.settimeout(PATIENCE_S)
                assert exactly(client, 2) == b"a\n"
                peer = ("127.0.0.1", backends.ports["a"])
                seen |= {sock.getsockname()[0] for sock in connections(lb, peer)}
        assert seen == {"127.0.0.2", "127.0.0.3"}


def test_a_source_that_this_host_does_not_have_is_told_at_the_start(backends: Backends) -> None:
    with Balancer.before(backends.rows(), source="192.0.2.77") as lb:
        assert "not an address of this host" in lb.log()
        assert "192.0.2.77" in lb.log()
        assert turned_away(lb)  # and not served from another address
        assert lb.ask("stats")["ended"] == {"connect_failed": 1}
