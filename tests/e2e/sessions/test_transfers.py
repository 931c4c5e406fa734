"""Invariant 1: bytes out = bytes in, whatever the sizes, timing, half-closes and back-pressure."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from ..harness import Balancer, Door, Manner, Stream, finish, receive, send

SEED = int(os.environ.get("L4LB_SEED", "1"))
KIB, MIB = 1 << 10, 1 << 20
ORDERS = ("together", "client_first", "backend_first")


@dataclass(frozen=True)
class Transfer:
    """One session: how many bytes go each way, in which order, and in which manner."""

    seed: int
    up: int
    down: int
    order: str  # one of ORDERS: the side that sends all and half-closes before the other begins
    sending: Manner
    reading: Manner


def draw(seed: int) -> Transfer:
    """Returns a random transfer: mostly small, sometimes large, each with its own pace."""
    rng = random.Random(seed)

    def size() -> int:
        maximum = rng.choice([0, 1, 100, 5 * KIB, 40 * KIB, 300 * KIB, 300 * KIB, 4 * MIB])
        return rng.randint(0, maximum)

    def manner(total: int) -> Manner:
        # why: a pause for each small chunk of a large stream would take minutes.
        chunk = rng.choice([1 * KIB, 16 * KIB, 64 * KIB, 512 * KIB])
        chance = min(rng.choice([0.0, 0.05, 0.3]), 60 * chunk / (total + 1))
        return Manner(chunk, chance, rng.uniform(0.1, 4.0))

    up, down = size(), size()
    maximum = max(up, down)
    return Transfer(seed, up, down, rng.choice(ORDERS), manner(maximum), manner(maximum))


class End(threading.Thread):
    """One end of a session: sends its stream and half-closes, and reads the other's stream to its
    end."""

    def __init__(
        self, peer: socket.socket, out: Stream, into: Stream, transfer: Transfer, waits: bool
    ) -> None:
        super().__init__(daemon=True)
        self.peer, self.out, self.into = peer, out, into
        self.transfer, self.waits = transfer, waits
        self.got = -1
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            if self.waits:
                self.read()
                self.write()
            else:
                sender = threading.Thread(target=self.write, daemon=True)
                sender.start()
                self.read()
                sender.join(timeout=60)
        except Exception as error:  # the main thread of the test reports it
            self.error = error

    def write(self) -> None:
        send(self.peer, self.out, self.transfer.sending, self.transfer.seed)
        finish(self.peer)

    def read(self) -> None:
        self.got = receive(self.peer, self.into, self.transfer.reading, self.transfer.seed + 1)


def carry_out(lb: Balancer, door: Door, transfer: Transfer) -> None:
    """Opens the session and checks both directions, byte for byte."""
    up = Stream(transfer.seed, transfer.up)
    down = Stream(transfer.seed + 1, transfer.down)
    client, backend = lb.connect(timeout_s=60), door.accept()
    with client, backend:
        client.settimeout(60)
        backend.settimeout(60)
        ends = [
            End(client, up, down, transfer, transfer.order == "backend_first"),
            End(backend, down, up, transfer, transfer.order == "client_first"),
        ]
        for end in ends:
            end.start()
        for end in ends:
            end.join(timeout=90)
            if end.error:
                raise end.error
        assert (ends[0].got, ends[1].got) == (transfer.down, transfer.up), transfer


@pytest.fixture(scope="module")
def doors() -> Iterator[list[tuple[Balancer, Door]]]:
    """Four balancers with one backend each, so that four transfers run at once without being mixed
    up."""
    with Door() as a, Door() as b, Door(unix=True) as c, Door("::1") as d:
        pairs = []
        with (
            Balancer.before([a.address], workers=1) as one,
            Balancer.before([b.address], workers=2) as two,
            Balancer.before([c.address], workers=1) as three,
            Balancer.before([d.address], workers=1) as four,
        ):
            pairs = [(one, a), (two, b), (three, c), (four, d)]
            yield pairs


@pytest.mark.parametrize("round_", range(6))
def test_random_transfers_arrive_byte_exact_in_both_directions(
    doors: list[tuple[Balancer, Door]], round_: int
) -> None:
    first = SEED * 1_000_000 + round_ * 1000
    print(f"L4LB_SEED={SEED}, transfers {first}...")

    def work(lane: int) -> None:
        lb, door = doors[lane]
        for n in range(12):
            transfer = draw(first + lane * 100 + n)
            try:
                carry_out(lb, door, transfer)
            except Exception as error:
                raise AssertionError(f"{transfer}: {error!r}") from error

    with ThreadPoolExecutor(len(doors)) as pool:
        list(pool.map(work, range(len(doors))))


@pytest.mark.parametrize("order", ORDERS)
def test_64_mib_arrive_byte_exact_in_both_directions(
    doors: list[tuple[Balancer, Door]], order: str
) -> None:
    manner = Manner(chunk=256 * KIB)
    transfer = Transfer(SEED, 64 * MIB, 64 * MIB - 12_345, order, manner, manner)
    carry_out(*doors[1], transfer)


@pytest.mark.parametrize("lane", range(4))
@pytest.mark.parametrize("order", ORDERS)
def test_an_empty_session_ends_in_order_at_both_ends(
    doors: list[tuple[Balancer, Door]], lane: int, order: str
) -> None:
    carry_out(*doors[lane], Transfer(SEED, 0, 0, order, Manner(), Manner()))


def test_a_slow_reader_holds_the_sender_back_and_still_gets_every_byte(
    doors: list[tuple[Balancer, Door]],
) -> None:
    lb, door = doors[0]
    slow = Manner(chunk=128 * KIB, rest_chance=0.5, rest_ms=2)
    fast = Manner(chunk=MIB)
    carry_out(lb, door, Transfer(SEED, 24 * MIB, 0, "client_first", fast, slow))
    carry_out(lb, door, Transfer(SEED, 0, 24 * MIB, "backend_first", fast, slow))


def test_a_reader_that_does_not_read_stops_the_sender_after_bounded_bytes(
    doors: list[tuple[Balancer, Door]],
) -> None:
    lb, door = doors[0]
    stream = Stream(SEED, 512 * MIB)
    client, backend = lb.connect(), door.accept()
    with client, backend:
        client.settimeout(1.0)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < stream.size:
                sent += client.send(stream.part(sent, MIB))
        assert 0 < sent < stream.size
        rest = Stream(SEED, sent)
        finish(client)
        assert receive(backend, rest) == sent
