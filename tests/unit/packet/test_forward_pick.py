"""The kernel's program chooses the backend that a worker would choose: the same shared table, the
same clients."""

from __future__ import annotations

import ipaddress
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest

from l4lb.native import choose
from l4lb.native.rows import Address
from l4lb.native.table import Table
from l4lb.packet import tables

from .forwarding import Forward, loaded
from .frames import TCP, frame, tcp

native = pytest.importorskip("l4lb.native.forward", reason="built without libbpf")

HASH_KEY = bytes(range(16))
ADDRESSES = {4: ("10.5.0.1", "10.9.0.7", "10.5.0.2"), 6: ("fd05::1", "fd09::7", "fd05::2")}
VIP, BACKEND, SOURCE = ADDRESSES[4]
PORT = 80
BALANCES = ("round_robin", "least_connections", "least_response_time", "random", "first",
            "ip_hash", "maglev")  # fmt: skip
HASHED = 2_000  # clients of each case: 8 cases for each of the two algorithms


class Case(NamedTuple):
    """A pool. backends: weight, backup, health, state."""

    backends: Sequence[tuple[int, bool, str, str]]
    all_backups: bool = False
    when_all_down: str = "refuse"


UP = (1, False, "up", "ready")
CASES = {
    "all are up": Case([UP] * 7),
    "weights": Case([(w, False, "up", "ready") for w in (1, 5, 2, 0, 8)]),
    "some are down": Case([(1 + n % 3, False, ("up", "down", "unknown")[n % 3], "ready")
                           for n in range(9)]),
    "nearly all are down": Case([*[(1, False, "down", "ready")] * 40, UP]),
    "drained": Case([(2, False, "up", state) for state in ("ready", "drain", "ready", "maint")]),
    "a backup serves": Case([(3, False, "down", "ready"), (1, True, "up", "ready"),
                             (1, True, "up", "ready")]),
    "all backups serve": Case([(3, False, "down", "ready"), (1, True, "up", "ready"),
                               (2, True, "up", "ready")], all_backups=True),
    "all are tried": Case([(n, n == 3, "down", "ready") for n in (1, 2, 3)],
                          when_all_down="try_all"),
}  # fmt: skip
NOBODY = Case([(1, False, "down", "ready")] * 3)


class Rig:
    """A program that follows a shared table with one pool."""

    def __init__(
        self,
        forward: Forward,
        case: Case,
        balance: str,
        *,
        prefixes: tuple[int, int] = (32, 128),
        key: str = "source_ip",
        family: int = 4,
    ) -> None:
        self.vip, self.backend, self.source = ADDRESSES[family]
        self.forward, made = forward, forward.made
        self.table = Table((1, 1, 1, 64, 64))
        self.table.set_hash_key(HASH_KEY)
        self.table.set_pool(0, name="p", balance=balance, when_all_down=case.when_all_down,
                            all_backups=case.all_backups, hash_key=key,
                            hash_prefix_ipv4=prefixes[0], hash_prefix_ipv6=prefixes[1],
                            maglev_size=65_537 if balance == "maglev" else 0)  # fmt: skip
        for row, (weight, backup, health, state) in enumerate(case.backends):
            self.table.set_backend(row, pool=0, name=f"b{row}", weight=weight, max_connections=0,
                                   address=Address(self.backend, 9000 + row, ""), backup=backup,
                                   health=health)  # fmt: skip
            self.table.set_state(row, state)
            one = tables.Backend(self.backend, 9000 + row, 0, row, 0, bytes(16), self.source)
            made.put("backends", tables.index(row), one.packed())
        for row in range(len(case.backends), 64):
            made.put("backends", tables.index(row), tables.FREE_BACKEND)
        self.table.publish(0)
        flags = tables.TRY_ALL * (case.when_all_down == "try_all")
        flags |= tables.ALL_BACKUPS * case.all_backups
        made.put("pools", tables.index(0),
                 tables.Pool(BALANCES.index(balance), flags, row=0, prefixes=prefixes,
                             hash=tables.HASHES[key]).packed())  # fmt: skip
        made.put("turns", tables.index(0), bytes(16))
        memory = os.memfd_create("tracked")
        os.ftruncate(memory, native.HEAD_BYTES + 64 * native.TRACKED_BYTES)
        self.process = native.Forwarder(self.table, 0, made.fds[1:], memory)
        os.close(memory)
        self.process.tick()

    def chosen(self, client: str, port: int) -> int | None:
        """Returns the backend that a new client gets; None: the worker serves it."""
        made = self.forward.made
        made.run(frame(client, self.vip, tcp(PORT, from_port=port), TCP), 1)
        key = tables.Key(client, self.vip, port, PORT, TCP).packed()
        value = made.get("young", key)
        if value is None:
            return None
        found = tables.Flow.unpacked(value)
        made.drop("young", key)
        back = tables.Key(self.backend, self.source, found.target_port, found.source_port, TCP)
        made.drop("young", back.packed())
        return found.backend


@pytest.fixture(scope="module")
def forward(_network_of_its_own: None) -> Iterator[Forward]:
    made = loaded(slots=4 * 65_537)
    made.made.put("settings", bytes(4), tables.Settings(
        int.from_bytes(HASH_KEY[:8], "little"), int.from_bytes(HASH_KEY[8:], "little"),
    ).packed())  # fmt: skip
    for vip, _, _ in ADDRESSES.values():
        made.made.put("services", tables.service(vip, PORT, "tcp"), tables.Place(0, 0).packed())
    yield made
    made.made.close()


def clients(count: int) -> Iterator[tuple[str, int]]:
    for n in range(count):
        yield str(ipaddress.IPv4Address(0x0B000000 + 2654435761 * n % (1 << 24))), 1024 + n % 60_000


@pytest.mark.parametrize("balance", ["ip_hash", "maglev"])
@pytest.mark.parametrize("name", CASES)
def test_hashes_lead_to_the_same_backend(forward: Forward, name: str, balance: str) -> None:
    rig = Rig(forward, CASES[name], balance)
    for client, port in clients(HASHED):
        wanted = choose.explain(rig.table, 0, client, port, 0).backend
        assert wanted is not None
        assert rig.chosen(client, port) == wanted


@pytest.mark.parametrize("key", ["source_ip", "source_ip_port"])
@pytest.mark.parametrize("prefixes", [(32, 128), (24, 64), (11, 49)])
@pytest.mark.parametrize("family", [4, 6])
def test_so_do_parts_of_addresses_and_ports(
    forward: Forward, family: int, prefixes: tuple[int, int], key: str
) -> None:
    rig = Rig(forward, CASES["all are up"], "maglev", prefixes=prefixes, key=key, family=family)
    for client, port in clients(500):
        if family == 6:
            parts = client.split(".")
            client = f"fd0a:{parts[1]}:{parts[2]}:{parts[3]}::{port:x}"
        wanted = choose.explain(rig.table, 0, client, port, 0).backend
        assert rig.chosen(client, port) == wanted


@pytest.mark.parametrize("name", CASES)
def test_the_first_usable_serves(forward: Forward, name: str) -> None:
    rig = Rig(forward, CASES[name], "first")
    for client, port in clients(100):
        assert rig.chosen(client, port) == choose.explain(rig.table, 0, client, port, 0).backend


@pytest.mark.parametrize("name", CASES)
def test_turns_are_those_of_workers(forward: Forward, name: str) -> None:
    rig = Rig(forward, CASES[name], "round_robin")
    found = [rig.chosen(*client) for client in clients(HASHED)]
    wanted, _ = choose.picks(rig.table, 0, HASHED, 0)
    assert Counter(found) == wanted
    usable = {row for row in wanted if wanted[row]}
    turn = [row for row in rig.table.schedule(0) if row in usable]
    if name not in ("a backup serves", "all backups serve", "all are tried"):
        assert found[: len(turn)] == turn  # from the first ticket on, none is left out


@pytest.mark.parametrize("name", CASES)
def test_chance_keeps_the_shares(forward: Forward, name: str) -> None:
    rig = Rig(forward, CASES[name], "random")
    found = Counter(rig.chosen(*client) for client in clients(HASHED))
    wanted, _ = choose.picks(rig.table, 0, 20 * HASHED, 0)
    assert found.keys() == wanted.keys()
    for row, count in found.items():
        assert abs(count - wanted[row] / 20) < 6 * HASHED**0.5


@pytest.mark.parametrize("balance", ["round_robin", "random", "first", "ip_hash", "maglev"])
def test_workers_serve_where_no_backend_is_usable(forward: Forward, balance: str) -> None:
    rig = Rig(forward, NOBODY, balance)
    before = forward.drops().get("no_backend", 0)
    assert [rig.chosen(*client) for client in clients(3)] == [None] * 3
    assert forward.drops()["no_backend"] == before + 3


def test_health_is_followed_and_leaves_others_where_they_are(forward: Forward) -> None:
    rig = Rig(forward, CASES["all are up"], "maglev")
    before = {client: rig.chosen(*client) for client in clients(500)}
    rig.table.set_state(2, "drain")
    rig.process.tick()
    after = {client: rig.chosen(*client) for client in before}
    assert 2 not in after.values()
    assert {c: b for c, b in before.items() if b != 2} == {
        c: b for c, b in after.items() if before[c] != 2
    }
    rig.table.set_state(2, "ready")
    rig.process.tick()
    assert {client: rig.chosen(*client) for client in before} == before


def test_prefixes_and_ports_count_as_the_pool_says(forward: Forward) -> None:
    case = CASES["all are up"]
    near = [f"11.0.0.{n}" for n in range(1, 60)]
    whole = Rig(forward, case, "maglev")
    assert len({whole.chosen(one, 5000) for one in near}) > 3
    assert len({whole.chosen(near[0], port) for port in range(5000, 5060)}) == 1
    net = Rig(forward, case, "maglev", prefixes=(24, 64))
    assert len({net.chosen(one, 5000) for one in near}) == 1
    by_port = Rig(forward, case, "maglev", key="source_ip_port")
    assert len({by_port.chosen(near[0], port) for port in range(5000, 5060)}) > 3


def test_ports_towards_a_backend_come_back_late(forward: Forward) -> None:
    rig = Rig(forward, Case([UP]), "first")
    made, ports = forward.made, []
    for client, port in clients(5_000):
        made.run(frame(client, VIP, tcp(PORT, from_port=port), TCP), 1)
        key = tables.Key(client, VIP, port, PORT, TCP).packed()
        found = tables.Flow.unpacked(made.get("young", key) or b"")
        ports.append(found.source_port)
        made.drop("young", key)
        made.drop("young", tables.Key(BACKEND, SOURCE, 9000, found.source_port, TCP).packed())
    assert rig.table.schedule(0) == [0]
    assert len(set(ports)) == len(ports)
    assert not set(ports) & set(range(32768, 61000))
    assert min(ports) >= 1024
    steps = {(b - a) % 65536 for a, b in itertools.pairwise(ports)}
    assert len(steps) <= 3  # in turn, but for the ports of the host


@pytest.mark.parametrize(("low", "high", "free"), [
    (1024, 65535, 0), (1, 65535, 0), (0, 65533, 2), (1027, 65535, 3), (1025, 65534, 2),
])  # fmt: skip
def test_the_hosts_own_ports_are_left_alone(
    forward: Forward, low: int, high: int, free: int
) -> None:
    rig, made = Rig(forward, Case([UP]), "first"), forward.made
    rig.chosen("11.9.9.9", 1)
    held = made.get("settings", bytes(4)) or b""
    made.put(
        "settings",
        bytes(4),
        held[:24] + low.to_bytes(2, "little") + high.to_bytes(2, "little") + held[28:],
    )
    taken, refused = [], forward.drops().get("no_local_port", 0)
    try:
        for n in range(free + 5):
            made.run(frame(f"11.8.0.{n}", VIP, tcp(PORT), TCP), 1)
            key = tables.Key(f"11.8.0.{n}", VIP, 1234, PORT, TCP)
            if (value := made.get("young", key.packed())) is not None:
                taken.append(tables.Flow.unpacked(value).source_port)
    finally:
        made.put("settings", bytes(4), held)
    assert len(set(taken)) == len(taken) == free
    assert not [port for port in taken if low <= port <= high or port < 1024]
    assert forward.drops().get("no_local_port", 0) - refused == 5
    for key in made.keys("young", 64):
        made.drop("young", key)
