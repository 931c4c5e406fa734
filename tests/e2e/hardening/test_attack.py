"""Floods, slow headers, resets and half-open connections at the same time: well-behaved clients are
served."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pytest

from ..harness import (
    PATIENCE_S,
    PORTS,
    Backends,
    Balancer,
    one_pool,
    program,
    read_line,
    until,
)  # fmt: skip
from ..harness.netns import Hosts, two_hosts

ATTACKERS = Path(__file__).resolve().parents[3] / "bench" / "lib" / "attackers.py"
BAD, RESETTER = "127.0.0.66", "127.0.0.67"
NEW_A_SECOND, AT_ONE_TIME, TIMES = 20, 10, 50
SLOW = 250  # slow connections of each kind
SERVER, CLIENT, SPOOFED = "10.79.0.1", "10.79.0.2", "10.79.0.0/24"
IDLE_S = 20
GROWTH = 16 << 20  # bytes that a second wave may add to a worker; a leak adds more
Inside = Callable[[], contextlib.AbstractContextManager[None]]


class Attacker:
    """One process of bench/lib/attackers.py, at full strength inside the block. It sets `counts` at
    the end."""

    def __init__(self, kind: str, to: str, *options: object, prefix: Sequence[str] = ()) -> None:
        self.command = [*prefix, sys.executable, str(ATTACKERS), kind, "--to", to]
        self.command += [str(option) for option in options]
        self.counts: dict[str, int] = {}

    def __enter__(self) -> Attacker:
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line != "attacks\n":
            self.process.wait(timeout=PATIENCE_S)
            raise AssertionError(f"{self.command} ended: {line}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            out, _ = self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, _ = self.process.communicate()
        if kind is None:
            self.counts = json.loads(out)


class Crowd:
    """Well-behaved clients from many sources: new connections and open ones. `errors` is set at the
    end."""

    def __init__(self, address: tuple[str, int], inside: Inside) -> None:
        self.address, self.inside = address, inside
        self.sources = itertools.cycle(f"127.0.2.{n}" for n in range(1, 251))
        self.done: Counter[str] = Counter()
        self.errors: list[str] = []

    def __enter__(self) -> Crowd:
        self._stop = threading.Event()
        works = [self._come_and_go, self._come_and_go, self._stay]
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=PATIENCE_S)
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"

    def _client(self) -> socket.socket:
        client = socket.create_connection(self.address, PATIENCE_S, (next(self.sources), 0))
        assert read_line(client) == "a"
        return client

    def _echo(self, client: socket.socket, what: str) -> None:
        client.sendall(what.encode())
        assert client.recv(len(what), socket.MSG_WAITALL) == what.encode()
        self.done[what] += 1

    def _come_and_go(self) -> None:
        with self.inside():
            while not self._stop.wait(0.005):
                try:
                    with self._client() as client:
                        self._echo(client, "come and go")
                except (OSError, EOFError, AssertionError) as error:
                    self.errors.append(f"new: {error!r}")

    def _stay(self) -> None:
        with self.inside(), contextlib.ExitStack() as stack:
            try:
                clients = [stack.enter_context(self._client()) for _ in range(20)]
                while not self._stop.wait(0.005):
                    for client in clients:
                        self._echo(client, "stay")
            except (OSError, EOFError, AssertionError) as error:
                self.errors.append(f"held: {error!r}")

    def wait_for_more(self, count: int) -> None:
        """Waits until this number more of each kind were served, or one was not."""
        goal = {what: self.done[what] + count for what in ("come and go", "stay")}
        until(
            lambda: self.errors or all(self.done[what] >= goal[what] for what in goal),
            f"{count} more of each are served",
        )
        assert not self.errors


def balancer(backends: Backends, host: str, **how: Any) -> Balancer:
    """A balancer with three listeners and one pool: one with limits, one that reads ClientHellos,
    one that reads PROXY headers."""
    config = one_pool(
        f"{host}:{PORTS.take()}", backends.rows(), process={"workers": 2}, limits={"shed": "off"}
    )
    # why: under such a load the kernel may lose a reset (softnet_stat); its session then ends idle.
    config["pools"]["web"]["idle_timeout"] = f"{IDLE_S}s"
    doors = config["listeners"]
    doors["web"]["limits"] = {
        "rate_per_source": NEW_A_SECOND,
        "connections_per_source": AT_ONE_TIME,
    }
    for name in ("hello", "proxy"):
        doors[name] = {
            "bind": [f"{host}:{PORTS.take()}"],
            "pool": "web",
            "handshake_timeout": "2s",
        }
    doors["hello"]["routes"] = [{"sni": "nobody.example", "pool": "web"}]
    doors["proxy"] |= {"proxy_protocol": "require", "trusted": ["127.0.0.0/8"]}
    return Balancer(config, **how)


def port(lb: Balancer, listener: str = "web") -> int:
    return int(lb.binds(listener)[0].rpartition(":")[2])


def attackers(lb: Balancer, prefix: Sequence[str]) -> list[Attacker]:
    """One source at TIMES its limits, slow headers from many sources, and a flood of resets."""
    many = [f"127.0.3.{n}" for n in range(1, 101)]
    return [
        Attacker(
            "flood", f"127.0.0.1:{port(lb)}", "--from", BAD, "--rate", NEW_A_SECOND * TIMES,
            "--connections", AT_ONE_TIME * TIMES, prefix=prefix,
        ),
        Attacker(
            "resets", f"127.0.0.1:{port(lb)}", "--from", RESETTER, "--rate", 500, prefix=prefix
        ),
        *(
            Attacker(
                "slow", f"127.0.0.1:{port(lb, say)}", "--from", *many, "--connections", SLOW,
                "--every", 0.5, "--say", say, prefix=prefix,
            )
            for say in ("hello", "proxy")
        ),
    ]  # fmt: skip


def private_bytes(lb: Balancer) -> int:
    return sum(psutil.Process(pid).memory_full_info().uss for pid in lb.pids())


def held(lb: Balancer) -> set[str]:
    """Returns the sessions of the attacking source."""
    return {row["id"] for row in lb.ask("sessions", source=BAD, limit=1000)}


def wave(lb: Balancer, crowd: Crowd, attacks: Sequence[Attacker]) -> int:
    """Runs all attacks at once while the crowd is served. Returns the workers' private memory at
    the end."""
    crowd.wait_for_more(20)
    with contextlib.ExitStack() as stack:
        for attack in attacks:
            stack.enter_context(attack)
        until(lambda: ended(lb)["rejected:handshake_timeout"] > 0, "slow ones run out of time")
        crowd.wait_for_more(100)
        # why twice: sessions end and begin while a list is made, so one list may contain a session
        # and its successor. Sessions in both lists existed at the same time.
        assert len(held(lb) & held(lb)) <= AT_ONE_TIME
    return private_bytes(lb)


def ended(lb: Balancer) -> Counter[str]:
    return Counter(lb.ask("stats")["ended"])


def check_the_books(lb: Balancer, crowd: Crowd) -> None:
    """Checks the counts: each client has one outcome, nothing is held any more, and refusals have a
    reason."""
    until(lambda: lb.status()["connections"] == 0, "no session is left", timeout_s=2 * IDLE_S)
    stats, how = lb.ask("stats"), ended(lb)
    assert stats["accepted"] == how.total()
    assert stats["uncounted"] == 0
    assert lb.active() == [0, 0]
    assert lb.backends()["a"]["active"] == 0
    assert sum(row["active"] for row in lb.ask("listeners")) == 0
    assert how["rejected:source_rate"] + how["rejected:source_connections"] > TIMES * AT_ONE_TIME
    assert how["error"] == how["error:WORKER_DIED"] == 0
    refused = sum(row["refused"] for row in lb.ask("listeners"))
    assert refused >= sum(how[reason] for reason in how if reason.startswith("rejected:"))
    served = sum(crowd.done.values())
    assert served > 0
    assert how["client_fin"] + how["backend_fin"] >= crowd.done["come and go"]


def run(lb: Balancer, inside: Inside, prefix: Sequence[str], *more: Attacker) -> None:
    with Crowd(("127.0.0.1", port(lb)), inside) as crowd:
        first = wave(lb, crowd, [*attackers(lb, prefix), *more])
        second = wave(lb, crowd, [*attackers(lb, prefix), *more])
    assert not crowd.errors
    assert second - first < GROWTH
    check_the_books(lb, crowd)


def test_whoever_behaves_is_served_while_others_attack() -> None:
    with Backends(1) as backends, balancer(backends, "127.0.0.1") as lb:
        run(lb, contextlib.nullcontext, ())


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with two_hosts(server=[SERVER], client=CLIENT) as made:
        yield made


def half_open(hosts: Hosts) -> int:
    """Returns the number of connections whose last handshake segment the server waits for."""
    shown = subprocess.run(
        [*hosts.prefix, "cat", "/proc/net/tcp"], check=True, capture_output=True, text=True
    ).stdout
    return sum(line.split()[3] == "03" for line in shown.splitlines()[1:])


def test_and_while_half_open_connections_fill_the_queue(hosts: Hosts) -> None:
    with (
        hosts.inside(),
        Backends(1) as backends,
        balancer(backends, "0.0.0.0", command=[*hosts.prefix, *program()]) as lb,
    ):
        storm = Attacker(
            "half-open", f"{SERVER}:{port(lb)}", "--rate", 2000, "--spoof", SPOOFED,
            prefix=["ip", "netns", "exec", hosts.client],
        )  # fmt: skip
        with storm:
            until(lambda: half_open(hosts) > 0, "there are half-open connections")
            run(lb, hosts.inside, hosts.prefix)
        assert storm.counts["sent"] > 0
