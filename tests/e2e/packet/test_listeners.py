"""Listeners that the kernel serves. Client, balancer and backends are in network namespaces."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from unit.packet.forwarding import (
    BACK,
    BACKEND,
    CLIENT,
    FRONT,
    VIP,
    client,
    echoes,
    skip_without_rights,
)

from l4lb.packet import program

from ..harness import kill_and_wait, one_pool, until
from ..harness.netns import Route, routed
from ..reload.test_reload import Service

pytestmark = pytest.mark.skipif(not program.is_built(), reason="built without libbpf or clang")
PACKET_ROW = 64
T = TypeVar("T")


@pytest.fixture(scope="module")
def route() -> Iterator[Route]:
    with routed() as one:
        skip_without_rights()
        with echoes(one):
            yield one


@pytest.fixture
def pins(tmp_path: Path) -> Iterator[str]:
    """A BPF file system that all processes of the service see."""
    folder = tmp_path / "bpf"
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(folder)], check=True)
    yield str(folder / "l4lb")
    subprocess.run(["umount", "-l", str(folder)], check=True)


def config(pins: str, *, protocol: str = "tcp", family: int = 4, data_path: str = "packet",
           pool: dict[str, Any] | None = None, **packet: Any) -> dict[str, Any]:  # fmt: skip
    host = VIP[family] if family == 4 else f"[{VIP[family]}]"
    backend = BACKEND[family] if family == 4 else f"[{BACKEND[family]}]"
    interfaces = {"interfaces": ["front", "back"], "pins": pins, "max_flows": 4096, **packet}
    made = one_pool(f"{host}:{FRONT}", [f"{backend}:{BACK}"],
                    process={"workers": 1, "packet": interfaces})  # fmt: skip
    made["listeners"]["web"] |= {"data_path": data_path, "protocol": protocol}
    made["pools"]["web"] |= pool or {}
    return made


def balancer(route: Route, made: dict[str, Any]) -> Service:
    lb = Service(made)
    lb.command = [*route.prefix, *lb.command]
    return lb


@contextlib.contextmanager
def served(route: Route, made: dict[str, Any]) -> Iterator[Service]:
    with balancer(route, made) as lb:
        is_in_kernel(route, lb, made)
        yield lb


def wait(probe: Callable[[], T], right: Callable[[T], object] = bool) -> T:
    """Returns what the probe returns as soon as that is right."""
    found = until(lambda: [one] if right(one := probe()) else None, "what the test waits for")
    return found[0]


def is_in_kernel(route: Route, lb: Service, made: dict[str, Any]) -> None:
    """Waits until the kernel serves new clients."""
    family = 6 if made["listeners"]["web"]["bind"][0].startswith("[") else 4
    udp = made["listeners"]["web"]["protocol"] == "udp"

    def serves() -> bool:
        with client(route, family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as one:
            said(one)
            said(one)
            found = wait(lambda: [row for row in lb.ask("sessions") if is_of(row, one)])
            return bool(found[0]["worker"] == PACKET_ROW)

    wait(serves)


def said(one: socket.socket, word: bytes = b"word") -> bytes:
    one.sendall(word)
    return one.recv(100)


def rows(lb: Service) -> list[dict[str, Any]]:
    return [one for one in lb.ask("sessions") if one["worker"] == PACKET_ROW]


def accepted(lb: Service) -> int:
    return int(lb.ask("listeners")[0]["accepted"])


def ended(lb: Service) -> dict[str, int]:
    return {reason: count for reason, count in lb.ask("stats")["ended"].items() if count}


@pytest.mark.parametrize("family", [4, 6])
def test_a_connection_is_a_session_with_its_counts_its_line_and_its_end(
    route: Route, pins: str, family: int, tmp_path: Path
) -> None:
    made = config(pins, family=family)
    lines = tmp_path / "access"
    made["process"]["log"] = {"access": str(lines), "access_format": "json"}
    with served(route, made) as lb:
        before = accepted(lb)
        with client(route, family) as one:
            assert said(one, b"x" * 90) == b"x" * 90
            port = one.getsockname()[1]
            wait(lambda: [r for r in rows(lb) if is_of(r, one) and r["bytes_in"] > 90])
        wait(lambda: rows(lb), lambda found: not found)
        assert accepted(lb) > before
        assert ended(lb)["client_fin"] >= 1
        (backend,) = lb.ask("backends")
        assert backend["active"] == 0
        assert backend["bytes_in"] > 90
        wait(lambda: lines.read_text(), lambda text: f":{port}" in text)


def test_udp_over_the_kernel_ends_when_it_is_idle(route: Route, pins: str) -> None:
    made = config(pins, protocol="udp", pool={"idle_timeout": "1s"})
    with served(route, made) as lb, client(route, 4, socket.SOCK_DGRAM) as one:
        assert said(one) == b"word"
        assert said(one, bytes(50)) == bytes(50)
        wait(lambda: [r for r in rows(lb) if is_of(r, one)])
        wait(lambda: rows(lb), lambda found: not found)
        assert ended(lb)["idle_timeout"] >= 1
        assert said(one) == b"word"  # another session


def test_a_killed_session_is_reset_and_a_killed_process_costs_nothing(
    route: Route, pins: str
) -> None:
    with served(route, config(pins)) as lb, client(route, 4) as one, client(route, 4) as other:
        assert said(one) == said(other) == b"word"
        wait(lambda: of_both(lb, one, other))
        kill_and_wait(lb.child("packets").pid)
        assert said(other) == b"word"
        mine, _ = wait(lambda: of_both(lb, one, other))
        wait(lambda: lb.ask("backends")[0]["active"], lambda count: count == 2)
        lb.admin("kill", mine["id"])
        wait(lambda: not [r for r in rows(lb) if is_of(r, one)])
        wait(lambda: is_reset(one))
        assert said(other) == b"word"
        assert lb.ask("backends")[0]["total"] == accepted(lb)


def test_a_backend_that_is_down_or_drained_gets_no_new_clients(route: Route, pins: str) -> None:
    """The host's own sockets serve them then: a worker refuses, or waits, as without the kernel."""
    with served(route, config(pins)) as lb, client(route, 4) as one:
        assert said(one) == b"word"
        wait(lambda: rows(lb), lambda r: r)
        lb.admin("drain", f"web/{BACKEND[4]}:{BACK}")
        wait(lambda: refused(route))
        assert said(one) == b"word"
        lb.admin("ready", f"web/{BACKEND[4]}:{BACK}")
        wait(lambda: not refused(route))


def of_both(
    lb: Service, one: socket.socket, other: socket.socket
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Returns the sessions of two clients, when both are shown."""
    found = rows(lb)
    mine, theirs = ([r for r in found if is_of(r, which)] for which in (one, other))
    return (mine[0], theirs[0]) if mine and theirs else None


def is_reset(one: socket.socket) -> bool:
    try:
        return said(one) == b""
    except ConnectionError:
        return True


def refused(route: Route) -> bool:
    try:
        with client(route, 4) as one:
            return said(one) == b""
    except ConnectionError:
        return True


def test_a_reload_switches_the_path_and_loses_no_connection(route: Route, pins: str) -> None:
    made = config(pins)
    by_proxy = copy.deepcopy(made)
    by_proxy["listeners"]["web"]["data_path"] = "proxy"
    with served(route, made) as lb, contextlib.ExitStack() as clients, traffic(route) as faults:
        held = [clients.enter_context(client(route, 4))]
        for wanted in (by_proxy, made, by_proxy, made):
            lb.reload(wanted)
            follows(route, lb, clients, held, kernel=wanted is made)
            assert all(said(one) == b"word" for one in held)
        assert not faults


def follows(
    route: Route, lb: Service, clients: contextlib.ExitStack, held: list[socket.socket], *,
    kernel: bool,
) -> None:  # fmt: skip
    """Waits until new clients have this path."""
    wait(lambda: path_of_new(route, lb, clients, held), lambda found: found == kernel)


def path_of_new(
    route: Route, lb: Service, clients: contextlib.ExitStack, held: list[socket.socket]
) -> bool:
    """Returns whether the kernel serves a new client."""
    one = clients.enter_context(client(route, 4))
    held.append(one)
    assert said(one) == b"word"
    port = f":{one.getsockname()[1]}"
    (row,) = wait(
        lambda: [r for r in lb.ask("sessions") if r["client"].endswith(port)], lambda r: r
    )
    return bool(row["worker"] == PACKET_ROW)


@contextlib.contextmanager
def traffic(route: Route) -> Iterator[list[BaseException]]:
    """Connects, asks and closes all the time. Yields what went wrong."""
    faults: list[BaseException] = []
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                with client(route, 4) as one:
                    assert said(one) == said(one) == b"word"
            except (OSError, AssertionError) as error:
                faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for one in threads:
        one.start()
    try:
        yield faults
    finally:
        over.set()
        for one in threads:
            one.join()


def test_an_upgrade_takes_the_flows_over(route: Route, pins: str) -> None:
    with served(route, config(pins)) as lb, client(route, 4) as one, traffic(route) as faults:
        assert said(one) == b"word"
        wait(lambda: [r for r in rows(lb) if is_of(r, one)])
        before = accepted(lb)
        lb.admin("upgrade")
        assert said(one) == b"word"
        wait(lambda: [r for r in rows(lb) if is_of(r, one)])
        wait(lambda: accepted(lb), lambda count: count >= before)
        assert not faults
    assert not faults


def test_whoever_of_its_processes_dies_no_client_notices(route: Route, pins: str) -> None:
    with served(route, config(pins)) as lb, client(route, 4) as one, traffic(route) as faults:
        assert said(one) == b"word"
        for title in ("packets", "worker 0", "checker", "control"):
            pid = lb.child(title).pid
            kill_and_wait(pid)
            wait(lambda: lb.child(title).pid, lambda found: found != pid)  # noqa: B023 - at once
            assert said(one) == b"word"
        wait(lambda: [r for r in rows(lb) if is_of(r, one)])
    assert not faults


def test_an_interface_that_comes_again_has_the_program_again(pins: str) -> None:
    with routed() as own, echoes(own), served(own, config(pins)) as lb:
        subprocess.run(["ip", "-n", own.router, "link", "del", "front"], check=True)
        subprocess.run(["ip", "-n", own.router, "link", "add", "front", "type", "veth", "peer",
                        "name", "eth0", "netns", own.client], check=True)  # fmt: skip
        for name, link, address in (
            (own.router, "front", VIP[4]), (own.client, "eth0", CLIENT[4])
        ):  # fmt: skip
            for command in (["addr", "add", f"{address}/24", "dev", link],
                            ["link", "set", link, "up"]):  # fmt: skip
                subprocess.run(["ip", "-n", name, *command], check=True)
        is_in_kernel(own, lb, config(pins))


def test_a_service_that_gives_up_its_rights_is_upgraded_and_leaves_nothing(
    route: Route, pins: str
) -> None:
    made = config(pins)
    made["process"]["user"] = "nobody"
    with served(route, made) as lb, client(route, 4) as one:
        assert said(one) == b"word"
        wait(lambda: [r for r in rows(lb) if is_of(r, one)])
        if all(
            parent.stat().st_mode & 1 for parent in Path(os.path.realpath(sys.executable)).parents
        ):
            lb.admin("upgrade")  # its user can read where it is installed
        assert said(one) == b"word"
        wait(lambda: [r for r in rows(lb) if is_of(r, one)])
        one.close()
        lb.signal(signal.SIGTERM)
        lb.wait()
        assert not any(Path(pins).rglob("links/*"))


def is_of(row: dict[str, Any], one: socket.socket) -> bool:
    return bool(row["client"].endswith(f":{one.getsockname()[1]}"))


def test_all_processes_die_and_the_kernel_goes_on_until_a_service_takes_over(
    route: Route, pins: str
) -> None:
    made = config(pins)
    lb = balancer(route, made)
    with client_of(route, lb, made) as one, traffic(route) as faults:
        for process in [psutil.Process(lb.process.pid), *lb.processes()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                os.kill(process.pid, signal.SIGKILL)
        lb.process.wait(10)
        for _ in range(20):
            assert said(one) == b"word"
        with client(route, 4) as new:
            assert said(new) == b"word"
        after = balancer(route, made)
        after.socket = lb.socket
        with after:
            wait(lambda: [r for r in rows(after) if is_of(r, one)])
            assert said(one) == b"word"
            assert not faults
        assert not list(Path(pins).iterdir())


@contextlib.contextmanager
def client_of(route: Route, lb: Service, made: dict[str, Any]) -> Iterator[socket.socket]:
    lb.__enter__()
    is_in_kernel(route, lb, made)
    with client(route, 4) as one:
        assert said(one) == b"word"
        wait(lambda: [r for r in rows(lb) if is_of(r, one)])
        yield one


def test_a_stop_waits_for_the_flows_and_leaves_nothing_in_the_kernel(
    route: Route, pins: str
) -> None:
    with served(route, config(pins)) as lb:
        with client(route, 4) as one:
            assert said(one) == b"word"
            wait(lambda: rows(lb), lambda r: r)
            lb.signal(signal.SIGTERM)
            wait(lambda: refused(route))
            assert said(one) == b"word"
            assert lb.process.poll() is None
        lb.wait()
        assert not list(Path(pins).iterdir())
