"""Wide ranges of ports: one listening socket for each worker takes the clients of all ports. Server
and client are in network namespaces of their own."""

from __future__ import annotations

import contextlib
import copy
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from l4lb.errors import L4lbError
from l4lb.packet import listening, look_program

from ..harness import PATIENCE_S, kill_and_wait, one_pool, until
from ..harness.netns import Hosts, in_namespace, two_hosts
from ..reload.test_reload import Service

HOST, CLIENT, V6 = "10.7.0.1", "10.7.0.2", "fd07::1"
GREETING, OTHERS = 900, 901  # ports of the two backends; each says its name and sends all back
WIDE = f"{HOST}:2000-65535"


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    try:
        look_program.load().close()
    except L4lbError as error:
        pytest.skip(error.message)
    with two_hosts([HOST, V6], CLIENT) as found, contextlib.ExitStack() as servers:
        with found.inside():
            servers.enter_context(answering("127.0.0.1", GREETING, b"web "))
            servers.enter_context(answering("127.0.0.1", OTHERS, b"one "))
        yield found


@contextlib.contextmanager
def answering(host: str, port: int, name: bytes) -> Iterator[None]:
    """A server that says its name and sends all back."""
    server = socket.create_server((host, port), backlog=256)

    def serve_one(one: socket.socket) -> None:
        with one, contextlib.suppress(OSError):
            one.sendall(name)
            while data := one.recv(4096):
                one.sendall(data)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = server.accept()
                threading.Thread(target=serve_one, args=(one,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield
    with contextlib.suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)
    server.close()


def balancer(hosts: Hosts, *binds: str, packet: bool = True, **process: Any) -> Service:
    own = {"workers": 2, **process}
    if packet:
        own["packet"] = {"interfaces": ["lo"], "shield": "off"}
    config = one_pool(binds or [WIDE], [f"127.0.0.1:{GREETING}"], process=own)
    config["pools"]["one"] = {"backends": [f"127.0.0.1:{OTHERS}"]}
    lb = Service(config)
    lb.command = [*hosts.prefix, *lb.command]
    return lb


def changed(lb: Service) -> dict[str, Any]:
    """Returns a copy of the configuration."""
    assert lb.config is not None
    return copy.deepcopy(lb.config)


def called(hosts: Hosts, port: int, host: str = HOST) -> socket.socket:
    with in_namespace(hosts.client):
        client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    client.settimeout(PATIENCE_S)
    try:
        client.connect((host, port))
    except BaseException:
        client.close()
        raise
    return client


def who(hosts: Hosts, port: int, host: str = HOST) -> str:
    """Returns the backend that a new client of this port meets; "": the client is refused."""
    try:
        with called(hosts, port, host) as client:
            return client.recv(4).decode().strip()
    except ConnectionRefusedError:
        return ""


def listens(hosts: Hosts, *, at: str = HOST) -> list[int]:
    """Returns the port of each socket that listens at an address of the server."""
    with hosts.inside():
        return sorted(bound.port for one in listening.sockets() for bound in one.at[:1]
                      if bound.host == at)  # fmt: skip


class Knocking:
    """Clients that come one after the other to these ports until the end of the block. One that is
    not served fails the block."""

    def __init__(self, hosts: Hosts, *ports: int) -> None:
        self._hosts, self._ports = hosts, ports
        self._ends = threading.Event()
        self.served, self.slowest_s = 0, 0.0
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ends.is_set():
            for port in self._ports:
                began = time.monotonic()
                try:
                    assert who(self._hosts, port) == "web"
                    self.served += 1
                except Exception as error:
                    self.failures.append(f"{port}: {error!r}")
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def more(self) -> None:
        """Waits until more clients were served."""
        goal = self.served + 10
        until(lambda: self.served >= goal or self.failures, "more clients are served")

    def __enter__(self) -> Knocking:
        self._thread.start()
        self.more()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        assert not self.failures


# ---- who is served -------------------------------------------------------------------------------


def test_two_sockets_take_the_clients_of_all_ports(hosts: Hosts, tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = {"access": str(path)}
    with balancer(hosts, f"{HOST}:2000-65000", f"[{V6}]:3000-4000", log=log) as lb:
        assert listens(hosts) == [2000, 2000]
        for port in (2000, 2001, 32768, 64999, 65000):
            assert who(hosts, port) == "web"
        for port in (1999, 65001):
            assert who(hosts, port) == ""
        with in_namespace(hosts.server):
            assert socket.create_connection((V6, 3999), PATIENCE_S).recv(4) == b"web "
        rows = {row["bind"]: row["accepted"] for row in lb.ask("listeners")}
        assert rows == {f"{HOST}:2000-65000": 5, f"[{V6}]:3000-4000": 1}
        (serving,) = [line for line in lb.log().splitlines() if " serving " in line]
        assert f"{HOST}:2000-65000" in serving
        with called(hosts, 4711) as client:
            assert client.recv(4) == b"web "
            (session,) = lb.ask("sessions")
            assert session["port"] == 4711
        until(lambda: path.exists() and " port=4711" in path.read_text(), "the session's line")


def test_clients_are_shared_out_over_the_workers_and_workers_come_and_go(hosts: Hosts) -> None:
    with balancer(hosts) as lb:
        with contextlib.ExitStack() as clients:
            for port in range(3000, 3040):
                clients.enter_context(called(hosts, port)).recv(4)
            assert min(lb.active()) >= 8
        config = changed(lb)
        with Knocking(hosts, 2000, 40_000) as knocking:
            for workers in (3, 1, 2):
                config["process"]["workers"] = workers
                lb.reload(config)
                until(lambda count=workers: listens(hosts) == [2000] * count, "as many sockets")
                knocking.more()
        pid = lb.kill(1)
        assert [who(hosts, port) for port in range(5000, 5020)] == ["web"] * 20
        lb.wait_for_new_worker(1, pid)


def test_a_socket_that_is_really_bound_has_its_clients(hosts: Hosts) -> None:
    with balancer(hosts) as lb:
        config = changed(lb)
        assert who(hosts, 9000) == "web"
        config["listeners"]["one"] = {"bind": [f"{HOST}:9000"], "pool": "one"}
        lb.reload(config)
        assert who(hosts, 9000) == "one"
        del config["listeners"]["one"]
        lb.reload(config)
        assert who(hosts, 9000) == "web"
        with contextlib.ExitStack() as other:
            with hosts.inside():
                other.enter_context(answering("0.0.0.0", 9001, b"sshd"))
            until(lambda: who(hosts, 9001) == "sshd", "the other program has its clients")
            assert who(hosts, 9002) == "web"
        until(lambda: who(hosts, 9001) == "web", "the range has the port again")


# ---- changes -------------------------------------------------------------------------------------


def test_a_range_grows_moves_and_becomes_narrow_and_nobody_is_lost(hosts: Hosts) -> None:
    with balancer(hosts, f"{HOST}:7000-7999") as lb, Knocking(hosts, 7040) as knocking:
        config = changed(lb)
        web = config["listeners"]["web"]
        for span in ("7000-8999", "6000-7999", "7000-7050", "7040-7999"):
            web["bind"] = [f"{HOST}:{span}"]
            lb.reload(config)
            knocking.more()
            first, last = map(int, span.split("-"))
            ports = [first] if last - first > 64 else [*range(first, last + 1)]
            expected = sorted(ports * 2)
            until(lambda wanted=expected: listens(hosts) == wanted, "these sockets listen")
            assert [who(hosts, first), who(hosts, last)] == ["web"] * 2
            assert who(hosts, last + 1) == ""


def test_an_upgrade_hands_the_range_over(hosts: Hosts) -> None:
    with balancer(hosts) as lb, called(hosts, 7001) as client, Knocking(hosts, 7000) as knocking:
        assert client.recv(4) == b"web "
        lb.admin("upgrade")
        knocking.more()
        client.sendall(b"more")
        assert client.recv(4) == b"more"


def test_a_service_without_rights_follows_a_reload(hosts: Hosts) -> None:
    with balancer(hosts, user="nobody") as lb:
        config = changed(lb)
        config["listeners"]["web"]["bind"] = [f"{HOST}:2000-3000", f"{HOST}:5000-5999"]
        lb.reload(config)
        served = [who(hosts, port) for port in (3000, 3001, 5000, 5999)]
        assert served == ["web", "", "web", "web"]


def test_a_range_that_was_bound_port_by_port_is_bound_as_a_whole_after_an_upgrade(
    hosts: Hosts,
) -> None:
    with balancer(hosts, f"{HOST}:7000-7064", packet=False) as lb:
        assert listens(hosts) == sorted([*range(7000, 7065)] * 2)
        config = changed(lb)
        config["process"]["packet"] = {"interfaces": ["lo"], "shield": "off"}
        lb.reload(config)
        with called(hosts, 7001) as client, Knocking(hosts, 7000, 7050) as knocking:
            assert client.recv(4) == b"web "
            pids = lb.pids()
            lb.admin("upgrade")
            until(lambda: listens(hosts) == [7000, 7000], "one port has sockets")
            until(lambda: not any(map(has_process, pids)), "all sessions have moved")
            knocking.more()
            client.sendall(b"more")
            assert client.recv(4) == b"more"
            assert who(hosts, 7064) == "web"
            del config["process"]["packet"]
            lb.reload(config)
            lb.admin("upgrade")
            until(lambda: len(listens(hosts)) == 130, "each port has sockets")
            knocking.more()


def has_process(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_the_range_ends_with_the_supervisor_however_that_ends(hosts: Hosts) -> None:
    with balancer(hosts) as lb:
        assert who(hosts, 7001) == "web"
        for process in sorted(lb.processes(), key=lambda one: one.pid != lb.process.pid):
            kill_and_wait(process.pid)
    assert who(hosts, 7001) == ""
    with balancer(hosts) as lb:
        assert who(hosts, 7001) == "web"
    assert who(hosts, 7001) == ""


def test_without_the_right_to_load_a_program_each_port_has_its_sockets(hosts: Hosts) -> None:
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is missing")
    lb = balancer(hosts, f"{HOST}:7000-7069")
    without = "-bpf,-perfmon,-net_admin,-sys_admin"
    lb.command = [*hosts.prefix, "setpriv", "--bounding-set", without, *lb.command[4:]]
    with lb:
        assert listens(hosts) == sorted([*range(7000, 7070)] * 2)
        assert who(hosts, 7069) == "web"
        lb.reload(changed(lb) | {"limits": {"max_connections": 1000}})
        said = [line for line in lb.log().splitlines() if "sockets of its own" in line]
        assert len(said) == 1
        assert "CAP_BPF" in said[0]
        config = changed(lb)
        config["listeners"]["web"]["bind"] = [WIDE]
        lb.write(config)
        assert "each port of a range has its own here" in lb.refused("reload")[1]
