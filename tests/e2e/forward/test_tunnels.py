"""CONNECT: who may, where to, and what becomes of the tunnel."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..harness import Backends, Balancer, send_signal, until
from ..harness.http import Peer
from .proxy import Tunnel, lines, proxy


@pytest.fixture(scope="module")
def echo() -> Iterator[Backends]:
    with Backends(1, "quiet") as backends:
        yield backends


def address(echo: Backends) -> str:
    return str(echo.rows()[0]["address"])


def test_a_tunnel_carries_all_bytes_and_has_one_line_at_its_end(
    echo: Backends, tmp_path: Path
) -> None:
    log = tmp_path / "access"
    with proxy(log=log) as lb:
        with Tunnel(lb, address(echo), early=b"early") as tunnel:
            assert tunnel.status == 200
            assert tunnel.read(5) == b"early"
            assert tunnel.echoes(b"x" * 100_000)
            assert not log.exists() or not log.read_text()
        [line] = lines(log)
    assert line["method"] == "CONNECT"
    assert line["status"] == 200
    assert line["rule"] == "all"
    assert line["address"] == address(echo)
    assert line["request_bytes"] == line["answer_bytes"] == 100_005
    assert line["pool"] == "forward:office"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("127.0.0.1:1", 502),  # nobody listens there
        ("0x7f.1:80", 400),
        ("2130706433:80", 400),
        ("127.0.0.1:0", 400),
        ("127.0.0.1", 400),
        ("user@127.0.0.1:80", 400),
    ],
)
def test_what_cannot_be_reached_and_what_is_no_host(target: str, status: int) -> None:
    with proxy() as lb, Tunnel(lb, target) as tunnel:
        assert tunnel.status == status


INSIDE = [
    "127.0.0.1",
    "10.1.2.3",
    "169.254.169.254",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::1]",
    "0.0.0.0",
    "[fe80::1]",
]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Balancer]:
    with proxy(inside=False) as lb:
        yield lb


@pytest.mark.parametrize("host", INSIDE)
def test_nobody_gets_inside_unless_that_is_allowed(guarded: Balancer, host: str) -> None:
    with Tunnel(guarded, f"{host}:80") as tunnel:
        assert tunnel.status == 403


def test_ports_are_those_that_are_allowed(echo: Backends) -> None:
    with proxy(connect_ports=[443]) as lb, Tunnel(lb, address(echo)) as tunnel:
        assert tunnel.status == 403


def test_a_request_of_a_web_server_is_told_so() -> None:
    with proxy() as lb, Peer(lb.connect()) as peer:
        peer.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert peer.answer("GET").status == 400


def test_curl_goes_through(echo: Backends, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    del echo
    with proxy() as lb:
        host, port = lb.address
        command = ["curl", "-sS", "-p", "-x", f"http://{host}:{port}", "telnet://127.0.0.1:1"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert "502" in ran.stderr


def test_tunnels_go_on_without_the_policy_process(echo: Backends) -> None:
    with proxy() as lb, Tunnel(lb, address(echo)) as tunnel:
        assert tunnel.echoes(b"before")
        policy = lb.child("policy")
        send_signal(policy.pid, signal.SIGKILL)
        assert tunnel.echoes(b"after")
        with Tunnel(lb, address(echo)) as other:  # what was answered is remembered
            assert other.echoes(b"other")
        until(lambda: lb.child("policy").pid != policy.pid, "another one is there")
        with Tunnel(lb, "127.0.0.1:1") as new:
            assert new.status == 502


def test_a_tunnel_is_handed_over_at_an_upgrade(echo: Backends, tmp_path: Path) -> None:
    log = tmp_path / "access"
    with proxy(log=log) as lb, Tunnel(lb, address(echo)) as tunnel:
        assert tunnel.echoes(b"before")
        lb.admin("upgrade")
        assert tunnel.echoes(b"after")
        with Tunnel(lb, address(echo)) as other:
            assert other.echoes(b"other")
