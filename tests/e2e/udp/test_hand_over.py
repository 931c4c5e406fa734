"""UDP sessions that workers hand over to the kernel: it forwards their datagrams, and everything
that may happen to a session happens to them too.

That a worker sees none of the datagrams is shown by a worker that is stopped meanwhile.
"""

from __future__ import annotations

import contextlib
import copy
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from l4lb.packet import program as kernel_program

from ..harness import PATIENCE_S, PORTS, Balancer, one_pool, program, toml, until
from ..harness.datagrams import LARGEST, UdpBackends, ask
from ..harness.netns import Route, in_namespace, routed
from ..harness.processes import stopped

FRONT = {4: "10.1.0.1", 6: "fd01::1"}
BEHIND = {4: "10.2.0.2", 6: "fd02::2"}
MAX_FLOWS = 1024  # the smallest number
UDP_SEGMENT = 103  # linux/udp.h


@pytest.fixture(scope="module")
def route() -> Iterator[Route]:
    if not kernel_program.is_built():
        pytest.skip("built without libbpf or clang")
    with routed() as made:
        yield made


@contextlib.contextmanager
def backends(route: Route, count: int = 1, family: int = 4) -> Iterator[UdpBackends]:
    """Backends behind the router that send their names before each echo."""
    made = UdpBackends(count, "name", host=BEHIND[family])
    with in_namespace(route.backend):
        made.__enter__()
    try:
        yield made
    finally:
        made.__exit__(None, None, None)


def balancer(
    route: Route,
    behind: UdpBackends,
    *,
    host: str = FRONT[4],
    process: dict[str, Any] | None = None,
    **pool: Any,
) -> Balancer:
    packet = {"interfaces": ["front", "back"], "shield": "off", "max_flows": MAX_FLOWS}
    config = one_pool(
        f"[{host}]:{PORTS.take()}" if ":" in host else f"{host}:{PORTS.take()}",
        behind.rows(),
        process={"workers": 1, "packet": packet, **(process or {})},
        **pool,
    )
    config["listeners"]["web"] |= {"protocol": "udp"}
    return Balancer(config, command=[*route.prefix, *program()])


@contextlib.contextmanager
def client(
    route: Route, lb: Balancer, count: int = 1, at: str = ""
) -> Iterator[list[socket.socket]]:
    """Clients whose sessions are not in the kernel yet."""
    host, port = lb.address
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            with in_namespace(route.client):
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                one = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            one.settimeout(PATIENCE_S)
            one.connect((at or host, port))
            made.append(one)
        yield made


def listener(lb: Balancer) -> dict[str, Any]:
    found: dict[str, Any] = lb.ask("listeners")[0]
    return found


def into_kernel(lb: Balancer, *clients: socket.socket) -> bytes:
    """Proves the clients, so that their sessions go to the kernel. Returns the last one's
    answer."""
    answer = b""
    before = listener(lb)["in_kernel"]
    for one in clients:
        ask(one)
        answer = ask(one)
    until(lambda: listener(lb)["in_kernel"] == before + len(clients), "they are in the kernel")
    return answer


def reload(lb: Balancer, **pool: Any) -> None:
    assert lb.config is not None
    config = copy.deepcopy(lb.config)
    config["process"]["workers"] = pool.pop("workers", config["process"]["workers"])
    config["pools"]["web"] |= pool
    lb.config = config
    (lb.folder / "l4lb.toml").write_text(toml(config))
    lb.admin("reload")


def workers_of(lb: Balancer) -> list[int]:
    """Returns the pids of the workers, without the packet process."""
    return [row["pid"] for row in lb.ask("workers") if row["cpu"] is not None]


def log_line(path: Path) -> dict[str, Any]:
    """Returns the only line of the access log."""
    text = until(lambda: path.exists() and path.read_text(), "a session is told")
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("family", [4, 6])
def test_no_worker_sees_the_datagrams_of_a_proven_session(route: Route, family: int) -> None:
    with (
        backends(route, family=family) as behind,
        balancer(route, behind, host=FRONT[family]) as lb,
        client(route, lb) as (one,),
    ):
        into_kernel(lb, one)
        with stopped(lb.pids()[0]):
            for size in (0, 1, 1400):
                assert ask(one, b"x" * size) == b"a" + b"x" * size
        assert len(behind.peers["a"]) == 1, "the same port"


def test_a_client_that_has_not_proven_itself_stays_with_its_worker(route: Route) -> None:
    with (
        backends(route) as behind,
        balancer(route, behind) as lb,
        client(route, lb, 2) as (proven, other),
    ):
        ask(other)
        into_kernel(lb, proven)
        shown = listener(lb)
        assert (shown["active"], shown["in_kernel"], shown["handed_over"]) == (2, 1, 1)


def test_counts_and_the_access_log_are_exact(route: Route, tmp_path: Path) -> None:
    log = tmp_path / "access"
    process = {"log": {"access": str(log), "access_format": "json"}}
    with (
        backends(route) as behind,
        balancer(route, behind, process=process) as lb,
        client(route, lb) as (one,),
    ):
        into_kernel(lb, one)
        sent = 2  # "?" twice, and two answers of 2 bytes
        answered = 4
        for size in (1, 100, 1400, 3000, LARGEST - 1):  # the last two come in fragments
            assert len(ask(one, b"x" * size)) == size + 1
            sent += size
            answered += size + 1
        one.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 500)  # datagrams that come as one packet
        one.send(b"y" * 5000)
        assert sum(len(one.recv(1000)) for _ in range(10)) == 5010
        sent, answered = sent + 5000, answered + 5010

        def counts() -> tuple[int, ...]:
            shown, row = lb.backends()["a"], listener(lb)
            session = lb.ask("sessions")[0]
            return (shown["bytes_in"], shown["bytes_out"], session["bytes_in"],
                    session["bytes_out"], row["datagrams_in"], row["datagrams_out"])  # fmt: skip

        expected = (sent, answered, sent, answered, 17, 17)
        until(lambda: counts() == expected, f"{expected}", timeout_s=PATIENCE_S)
        ask(one, b"last")  # not looked at yet when the session ends
        lb.admin("kill", lb.ask("sessions")[0]["id"])
        line = log_line(log)
        assert (line["end"], line["bytes_in"], line["bytes_out"]) == (
            "killed", sent + 4, answered + 5,
        )  # fmt: skip
        assert lb.backends()["a"]["bytes_in"] == sent + 4
        assert listener(lb)["in_kernel"] == 0


def test_a_session_that_was_killed_begins_anew_with_the_next_datagram(route: Route) -> None:
    with (
        backends(route) as behind,
        balancer(route, behind) as lb,
        client(route, lb) as (one,),
    ):
        for begun in (1, 2):
            into_kernel(lb, one)
            assert listener(lb)["accepted"] == begun
            lb.admin("kill", lb.ask("sessions")[0]["id"])
            until(lambda: not lb.ask("sessions"), "it has ended")


def test_the_idle_timeout_counts_from_the_last_datagram_in_the_kernel(
    route: Route, tmp_path: Path
) -> None:
    log = tmp_path / "access"
    process = {"log": {"access": str(log), "access_format": "json"}}
    with (
        backends(route) as behind,
        balancer(route, behind, process=process, idle_timeout="1s") as lb,
        client(route, lb) as (one,),
    ):
        into_kernel(lb, one)
        began = last = time.monotonic()
        while last - began < 1.5:
            last = time.monotonic()
            ask(one)
        line = log_line(log)
        assert line["end"] == "idle_timeout"
        assert time.monotonic() - last >= 1.0
        assert line["duration_ms"] >= 1000 * (last - began + 1.0)
        assert listener(lb)["accepted"] == 1


def test_a_session_leaves_a_backend_that_is_gone_and_goes_on_in_the_kernel(route: Route) -> None:
    with (
        backends(route, 2) as behind,
        balancer(route, behind, balance="first") as lb,
        client(route, lb) as (one,),
    ):
        assert into_kernel(lb, one) == b"a?"
        behind.stop("a")
        one.send(b"lost")  # its error tells that nobody is there
        until(lambda: listener(lb)["moved"] == 1, "it has moved")
        assert into_kernel(lb, one) == b"b?"
        with stopped(lb.pids()[0]):
            assert ask(one) == b"b?"


def test_a_backend_that_is_removed_is_left_by_its_sessions(route: Route) -> None:
    with (
        backends(route, 2) as behind,
        balancer(route, behind, balance="first") as lb,
        client(route, lb) as (one,),
    ):
        into_kernel(lb, one)
        reload(lb, backends=behind.rows()[1:])
        until(lambda: listener(lb)["in_kernel"] == 0, "it has come back")
        assert ask(one) == b"b?"
        assert listener(lb)["moved"] == 1


def test_sessions_outlive_their_worker_and_their_counts_too(route: Route) -> None:
    with (
        backends(route) as behind,
        balancer(route, behind) as lb,
        client(route, lb) as (one,),
    ):
        into_kernel(lb, one)
        with stopped(lb.pids()[0]):
            assert ask(one) == b"a?"
        before = lb.kill(0)
        for _ in range(10):
            assert ask(one) == b"a?"
        lb.wait_for_new_worker(0, before)
        until(lambda: listener(lb)["in_kernel"] == 1, "the new worker knows of it")
        with stopped(lb.pids()[0]):
            assert ask(one) == b"a?"
        lb.admin("kill", lb.ask("sessions")[0]["id"])
        until(lambda: listener(lb)["in_kernel"] == 0, "it is gone")
        shown = listener(lb)
        assert (shown["datagrams_in"], shown["datagrams_out"], shown["adopted"]) == (14, 14, 1)
        assert len(behind.peers["a"]) == 1, "the same port"


def test_a_reload_takes_sessions_back_and_hands_them_over_again(route: Route) -> None:
    with (
        backends(route) as behind,
        balancer(route, behind) as lb,
        client(route, lb) as (one,),
    ):
        into_kernel(lb, one)
        reload(lb, hand_over=False)
        until(lambda: listener(lb)["in_kernel"] == 0, "it has come back")
        assert [ask(one) for _ in range(3)] == [b"a?"] * 3
        assert listener(lb)["in_kernel"] == 0
        reload(lb, hand_over=True)
        into_kernel(lb, one)
        assert len(behind.peers["a"]) == 1, "the same port"


def test_sessions_stay_when_workers_come_and_the_program_is_replaced(route: Route) -> None:
    with (
        backends(route) as behind,
        balancer(route, behind) as lb,
        client(route, lb, 8) as several,
    ):
        into_kernel(lb, *several)
        reload(lb, workers=2)
        until(lambda: len(workers_of(lb)) == 2, "two workers")
        assert [ask(one) for one in several * 3] == [b"a?"] * 24
        until(lambda: listener(lb)["in_kernel"] == 8, "they are in the kernel again")
        before = workers_of(lb)
        lb.admin("upgrade")
        assert [ask(one) for one in several * 3] == [b"a?"] * 24
        until(lambda: set(workers_of(lb)).isdisjoint(before), "the old workers are gone")
        until(lambda: listener(lb)["in_kernel"] == 8, "they are in the kernel again")
        assert len(behind.peers["a"]) == 8, "the same ports"
        assert listener(lb)["accepted"] == 8


def test_replies_come_from_the_address_that_was_asked(route: Route) -> None:
    route.run("ip", "addr", "replace", "10.1.0.7/24", "dev", "front")
    with backends(route) as behind, balancer(route, behind, host="0.0.0.0") as lb:
        for host in ("10.1.0.1", "10.1.0.7"):
            with client(route, lb, at=host) as (one,):
                into_kernel(lb, one)  # a connected socket hears no other address
                with stopped(lb.pids()[0]):
                    assert ask(one) == b"a?"


def test_sessions_that_find_no_room_in_the_kernel_stay_with_workers(route: Route) -> None:
    with (
        backends(route) as behind,
        balancer(route, behind) as lb,
        client(route, lb, MAX_FLOWS + 100) as many,
    ):
        for _ in range(2):
            for one in many:
                assert ask(one) == b"a?"
        shown = until(lambda: (row := listener(lb))["kept"] and row, "one was kept")
        assert shown["in_kernel"] <= MAX_FLOWS
        assert shown["handed_over"] + shown["kept"] == shown["active"] == len(many)
        lb.admin("kill", "--backend", "web/a")
        until(lambda: not listener(lb)["in_kernel"], "the room is free again")
        into_kernel(lb, many[0])
