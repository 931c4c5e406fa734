"""The rate limit of a source in the kernel: as the naive twin says, and never stricter than a
worker is."""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4lb.native import sets
from l4lb.native.packet_rows import Policy, Rate

from .frames import TCP, frame, tcp
from .teaching import LOCAL, LONG_NS, LOOPBACK, counted, drops, teach
from .twin import TRIES, Limit, Rules, Twin

packet = pytest.importorskip("l4lb.native.packet", reason="built without libbpf")
if TYPE_CHECKING:
    from l4lb.native.packet import Shield

SECOND_NS = 10**9
ACK = 0x10

# ---- one source ----------------------------------------------------------------------------------


@dataclass
class Tokens:
    """A bucket with `burst` tokens, of which one comes back in each step. Times in nanoseconds."""

    step: int
    room: int  # nanoseconds that all tokens take to come back
    lacks: int = 0
    then: int = 0

    def take(self, now: int) -> bool:
        self.lacks = max(0, self.lacks - (now - self.then))
        self.then = now
        fits = self.lacks + self.step <= self.room
        self.lacks += self.step if fits else 0
        return fits


@dataclass
class NaiveSource:
    step: int
    burst: int

    def __post_init__(self) -> None:
        self.worker = Tokens(self.step, self.burst * self.step)
        self.syns = Tokens(self.step // TRIES, self.burst * self.step + SECOND_NS)
        self.over: int | None = None

    def complete(self, now: int) -> bool:
        """Returns whether a worker admits the client."""
        admitted = self.worker.take(now)
        if not admitted:
            self.over = now
        return admitted

    def passes(self, now: int) -> bool:
        if self.syns.take(now):
            return True
        return self.over is None or now - self.over > SECOND_NS + 2 * self.step


_limits = st.tuples(st.sampled_from([1, 2, 50, 999, 10**7]), st.integers(1, 20))
_gaps = st.one_of(
    st.integers(0, 1000), st.integers(0, SECOND_NS // 10), st.integers(0, 4 * SECOND_NS)
)


def step_of(per_second: int) -> int:
    return max(1, SECOND_NS // per_second)


@given(_limits, st.lists(st.tuples(_gaps, st.booleans()), max_size=200))
def test_a_bucket_says_what_the_naive_twin_says(
    limit: tuple[int, int], events: list[tuple[int, bool]]
) -> None:
    step, burst = step_of(limit[0]), limit[1]
    bucket, naive, now = packet.Bucket(), NaiveSource(step, burst), 5 * SECOND_NS
    for gap, is_syn in events:
        now += gap
        if is_syn:
            assert bucket.passes(step, burst, now) == naive.passes(now)
        else:
            bucket.complete(step, burst, now)
            naive.complete(now)


@given(_limits, st.lists(st.tuples(_gaps, st.integers(0, 50), st.booleans()), max_size=100))
def test_a_source_within_its_limit_passes_whatever_others_send_in_its_name(
    limit: tuple[int, int], events: list[tuple[int, int, bool]]
) -> None:
    step, burst = step_of(limit[0]), limit[1]
    bucket, worker, now = packet.Bucket(), Tokens(step, burst * step), 5 * SECOND_NS
    for gap, forged, connects in events:
        now += gap
        for _ in range(forged):
            bucket.passes(step, burst, now)
        if connects:
            assert bucket.passes(step, burst, now)
            bucket.complete(step, burst, now)
            if not worker.take(now):
                break  # from here on it is above its limit


class Passage:
    """Clients of one source on their way through the shield to a worker."""

    def __init__(self, step: int, burst: int, trip_ns: int) -> None:
        self.step, self.burst, self.trip_ns = step, burst, trip_ns
        self.bucket = packet.Bucket()
        self.worker = Tokens(step, burst * step)
        self.under_way: list[int] = []
        self.reached = self.admitted = 0

    def come(self, now: int) -> None:
        self.arrive(now)
        if self.bucket.passes(self.step, self.burst, now):
            self.under_way.append(now + self.trip_ns)

    def arrive(self, until: int) -> None:
        while self.under_way and self.under_way[0] <= until:
            at = self.under_way.pop(0)
            self.bucket.complete(self.step, self.burst, at)
            self.admitted += self.worker.take(at)
            self.reached += 1


@settings(max_examples=50)
@given(_limits, st.sampled_from([0.5, 1, 2, 5, 40]), st.sampled_from([0, 1, 40]), st.integers(0))
def test_a_source_above_its_limit_has_as_many_connections_as_without_a_shield(
    limit: tuple[int, int], faster: float, trip_ms: int, seed: int
) -> None:
    """trip_ms: from a SYN to the acknowledgement."""
    step, burst = step_of(limit[0]), limit[1]
    chance, trip_ns = random.Random(seed), trip_ms * 1_000_000
    way, alone, admitted_alone = Passage(step, burst, trip_ns), Tokens(step, burst * step), 0
    now = began = 5 * SECOND_NS
    for _ in range(1000):
        now += chance.randint(0, int(2 * step / faster))
        way.come(now)
        admitted_alone += alone.take(now + trip_ns)
    way.arrive(now + trip_ns)
    assert way.admitted >= 0.9 * admitted_alone - 1
    allowed = 4 * (now - began + SECOND_NS) / step + 4 * burst
    assert way.reached <= allowed + 4 * (1 + trip_ns * faster / step)


# ---- the program ---------------------------------------------------------------------------------


@dataclass
class Front:
    """Sockets of this host with handshakes that wait to be completed."""

    ports: dict[str, int]  # of listening sockets, by address
    waiting: list[tuple[str, int, str, int]]


@pytest.fixture(scope="module")
def front(_network_of_its_own: None) -> Iterator[Front]:
    opened, made = [], Front({}, [])
    for target in (one for one in LOCAL if one.endswith("1")):
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        server = socket.create_server((target, 0), family=family)
        # why: a handshake then stays incomplete until its client sends a byte.
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 60)
        made.ports[target] = server.getsockname()[1]
        opened.append(server)
        for source in (one for one in LOCAL if (":" in one) == (":" in target)):
            client = socket.socket(family)
            client.bind((source, 0))
            client.connect(server.getsockname()[:2])
            opened.append(client)
            made.waiting.append((source, client.getsockname()[1], target, made.ports[target]))
    yield made
    for one in opened:
        one.close()


def twin_with(front: Front, rules: Rules) -> Twin:
    to_address = ipaddress.ip_address
    services = {(to_address(one), port, "tcp"): (1, 0) for one, port in front.ports.items()}
    waiting = {(to_address(a), p, to_address(b), q) for a, p, b, q in front.waiting}
    return Twin(services, {1: rules}, set(), set(map(to_address, LOCAL)), waiting)


def segment(ends: tuple[str, int, str, int], flags: int) -> bytes:
    source, from_port, target, port = ends
    return frame(source, target, tcp(port, flags, from_port), TCP)


_lists = st.dictionaries(st.sampled_from(["10.5.0.2", "fd05::/16", "10.5.0.0/16"]),
                         st.sampled_from([sets.ALLOW, sets.DENY]), max_size=1)  # fmt: skip
_rules = st.builds(
    Rules, proxies=st.just({}) | _lists, access=st.just({}) | _lists, speakers=st.just({}) | _lists,
    dry_run=st.booleans(), denied_pass=st.booleans(),
    limit=st.builds(Limit, st.integers(1, 3),
                    st.tuples(st.sampled_from([0, 9, 30, 32]), st.sampled_from([0, 64, 127, 128]))),
)  # fmt: skip
_events = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([2, 2, ACK, ACK, 0x18, 0x14, 0x11]),
              st.booleans()),
    min_size=10, max_size=40,
)  # fmt: skip


@settings(max_examples=40)
@given(_rules, _events)
def test_the_program_limits_sources_as_the_twin_does(
    shield: Shield, front: Front, rules: Rules, events: list[tuple[int, int, bool]]
) -> None:
    twin = twin_with(front, rules)
    teach(shield, twin)
    for which, flags, is_other in events:
        source, port, target, to_port = front.waiting[which]
        whole = segment((source, port + is_other, target, to_port), flags)
        wanted = twin.judge(whole, LOOPBACK)
        with counted(shield, 1) as grown:
            assert drops(shield, whole) == (wanted is not None and not wanted[2])
        name = None if wanted is None else f"dry_{wanted[1]}" if wanted[2] else wanted[1]
        assert {key for key, value in grown.items() if value == 1} == ({name} - {None})


def test_a_program_that_decides_alone_counts_syns(shield: Shield, front: Front) -> None:
    teach(shield, twin_with(front, Rules()))
    shield.put_policy(1, Policy(rate=Rate(LONG_NS, 2, 7, alone=True)))
    shield.put_settings(rates=True)
    one = front.waiting[0]
    for _ in range(5):
        assert not drops(shield, segment(one, ACK))
    assert [drops(shield, segment(one, 2)) for _ in range(4)] == [False, False, True, True]


def test_what_was_taken_counts_for_all_addresses_of_a_source(shield: Shield, front: Front) -> None:
    teach(shield, twin_with(front, Rules(limit=Limit(1, (8, 64)))))
    one, other = (ends for ends in front.waiting if ends[2] == "10.5.0.1")
    for _ in range(2):
        assert not drops(shield, segment(one, ACK))
    for _ in range(TRIES):
        assert not drops(shield, segment(one, 0x02))
    with counted(shield, 1) as grown:
        assert drops(shield, segment(other, 0x02))
    assert (grown["source_rate"], grown["source_rate_bytes"]) == (1, 54)
