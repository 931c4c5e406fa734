"""Every kind of address that a listener or a backend can have."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

from ..harness import PORTS, Backends, Balancer, Door, echo, one_pool, until
from ..harness.load import read_line


def talk(address: tuple[str, int] | str) -> str:
    """Connects and echoes some bytes. Returns the name of the backend."""
    family = socket.AF_UNIX if isinstance(address, str) else None
    if family:
        client = socket.socket(family)
        client.settimeout(20)
        client.connect(address)
    else:
        assert not isinstance(address, str)
        client = socket.create_connection(address, timeout=20)
    with client:
        name = read_line(client)
        echo(client, 1, 100_000)
    return name


def test_a_unix_socket_listener_serves_with_two_workers(tmp_path: Path, three: Backends) -> None:
    path = str(tmp_path / "front.sock")
    with Balancer(one_pool(f"unix:{path}", three.rows(), process={"workers": 2})) as lb:
        assert stat.S_ISSOCK(Path(path).stat().st_mode)
        assert {talk(path) for _ in range(12)} == {"a", "b", "c"}
        assert sum(row["accepted"] for row in lb.status()["workers"]) == 12
    assert not Path(path).exists(), "the socket file outlives the program"


def test_a_unix_socket_listener_starts_over_the_file_of_a_dead_one(
    tmp_path: Path, three: Backends
) -> None:
    path = str(tmp_path / "front.sock")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)
    dead.close()
    with Balancer(one_pool(f"unix:{path}", three.rows())):
        assert talk(path) in "abc"


def test_a_unix_socket_backend_is_reached(tmp_path: Path) -> None:
    with Backends(0) as backends:
        path = str(tmp_path / "b.sock")
        backends.add("u", at=path)
        with Balancer.before([{"name": "u", "address": f"unix:{path}"}]) as lb:
            assert talk(lb.address) == "u"
            assert lb.backends()["u"]["total"] == 1


def test_an_ipv6_listener_reaches_an_ipv6_backend() -> None:
    with Backends(0) as backends:
        backends.add("six", at="::1")
        port = PORTS.take()
        row = {"name": "six", "address": f"[::1]:{backends.ports['six']}"}
        with Balancer(one_pool(f"[::1]:{port}", [row])):
            assert talk(("::1", port)) == "six"


def test_both_families_share_one_port(three: Backends) -> None:
    port = PORTS.take()
    with Balancer(one_pool([f"0.0.0.0:{port}", f"[::]:{port}"], three.rows())) as lb:
        assert talk(("127.0.0.1", port)) in "abc"
        assert talk(("::1", port)) in "abc"
        binds = {row["bind"] for row in lb.ask("listeners")}
        assert len(binds) == 2


def test_a_port_range_is_open_on_each_of_its_ports_and_no_other(three: Backends) -> None:
    first = PORTS.take(6)
    bind = f"127.0.0.1:{first + 1}-{first + 4}"
    with Balancer(one_pool(bind, three.rows())):
        for port in range(first + 1, first + 5):
            assert talk(("127.0.0.1", port)) in "abc"
        for port in (first, first + 5):
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_two_listeners_reach_their_own_pools() -> None:
    with Door() as left, Door() as right:
        config = one_pool(f"127.0.0.1:{PORTS.take()}", [left.address])
        bind = f"127.0.0.1:{PORTS.take()}"
        config["listeners"]["other"] = {"bind": [bind], "pool": "other"}
        config["pools"]["other"] = {"backends": [right.address]}
        with Balancer(config) as lb:
            for door, binds in ((left, lb.binds()), (right, lb.binds("other"))):
                host, _, port = binds[0].rpartition(":")
                with socket.create_connection((host, int(port))) as client, door.accept() as peer:
                    client.sendall(b"x")
                    assert peer.recv(1) == b"x"
            until(lambda: lb.total("active") == 0, "no session is left")
            accepted = {row["name"]: row["accepted"] for row in lb.ask("listeners")}
            assert accepted == {"web": 1, "other": 1}
