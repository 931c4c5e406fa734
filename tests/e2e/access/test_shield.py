"""The shield: the kernel turns clients away in front of the listeners. Client, balancer and backend
are in network namespaces of their own."""

from __future__ import annotations

import contextlib
import copy
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


LISTENERS: dict[str, dict[str, Any]] = {
    "web": {"bind": [f"{TARGET}:{FRONT}"], "access": DENIES},
    "one": {"bind": [f"{TARGET}:8087"], "access": DENIES},
    "any": {"bind": ["*:8081"], "access": DENIES},
    "later": {"bind": [f"{TARGET}:8082"], "access": {"deny": ["192.0.2.1"], "refusal": "drop"}},
    "answers": {"bind": [f"{TARGET}:8083"], "access": {"deny": [BAD], "refusal": "reject"}},
    "often": {"bind": [f"{TARGET}:8084"],
              "limits": {"rate_per_source": {"limit": 1, "burst": 2, "refusal": "drop"}}},
    "open": {"bind": [f"{TARGET}:8085"]},
    "datagrams": {"bind": [f"{TARGET}:8086"], "protocol": "udp"},
}  # fmt: skip


def balancer(route: Route, *names: str, packet: dict[str, Any] | None = None,
             **process: Any) -> Service:  # fmt: skip
    """Returns a service with these LISTENERS; without names: with web."""
    shield = {"interfaces": ["front"], **(packet or {})}
    config = one_pool("", [f"10.2.0.2:{BACKEND}"],
                      process={"workers": 1, "packet": shield, **process})  # fmt: skip
    config["listeners"] = {name: {"pool": "web", **LISTENERS[name]} for name in names or ["web"]}
    lb = Service(config)
    lb.command = [*route.prefix, *lb.command]
    return lb


@pytest.fixture(scope="module")
def shared(route: Route) -> Iterator[Service]:
    """A service with all LISTENERS but web, for tests that leave it as it was."""
    with balancer(route, *(name for name in LISTENERS if name != "web")) as lb:
        yield lb


def port_of(name: str) -> int:
    return int(LISTENERS[name]["bind"][0].rpartition(":")[2])


def row_of(lb: Service, command: str, name: str) -> dict[str, Any]:
    key = "listener" if command == "shield" else "name"
    return dict(next(row for row in lb.ask(command) if row[key] == name))


def shield_of(lb: Service, name: str = "web") -> dict[str, Any]:
    return row_of(lb, "shield", name)


def front(lb: Service, name: str = "web") -> dict[str, Any]:
    return row_of(lb, "listeners", name)


def tried(route: Route, source: str, name: str = "web") -> socket.socket:
    """Returns a connection that has begun."""
    with in_namespace(route.client):
        client = socket.socket()
    client.bind((source, 0))
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.connect((TARGET, port_of(name)))
    return client


def is_served(route: Route, source: str, name: str = "web") -> bool:
    """Connects and sends a word. Raises TimeoutError."""
    with tried(route, source, name) as client:
        client.settimeout(PATIENCE_S)
        client.sendall(b"word")
        return client.recv(10) == b"word"


def is_connected(client: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        return bool(client.getpeername())
    return False


def is_dropped(
    route: Route, lb: Service, source: str, reason: str = "denied", name: str = "web"
) -> bool:
    """Returns whether a connection is dropped by the shield: its count grows, and no worker has
    heard of it."""
    before, accepted = shield_of(lb, name)[reason], front(lb, name)["accepted"]
    with tried(route, source, name) as client:
        until(lambda: shield_of(lb, name)[reason] > before, "the shield has counted")
        return not is_connected(client) and front(lb, name)["accepted"] == accepted


# ---- who comes in --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["one", "any"])
def test_a_denied_source_never_reaches_a_worker_and_others_are_served(
    route: Route, shared: Service, name: str
) -> None:
    assert is_served(route, GOOD, name)
    assert is_dropped(route, shared, BAD, name=name)
    assert is_served(route, GOOD, name)
    assert front(shared, name)["refused"] == 0


def test_rules_of_the_run_time_are_followed_and_sessions_go_on(
    route: Route, shared: Service
) -> None:
    with tried(route, BAD, "later") as session:
        session.settimeout(PATIENCE_S)
        session.sendall(b"before")
        assert session.recv(10) == b"before"
        shared.admin("deny", "later", BAD)
        assert is_dropped(route, shared, BAD, name="later")
        session.sendall(b"after")
        assert session.recv(10) == b"after"
    shared.admin("forget", "later", BAD)
    assert is_served(route, BAD, "later")
    shared.admin("block", f"{BAD}/32")
    assert is_dropped(route, shared, BAD, "blocked", "later")
    assert is_served(route, GOOD, "later")
    shared.admin("unblock", BAD)
    assert is_served(route, BAD, "later")


def test_a_reload_is_followed(route: Route, shared: Service) -> None:
    assert is_served(route, BAD, "open")
    assert shared.config is not None
    changed = copy.deepcopy(shared.config)
    changed["listeners"]["open"]["access"] = {"allow": [GOOD], "refusal": "drop"}
    shared.reload(changed)
    assert is_dropped(route, shared, BAD, name="open")
    assert is_served(route, GOOD, "open")
    shared.reload(shared.config)
    assert is_served(route, BAD, "open")


def test_a_udp_client_with_a_session_goes_on_and_a_new_one_does_not(
    route: Route, shared: Service
) -> None:
    with in_namespace(route.client):
        known, stranger = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with known, stranger:
        for one in (known, stranger):
            one.bind((BAD, 0))
            one.connect((TARGET, port_of("datagrams")))
            one.settimeout(PATIENCE_S)
        known.send(b"before")
        assert known.recv(10) == b"answer"
        shared.admin("block", BAD)
        stranger.send(b"let me in")
        until(lambda: shield_of(shared, "datagrams")["blocked"] == 1, "the shield has counted")
        known.send(b"after")
        assert known.recv(10) == b"answer"
        assert shield_of(shared, "datagrams")["blocked_bytes"] > 0
        shared.admin("unblock", BAD)


def test_refusals_that_are_answers_stay_with_the_workers(route: Route, shared: Service) -> None:
    with tried(route, BAD, "answers") as client:
        client.settimeout(PATIENCE_S)
        with pytest.raises(OSError, match=r"reset|refused"):
            client.recv(1)
    row = shield_of(shared, "answers")
    assert (row["denied"], row["workers"]) == (0, "access.refusal = reject")


def test_a_source_that_comes_too_often_stops_reaching_workers_and_others_are_served(
    route: Route, shared: Service
) -> None:
    def is_counted() -> bool:
        tried(route, BAD, "often").close()
        return bool(shield_of(shared, "often")["source_rate"])

    until(is_counted, "the shield has counted")
    assert is_served(route, GOOD, "often")
    row = front(shared, "often")
    assert row["refused"] > 0
    assert row["accepted"] < 100


def test_a_dry_run_only_counts(route: Route) -> None:
    with balancer(route, packet={"dry_run": True}) as lb:
        accepted = front(lb)["accepted"]
        with tried(route, BAD):
            until(lambda: front(lb)["accepted"] > accepted, "a worker turns it away")
            until(lambda: shield_of(lb)["dry_denied"] == 1, "the shield has counted")
        assert shield_of(lb)["denied"] == 0


def test_xdp_turns_away_what_tc_does(route: Route) -> None:
    with balancer(route, packet={"shield": "xdp"}) as lb:
        assert is_served(route, GOOD)
        assert is_dropped(route, lb, BAD)
        assert shield_of(lb)["shield"] == "xdp"


# ---- its life ------------------------------------------------------------------------------------


def test_dead_workers_change_nothing(route: Route) -> None:
    with balancer(route) as lb:
        lb.kill(0)
        assert is_dropped(route, lb, BAD)
        assert is_served(route, GOOD)


def test_an_upgrade_keeps_the_shield_and_its_counts(route: Route) -> None:
    with balancer(route) as lb:
        assert is_dropped(route, lb, BAD)
        before = shield_of(lb)["denied"]
        lb.admin("upgrade")
        assert shield_of(lb)["denied"] >= before
        assert is_dropped(route, lb, BAD)
        assert is_served(route, GOOD)


def test_a_service_that_has_given_up_its_rights_follows_rules(route: Route) -> None:
    with balancer(route, user="nobody") as lb:
        assert is_dropped(route, lb, BAD)
        lb.admin("allow", "web", BAD)
        assert is_served(route, BAD)
        lb.admin("deny", "web", GOOD)
        assert is_dropped(route, lb, GOOD)


@pytest.mark.parametrize("killed", [False, True])
def test_nothing_is_dropped_when_the_service_has_ended(route: Route, killed: bool) -> None:
    with balancer(route) as lb:
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
