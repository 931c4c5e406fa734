"""Many sessions at the same time with random behaviour of each end: what one end receives is what
the other sent. And the whole service in chaos (harness/chaos).

One thread drives both ends of every session in random order, without blocking. Each end has a plan:
how much to send, and whether to reset. Afterwards, for each direction: the bytes that arrived are
the first of those that were sent; an orderly end means that all bytes arrived and the sender had
finished; a reset means that one end did reset.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import select
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ..harness import (
    PATIENCE_S,
    Backends,
    Balancer,
    Door,
    Load,
    Stream,
    finish,
    held,
    reset,
    stopped,
    until,
)
from ..harness.chaos import run
from ..harness.chaos.engine import looks_whole, unexplained
from ..harness.chaos.honest import Cut
from ..harness.chaos.server import Echo
from ..harness.chaos.world import Servers
from ..harness.datagrams import LARGEST
from ..harness.secure import Authority
from ..harness.soak.events import Kill

SEED = int(os.environ.get("L4LB_SEED", "1"))
ROUNDS = int(os.environ.get("L4LB_CHAOS_ROUNDS", "21"))
SESSIONS = 40
BOUND_S = 60
RESET_WORDS = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)
FLOOD = 120  # datagrams that are more than a socket's usual queue holds
SPARE_PIPES = 64  # a worker keeps this many open, two descriptors each


@dataclass
class End:
    """One end of a session: its plan, and its state."""

    peer: socket.socket
    out: Stream
    into: Stream
    resets_at: int | None
    laziness: float
    sent: int = 0
    got: int = 0
    wrote_end: bool = False
    fate: str = ""  # "fin", "reset" (received) or "resetter" (this end has reset)
    closed: bool = False

    def turn(self, rng: random.Random) -> None:
        """Does one or two random steps of its plan."""
        if rng.random() < self.laziness:
            return
        try:
            for act in rng.sample([self.write, self.read], 2):
                if not self.closed:
                    act(rng)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in RESET_WORDS:
                raise
            self.close("reset")

    def write(self, rng: random.Random) -> None:
        if self.wrote_end:
            return
        if self.resets_at is not None and self.sent >= self.resets_at:
            self.closed, self.fate = True, "resetter"
            reset(self.peer)
        elif self.sent == self.out.size:
            self.wrote_end = True
            finish(self.peer)
            self.close_if_done()
        else:
            maximum = self.resets_at if self.resets_at is not None else self.out.size
            size = min(rng.choice([1, 100, 5000, 200_000]), maximum - self.sent)
            with contextlib.suppress(BlockingIOError):
                self.sent += self.peer.send(self.out.part(self.sent, size))

    def read(self, rng: random.Random) -> None:
        if self.fate:
            return
        data = self.peer.recv(rng.choice([1, 1000, 30_000, 200_000]))
        self.into.check(self.got, data)
        self.got += len(data)
        if not data:
            self.fate = "fin"
            self.close_if_done()

    def close_if_done(self) -> None:
        if self.fate and self.wrote_end:
            self.close(self.fate)

    def close(self, fate: str) -> None:
        self.fate, self.closed = fate, True
        self.peer.close()


def plan(
    rng: random.Random, seed: int, peers: tuple[socket.socket, socket.socket]
) -> tuple[End, End]:
    """Returns the two ends of one session; neither, one or both of them will reset."""
    sizes = [rng.choice([0, 1, 1000, 50_000, 2_000_000]) for _ in range(2)]
    streams = [Stream(seed + i, size) for i, size in enumerate(sizes)]

    def end(i: int) -> End:
        resets_at = rng.randint(0, sizes[i]) if rng.random() < 0.3 else None
        return End(peers[i], streams[i], streams[1 - i], resets_at, rng.choice([0.0, 0.5, 0.95]))

    return end(0), end(1)


def judge(sender: End, receiver: End) -> None:
    """Checks that what the receiver got is what the sender did."""
    assert receiver.got <= sender.sent
    if receiver.fate == "fin":
        assert sender.wrote_end, "an orderly end that nobody made"
        assert receiver.got == sender.out.size, "an orderly end before all bytes came"
    if receiver.fate == "reset":
        assert sender.fate == "resetter", "a reset that nobody made"


def live_out(ends: list[End], rng: random.Random) -> None:
    """Runs all ends until they are closed."""
    bound = time.monotonic() + BOUND_S
    while alive := [end for end in ends if not end.closed]:
        assert time.monotonic() < bound, [end for end in alive if end.laziness < 1]
        rng.shuffle(alive)
        for end in alive:
            end.turn(rng)
        # why: lets the balancer run on a machine with one processor; at most for a tick.
        select.select([], [], [], 0.0005)


@pytest.mark.parametrize("round_", range(5))
def test_what_one_end_sees_is_what_the_other_did(round_: int) -> None:
    seed = SEED * 10_000 + round_
    rng = random.Random(seed)
    print(f"L4LB_SEED={SEED}")  # shown when the test fails
    with Door() as door, Balancer.before([door.address]) as lb:
        pairs = []
        for n in range(SESSIONS):
            client, backend = lb.connect(), door.accept()
            client.setblocking(False)
            backend.setblocking(False)
            pairs.append(plan(rng, seed * 100 + 2 * n, (client, backend)))
        live_out([end for pair in pairs for end in pair], rng)
        for client_end, backend_end in pairs:
            judge(client_end, backend_end)
            judge(backend_end, client_end)
        until(lambda: lb.total("active") == 0, "no session is left")
        until(lambda: lb.active() == [0, 0], "no session is left")


def descriptors(lb: Balancer) -> int:
    return sum(psutil.Process(pid).num_fds() for pid in lb.pids())


def test_no_descriptor_is_lost_over_many_sessions() -> None:
    rng = random.Random(SEED)
    with Door() as door, Balancer.before([door.address]) as lb:
        before = descriptors(lb)
        for n in range(6):
            pairs = []
            for m in range(50):
                client, backend = lb.connect(), door.accept()
                client.setblocking(False)
                backend.setblocking(False)
                pairs.append(plan(rng, 1000 * n + 2 * m, (client, backend)))
            live_out([end for pair in pairs for end in pair], rng)
            until(lambda: sum(lb.active()) == 0, "no session is left")
        assert descriptors(lb) <= before + 2 * 2 * SPARE_PIPES


def test_after_many_killed_workers_no_place_is_lost_and_none_is_invented(three: Backends) -> None:
    """Workers die at any instruction, also between two steps of a shared count."""
    rows = [{**row, "max_connections": 20} for row in three.rows()]
    limits = {"max_connections": 60}
    with Balancer.before(rows, balance="least_connections", limits=limits) as lb:
        with Load(lb, threads=6, size=2000) as load:
            for n in range(8):
                load.wait_for_more(20)
                old = lb.kill(worker=n % 2)
                lb.wait_for_new_worker(n % 2, old)
        until(lambda: lb.total("active") == 0, "counts return to zero")
        with held(lb, 60) as clients:
            reached = sorted(name for _, name in clients)
            assert reached == ["a"] * 20 + ["b"] * 20 + ["c"] * 20
            assert sum(lb.active()) == 60
        until(lambda: sum(lb.active()) == 0, "counts return to zero")


# why three: so that a parallel run spreads them over its processes.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(3))
def test_honest_clients_get_every_byte_whatever_happens_to_the_service(part: int) -> None:
    print(f"L4LB_SEED={SEED}")  # shown when the test fails
    reports = os.environ.get("L4LB_REPORTS")  # with sanitizers, freed memory is kept
    outcome = run(SEED * 10_000 + part, ROUNDS, memory=not reports)
    print("\n".join(outcome.lines()))
    assert not outcome.wrong, "\n".join(outcome.wrong)


@pytest.mark.parametrize(
    ("kills", "said"),
    [
        ([], "nothing ended"),
        ([Kill(4.0, 5.0, 9, by_signal=True)], "nothing ended"),
        ([Kill(0.0, 0.9, 9, by_signal=True)], "nothing ended"),
        ([Kill(2.0, 2.1, 9, by_signal=False)], "looked whole"),
        ([Kill(2.0, 2.1, 0, by_signal=True)], "of at most 0"),
        ([Kill(2.0, 2.1, 1, by_signal=True)], ""),
        ([Kill(0.5, 1.5, 1, by_signal=True)], ""),
        ([Kill(0.5, 9.0, 1, by_signal=True)], ""),
    ],
)
def test_a_cut_that_no_kill_explains_is_a_fault(kills: list[Kill], said: str) -> None:
    wrong = unexplained([Cut("plain", 7, "short", begun=1.0, ended=3.0)], kills)
    assert bool(wrong) == bool(said)
    assert said in " ".join(wrong)


@pytest.mark.parametrize(
    ("kind", "manner", "said"),
    [("plain", "short", True), ("unix", "short", False), ("ends", "torn", False)],
)
def test_an_end_that_is_no_reset_looks_whole_to_a_client_of_tcp(
    kind: str, manner: str, said: bool
) -> None:
    assert looks_whole(Cut(kind, 7, manner, begun=1.0, ended=3.0)) == said


def test_a_large_datagram_finds_room_at_a_server_that_a_flood_keeps_busy(tmp_path: Path) -> None:
    question = bytes(9_000)
    with contextlib.ExitStack() as stack:
        servers = Servers(tmp_path, stack.enter_context(Authority()))
        stack.callback(servers.close)
        client, foe = (
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
        )
        for one in (client, foe):
            one.settimeout(PATIENCE_S)
            one.connect(("127.0.0.1", servers.ports["u1"]))
        with stopped(servers.script.process.pid):
            for _ in range(FLOOD):
                foe.send(bytes(1_400))
            client.send(question)
        assert client.recv(LARGEST) == question
        assert servers.dropped() == 0


def test_a_server_answers_in_one_turn_all_datagrams_that_wait() -> None:
    echo = Echo(port=0)
    with echo.sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE_S)
        client.connect(echo.sock.getsockname())
        for n in range(50):
            client.send(b"%d" % n)
        echo.answer()
        assert [int(client.recv(LARGEST)) for _ in range(50)] == list(range(50))
