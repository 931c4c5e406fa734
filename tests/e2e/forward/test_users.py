"""Limits of each user of a forward proxy: connections and bandwidth, over all workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import Backends, Balancer, send_signal, until
from ..harness.http import answer
from ..harness.origin import Origin
from .proxy import Tunnel, ask, basic, exactly, lines, proxy
from .test_policy import users
from .test_socks import request

__all__ = ["users"]
ANN, BOB = basic("ann", "right"), basic("bob", "also right")
BODY = b"x" * (512 << 10)


@pytest.fixture(scope="module")
def echo() -> Iterator[Backends]:
    with Backends(1, "quiet") as backends:
        yield backends


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin(lambda _: answer(BODY)) as one:
        yield one


def limited(users: Path, **more: Any) -> Balancer:
    return proxy(
        auth={"htpasswd": str(users)},
        rules=[{"name": "known", "user": "*", "action": "allow"}],
        **more,
    )


def address(echo: Backends) -> str:
    return str(echo.rows()[0]["address"])


def status(lb: Balancer, target: str, user: tuple[str, str]) -> int:
    with Tunnel(lb, target, [user]) as tunnel:
        return tunnel.status


def test_a_user_has_as_many_connections_as_he_may_over_all_workers(
    users: Path, echo: Backends, tmp_path: Path
) -> None:
    log = tmp_path / "access"
    target = address(echo)
    with limited(users, connections_per_user=3, workers=2, log=log) as lb:
        held = [Tunnel(lb, target, [ANN]) for _ in range(3)]
        assert [one.status for one in held] == [200, 200, 200]
        for _ in range(4):  # why several: each worker is asked
            assert status(lb, target, ANN) == 429
        assert {line["fault"] for line in lines(log, 4)} == {"user_connections"}
        assert status(lb, target, BOB) == 200
        assert status(lb, "127.0.0.1:1", BOB) == 502
        held.pop().sock.close()
        until(lambda: status(lb, target, ANN) == 200, "a place is free")
        for one in held:
            assert one.echoes(b"still there")
            one.sock.close()


def test_places_come_back_after_the_death_of_a_worker_and_move_with_tunnels(
    users: Path, echo: Backends
) -> None:
    target = address(echo)
    with limited(users, connections_per_user=2, workers=1) as lb:
        before = lb.pids()
        tunnels = [Tunnel(lb, target, [ANN]) for _ in range(2)]
        lb.admin("upgrade")
        until(lambda: not set(lb.pids()) & set(before), "the new program serves", timeout_s=30)
        assert all(one.echoes(b"moved") for one in tunnels)
        assert status(lb, target, ANN) == 429
        [pid] = lb.pids()
        send_signal(pid, 9)
        until(lambda: lb.pids() not in ([], [pid]), "another worker serves", timeout_s=30)
        until(lambda: status(lb, target, ANN) == 200, "the places are back")


def test_a_users_connections_share_his_bandwidth_in_tunnels_and_requests(
    users: Path, echo: Backends, origin: Origin
) -> None:
    """Half a MiB each by a tunnel (both directions), and by a request: 1.5 MiB, of which the first
    twentieth of a second is free."""
    with limited(users, bandwidth_per_user="1MiB") as lb:
        begun = time.monotonic()
        with Tunnel(lb, address(echo), [ANN]) as tunnel:
            for _ in range(32):
                assert tunnel.echoes(b"x" * (16 << 10))
        assert ask(lb, f"http://{origin.address}/", fields=[ANN]).body == BODY
        assert ask(lb, f"http://{origin.address}/", fields=[ANN]).body == BODY
        assert time.monotonic() - begun > 1.2
        assert ask(lb, f"http://{origin.address}/", fields=[BOB]).body == BODY


def test_a_client_of_socks_learns_at_once_whether_its_password_is_right(
    users: Path, echo: Backends, tmp_path: Path
) -> None:
    log = tmp_path / "access"
    with limited(users, socks=True, log=log) as lb:
        for name, password, right in (
            (b"ann", b"right", True),
            (b"ann", b"wrong", False),
            (b"nobody", b"right", False),
        ):
            with lb.connect() as sock:
                sock.sendall(b"\x05\x02\x00\x02")
                assert exactly(sock, 2) == b"\x05\x02"
                told = b"\x01%c%b%c%b" % (len(name), name, len(password), password)
                # why together: what comes early waits until it is its turn
                sock.sendall(told + request(address(echo)))
                answer = exactly(sock, 2)
                assert (answer[0], answer[1] == 0) == (1, right)
                if right:
                    assert exactly(sock, 10)[1] == 0
                    sock.sendall(b"hello")
                    assert exactly(sock, 5) == b"hello"
                else:
                    assert sock.recv(1) == b""
        found = lines(log, 3)
    assert sorted(str(line.get("fault")) for line in found) == [
        "None", "authentication", "authentication",
    ]  # fmt: skip
    assert [line["user"] for line in found if line.get("user")] == ["ann"]
