"""Many clients, workers and deaths: one fetches for all, and nobody gets a part."""

from __future__ import annotations

import contextlib
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..harness import Balancer, send_signal, until
from ..harness.http import CutOffError, answer, before, client
from ..harness.origin import Gate, Origin
from .conftest import KEPT, Cached

CLIENTS = 20


@pytest.mark.parametrize("workers", [1, 3])
def test_one_request_fetches_for_all_that_ask_meanwhile(workers: int) -> None:
    gate = Gate(lambda _: answer(b"one", fields=KEPT))
    with (
        Origin(gate) as origin,
        before([origin.row], workers=workers, cache={"collapse_timeout": "60s"}) as lb,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):

        def ask(_: int) -> bytes:
            with client(lb) as peer:
                return peer.ask("/a").body

        asked = [pool.submit(ask, number) for number in range(CLIENTS)]
        until(lambda: waiting(lb) == CLIENTS - 1, "all but one wait")
        until(lambda: len(origin.requests) == 1, "the one asks")
        gate.open()
        assert {one.result() for one in asked} == {b"one"}
        assert len(origin.requests) == 1


def waiting(lb: Balancer) -> int:
    return sum(row["state"] == "await" for row in lb.ask("sessions"))


def test_who_waits_too_long_asks_for_itself_and_for_all_that_come_after() -> None:
    gate = threading.Event()

    def answering(_: object) -> bytes:
        number = len(origin.requests)
        if number == 1:
            assert gate.wait(30)
        return answer(str(number).encode(), fields=KEPT)

    with (
        Origin(answering) as origin,
        before([origin.row], cache={"collapse_timeout": "1s"}) as lb,
        client(lb) as first,
        client(lb) as second,
    ):
        first.say(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: len(origin.requests) == 1, "the first one fetches")
        second.say(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert second.answer().body == b"2"
        second.say(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert second.answer().body == b"2"  # what is fetched is kept, and nobody waits again
        gate.set()
        assert first.answer().body == b"1"
        second.say(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert second.answer().body == b"2"


def test_an_answer_that_takes_longer_than_others_wait_is_kept_all_the_same() -> None:
    gates = [threading.Event() for _ in range(4)]

    def answering(_: object) -> bytes:
        number = len(origin.requests)
        assert gates[min(number, 3)].wait(30)
        return answer(str(number).encode(), fields=KEPT)

    with (
        Origin(answering) as origin,
        before([origin.row], cache={"collapse_timeout": "1s"}) as lb,
        contextlib.ExitStack() as stack,
    ):
        peers = [stack.enter_context(client(lb)) for _ in range(3)]
        peers[0].say(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: len(origin.requests) == 1, "the first one fetches")
        for peer in peers[1:]:
            peer.say(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: len(origin.requests) == 3, "the others have waited long enough")
        gates[1].set()
        assert peers[0].answer().body == b"1"  # it lost its right to fetch for all, and is whole
        peers[0].say(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert peers[0].answer().body == b"1"
        for gate in gates:
            gate.set()
        assert {peer.answer().body for peer in peers[1:]} <= {b"2", b"3"}
        assert len(origin.requests) == 3


def test_what_may_not_be_kept_makes_nobody_wait(cached: Cached) -> None:
    gates = [threading.Event() for _ in range(2)]

    def answering(_: object) -> bytes:
        number = len(cached.asked)
        if number > 1:
            gates[0].set()
            assert gates[1].wait(20)
        return answer(b"x", fields=[("Cache-Control", "no-store")])

    cached.answers(answering)
    cached.ask()
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(cached.ask) for _ in range(3)]
        until(lambda: len(cached.asked) == 4, "all three are at the origin together")
        gates[1].set()
        assert [one.result().body for one in asked] == [b"x"] * 3


def test_after_the_death_of_who_fetches_another_one_does() -> None:
    gate = Gate(lambda _: answer(b"one", fields=KEPT))
    with (
        Origin(gate) as origin,
        before([origin.row], workers=2, cache={"collapse_timeout": "60s"}) as lb,
    ):
        rows = lb.ask("workers")
        with client(lb) as first:
            first.say(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            until(lambda: len(origin.requests) == 1, "it fetches")
            [fetching] = [row for row in lb.ask("sessions") if row["state"] == "exchange"]
            others = []
            while True:
                peer = client(lb)
                others.append(peer)
                peer.say(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
                until(lambda: waiting(lb) == len(others), "it waits")
                waits = [row for row in lb.ask("sessions") if row["state"] == "await"]
                if any(row["worker"] != fetching["worker"] for row in waits):
                    break
            survivors = sum(row["worker"] != fetching["worker"] for row in waits)
            [pid] = [row["pid"] for row in rows if row["index"] == fetching["worker"]]
            send_signal(pid, signal.SIGKILL)
            until(lambda: len(origin.requests) == 2, "another one fetches")
            gate.open()
            got = 0
            for peer in others:
                with peer, contextlib.suppress(CutOffError):  # it was the dead worker's
                    got += peer.answer().body == b"one"
            assert got == survivors
            assert len(origin.requests) == 2


def test_what_workers_have_stored_stays_when_they_die() -> None:
    with (
        Origin(lambda request: answer(request.target.encode(), fields=KEPT)) as origin,
        before([origin.row], workers=2, cache={}) as lb,
    ):
        paths = [f"/{number}" for number in range(40)]

        def ask(path: str) -> bytes:
            with client(lb) as peer:
                return peer.ask(path).body

        assert [ask(path) for path in paths] == [path.encode() for path in paths]
        dead = [row["pid"] for row in lb.ask("workers")]
        for pid in dead:
            send_signal(pid, signal.SIGKILL)
        until(lambda: all(row["restarts"] for row in lb.ask("workers")), "new workers are there")
        assert [ask(path) for path in paths] == [path.encode() for path in paths]
        assert len(origin.requests) == len(paths)


def test_a_client_that_leaves_while_it_fetches_stores_nothing(cached: Cached) -> None:
    gate = threading.Event()

    def answering(_: object) -> bytes:
        assert gate.wait(20)
        return answer(b"one", fields=KEPT)

    cached.answers(answering)
    with cached.client() as peer:
        peer.say(b"GET %b HTTP/1.1\r\nHost: example.test\r\n\r\n" % cached.path.encode())
        until(lambda: len(cached.asked) == 1, "it fetches")
    gate.set()
    assert cached.ask().body == b"one"


def test_what_is_sent_stale_is_asked_for_in_the_background(cached: Cached) -> None:
    fields = [("Cache-Control", "max-age=0, stale-while-revalidate=1000"), ("ETag", '"a"')]

    def answering(_: object) -> bytes:
        number = len(cached.asked)
        return answer(str(number).encode(), fields=fields if number == 1 else KEPT)

    cached.answers(answering)
    assert cached.ask().body == b"1"
    assert cached.ask().body == b"1"
    until(lambda: len(cached.asked) == 2, "it is asked for anew")
    until(lambda: cached.ask().body == b"2", "the new one is there")
    assert len(cached.asked) == 2
    [asked] = [one for one in cached.origin.requests if one.target == cached.path][1:]
    assert asked.get("if-none-match") == '"a"'


def test_an_upgrade_begins_with_an_empty_cache_and_keeps_its_counts() -> None:
    with (
        Origin(lambda _: answer(b"one", fields=KEPT)) as origin,
        before([origin.row], cache={}) as lb,
    ):

        def ask() -> bytes:
            with client(lb) as peer:
                return peer.ask("/a").body

        assert [ask() for _ in range(3)] == [b"one"] * 3
        [counted] = lb.ask("cache")
        lb.admin("upgrade")
        until(lambda: lb.ask("cache")[0]["requests"] == 3, "the counts are carried")
        assert lb.ask("cache")[0]["hit_ratio"] == counted["hit_ratio"]
        assert ask() == b"one"
        assert len(origin.requests) == 2
        assert lb.ask("cache")[0]["requests"] == 4
