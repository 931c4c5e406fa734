"""Sockets that a service manager made: listeners take them by name, and nobody binds anything."""

from __future__ import annotations

import sys
from pathlib import Path

from .harness import PORTS, Backends, Balancer, names, program
from .harness.datagrams import UdpBackends, ask, clients

MANAGER = """#!{python}
import os, socket, sys
made = []
STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
for kind, port in ((STREAM, {tcp}), (DGRAM, {udp}), (STREAM, 0)):
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(("127.0.0.1", port))
    if kind == socket.SOCK_STREAM:
        sock.listen(64)
    made.append(os.dup(sock.fileno()))
    sock.close()
high = [os.dup2(fd, 100 + at) for at, fd in enumerate(made)]
for at, fd in enumerate(high):
    os.dup2(fd, 3 + at, inheritable=True)
    os.close(fd)
os.environ.update(LISTEN_FDS="3", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="web:dns:nobody")
os.execv("{real}", ["{real}", *sys.argv[1:]])
"""


def test_tcp_and_udp_listeners_serve_on_the_sockets_that_were_passed(tmp_path: Path) -> None:
    tcp, udp = PORTS.take(), PORTS.take()
    manager = tmp_path / "manager"
    manager.write_text(MANAGER.format(python=sys.executable, tcp=tcp, udp=udp, real=program()[0]))
    manager.chmod(0o755)
    with Backends(2) as streams, UdpBackends(2, "name") as datagrams:
        config = {
            "process": {"workers": 2},
            "listeners": {
                "web": {"bind": [f"127.0.0.1:{tcp}"], "pool": "web"},
                "dns": {"bind": [f"127.0.0.1:{udp}"], "protocol": "udp", "pool": "dns"},
            },
            "pools": {
                "web": {"backends": streams.rows()},
                "dns": {"backends": datagrams.rows()},
            },
        }
        with Balancer(config, command=[str(manager)]) as lb:
            assert names(lb, 8) == {"a": 4, "b": 4}
            with clients(lb, 12, at=("127.0.0.1", udp)) as all_clients:
                first = [ask(client)[:1] for client in all_clients]
                assert set(first) == {b"a", b"b"}
                for _ in range(3):
                    assert [ask(client)[:1] for client in all_clients] == first
            assert "a passed socket is of no listener" in lb.log()
