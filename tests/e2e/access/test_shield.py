"""The shield: the kernel turns clients away in front of the listeners. Client, balancer and backend
are in network namespaces of their own."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from l4lb.packet import program

from ..harness import PATIENCE_S, kill_and_wait, one_pool, until
from ..harness.netns import Route, in_namespace, routed
from ..reload.test_reload import Service

pytestmark = pytest.mark.skipif(not program.is_built(), reason="built without libbpf or clang")

BACKEND, FRONT = 9000, 8080
GOOD, BAD = "10.1.0.2", "10.1.0.3"  # the client's addresses
TARGET = "10.1.0.1"
DENIES = {"deny": [f"{BAD}/32"], "refusal": "drop"}


@pytest.fixture(scope="module")
def route() -> Iterator[Route]:
    with routed() as one:
        subprocess.run(["ip", "-n", one.client, "addr", "add", f"{BAD}/24", "dev", "eth0"],
                       check=True)  # fmt: skip
        _skip_without_rights()
        with _echoes(one):
            yield one


def _skip_without_rights() -> None:
    from l4lb.native.packet import Shield

    try:
        Shield.load(program.OBJECT.read_bytes()).close()
    except OSError as error:
        pytest.skip(f"this host loads no programs: {error}")


@contextlib.contextmanager
def _echoes(route: Route) -> Iterator[None]:
    """A backend that sends back what it gets, over TCP and UDP."""
    with in_namespace(route.backend):
        server = socket.create_server(("10.2.0.2", BACKEND), backlog=64)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("10.2.0.2", BACKEND))

    def serve_one(one: socket.socket) -> None:
        with one, contextlib.suppress(OSError):
            while data := one.recv(4096):
                one.sendall(data)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = server.accept()
                threading.Thread(target=serve_one, args=(one,), daemon=True).start()

    def answer() -> None:
        with contextlib.suppress(OSError):
            while peer := datagrams.recvfrom(4096)[1]:  # there is no peer once it is shut down
                datagrams.sendto(b"answer", peer)

    for work in (serve, answer):
        threading.Thread(target=work, daemon=True).start()
    yield
    for one in (server, datagrams):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


def balancer(route: Route, *, bind: str = f"{TARGET}:{FRONT}", packet: dict[str, Any] | None = None,
             listener: dict[str, Any] | None = None, **process: Any) -> Service:  # fmt: skip
    shield = {"interfaces": ["front"], **(packet or {})}
    config = one_pool(bind, [f"10.2.0.2:{BACKEND}"],
                      process={"workers": 2, "packet": shield, **process})  # fmt: skip
    config["listeners"]["web"] |= listener or {}
    lb = Service(config)
    lb.command = [*route.prefix, *lb.command]
    return lb


def shield_of(lb: Service) -> dict[str, Any]:
    (row,) = lb.ask("shield")
    return dict(row)


def front(lb: Service) -> dict[str, Any]:
    (row,) = lb.ask("listeners")
    return dict(row)


def tried(route: Route, source: str) -> socket.socket:
    """Returns a connection that has begun."""
    with in_namespace(route.client):
        client = socket.socket()
    client.bind((source, 0))
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.connect((TARGET, FRONT))
    return client


def is_served(route: Route, source: str) -> bool:
    """Connects and sends a word. Raises TimeoutError."""
    with tried(route, source) as client:
        client.settimeout(PATIENCE_S)
        client.sendall(b"word")
        return client.recv(10) == b"word"


def is_connected(client: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        return bool(client.getpeername())
    return False


def is_dropped(route: Route, lb: Service, source: str, reason: str = "denied") -> bool:
    """Returns whether a connection is dropped by the shield: its count grows, and no worker has
    heard of it."""
    before, accepted = shield_of(lb)[reason], front(lb)["accepted"]
    with tried(route, source) as client:
        until(lambda: shield_of(lb)[reason] > before, "the shield has counted")
        return not is_connected(client) and front(lb)["accepted"] == accepted


# ---- who comes in --------------------------------------------------------------------------------


@pytest.mark.parametrize("bind", [f"{TARGET}:{FRONT}", f"*:{FRONT}"])
def test_a_denied_source_never_reaches_a_worker_and_others_are_served(
    route: Route, bind: str
) -> None:
    with balancer(route, bind=bind, listener={"access": DENIES}) as lb:
        assert is_served(route, GOOD)
        assert is_dropped(route, lb, BAD)
        assert is_served(route, GOOD)
        assert front(lb)["refused"] == 0


def test_rules_of_the_run_time_are_followed_and_sessions_go_on(route: Route) -> None:
    with balancer(route, listener={"access": {"deny": ["192.0.2.1"], "refusal": "drop"}}) as lb:
        with tried(route, BAD) as session:
            session.settimeout(PATIENCE_S)
            session.sendall(b"before")
            assert session.recv(10) == b"before"
            lb.admin("deny", "web", BAD)
            assert is_dropped(route, lb, BAD)
            session.sendall(b"after")
            assert session.recv(10) == b"after"
        lb.admin("forget", "web", BAD)
        assert is_served(route, BAD)
        lb.admin("block", f"{BAD}/32")
        assert is_dropped(route, lb, BAD, "blocked")
        assert is_served(route, GOOD)
        lb.admin("unblock", BAD)
        assert is_served(route, BAD)


def test_a_reload_is_followed(route: Route) -> None:
    with balancer(route) as lb:
        assert is_served(route, BAD)
        assert lb.config is not None
        lb.config["listeners"]["web"]["access"] = {"allow": [GOOD], "refusal": "drop"}
        lb.reload(lb.config)
        assert is_dropped(route, lb, BAD)
        assert is_served(route, GOOD)


def test_a_udp_client_with_a_session_goes_on_and_a_new_one_does_not(route: Route) -> None:
    with balancer(route, listener={"protocol": "udp"}) as lb:
        with in_namespace(route.client):
            known, stranger = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        with known, stranger:
            for one in (known, stranger):
                one.bind((BAD, 0))
                one.connect((TARGET, FRONT))
                one.settimeout(PATIENCE_S)
            known.send(b"before")
            assert known.recv(10) == b"answer"
            lb.admin("block", BAD)
            stranger.send(b"let me in")
            until(lambda: shield_of(lb)["blocked"] == 1, "the shield has counted")
            known.send(b"after")
            assert known.recv(10) == b"answer"
            assert shield_of(lb)["blocked_bytes"] > 0


def test_refusals_that_are_answers_stay_with_the_workers(route: Route) -> None:
    with balancer(route, listener={"access": {"deny": [BAD], "refusal": "reject"}}) as lb:
        with tried(route, BAD) as client:
            client.settimeout(PATIENCE_S)
            with pytest.raises(OSError, match=r"reset|refused"):
                client.recv(1)
        row = shield_of(lb)
        assert (row["denied"], row["workers"]) == (0, "access.refusal = reject")


def test_a_dry_run_only_counts(route: Route) -> None:
    with balancer(route, packet={"dry_run": True}, listener={"access": DENIES}) as lb:
        accepted = front(lb)["accepted"]
        with tried(route, BAD):
            until(lambda: front(lb)["accepted"] > accepted, "a worker turns it away")
            until(lambda: shield_of(lb)["dry_denied"] == 1, "the shield has counted")
        assert shield_of(lb)["denied"] == 0


def test_a_shield_that_is_off_does_nothing(route: Route) -> None:
    with balancer(route, packet={"shield": "off"}, listener={"access": DENIES}) as lb:
        accepted = front(lb)["accepted"]
        with tried(route, BAD):
            until(lambda: front(lb)["accepted"] > accepted, "a worker turns it away")
        assert (shield_of(lb)["shield"], shield_of(lb)["workers"]) == (None, "all")


# ---- its life ------------------------------------------------------------------------------------


def test_dead_workers_change_nothing(route: Route) -> None:
    with balancer(route, listener={"access": DENIES}) as lb:
        for worker in range(2):
            lb.kill(worker)
        assert is_dropped(route, lb, BAD)
        assert is_served(route, GOOD)


def test_an_upgrade_keeps_the_shield_and_its_counts(route: Route) -> None:
    with balancer(route, listener={"access": DENIES}) as lb:
        assert is_dropped(route, lb, BAD)
        before = shield_of(lb)["denied"]
        lb.admin("upgrade")
        assert shield_of(lb)["denied"] >= before
        assert is_dropped(route, lb, BAD)
        assert is_served(route, GOOD)


def test_a_service_that_has_given_up_its_rights_follows_rules(route: Route) -> None:
    with balancer(route, listener={"access": DENIES}, user="nobody") as lb:
        assert is_dropped(route, lb, BAD)
        lb.admin("allow", "web", BAD)
        assert is_served(route, BAD)
        lb.admin("deny", "web", GOOD)
        assert is_dropped(route, lb, GOOD)


@pytest.mark.parametrize("killed", [False, True])
def test_nothing_is_dropped_when_the_service_has_ended(route: Route, killed: bool) -> None:
    with balancer(route, listener={"access": DENIES}) as lb:
        assert is_dropped(route, lb, BAD)
        if killed:
            kill_and_wait(lb.process.pid)
        else:
            lb.signal(signal.SIGTERM)
        lb.wait()
    with in_namespace(route.router), contextlib.closing(socket.socket()) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((TARGET, FRONT))
        server.listen()
        with tried(route, BAD) as client:
            until(lambda: is_connected(client), "the source is let in")


def test_a_missing_interface_is_an_error_that_says_so(route: Route) -> None:
    lb = balancer(route, packet={"interfaces": ["eth77"]})
    with pytest.raises(AssertionError, match="this host has no interface eth77"), lb:
        pass
