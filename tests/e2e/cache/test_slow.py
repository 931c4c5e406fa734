"""Clients that read slowly or not at all: their answers stay what they are; the cache goes on."""

from __future__ import annotations

import random

import pytest

from ..harness.http import Peer, answer, before, client, request
from ..harness.origin import Origin
from .conftest import KEPT

SIZE = 400_000


def test_an_object_that_is_read_slowly_is_not_written_over() -> None:
    body = random.Random(1).randbytes(SIZE)
    bodies = {"/slow": body}
    with (
        Origin(
            lambda asked: answer(bodies.get(asked.target, b"y" * 100_000), fields=KEPT)
        ) as origin,
        before([origin.row], cache={"memory": "8MiB", "max_object": "512KiB"}) as lb,
        client(lb) as fast,
    ):
        assert fast.ask("/slow").body == body
        with Peer(lb.connect(window=4096)) as slow:
            slow.say(request("/slow"))
            assert slow.bytes_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
            for number in range(200):  # more than the cache has room for
                assert len(fast.ask(f"/{number}").body) == 100_000
            slow.put_back(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            assert slow.answer().body == body


@pytest.mark.parametrize("step", [1, 1000])
def test_a_client_that_sends_its_request_slowly_is_answered_from_the_cache(step: int) -> None:
    with (
        Origin(lambda _: answer(b"body", fields=KEPT)) as origin,
        before([origin.row], cache={}) as lb,
        client(lb) as peer,
    ):
        peer.ask("/a")
        peer.say_slowly(request("/a"), step)
        assert peer.answer().body == b"body"
        assert len(origin.requests) == 1


def test_clients_that_leave_in_the_middle_leave_nothing_behind() -> None:
    with (
        Origin(lambda _: answer(bytes(SIZE), fields=KEPT)) as origin,
        before([origin.row], cache={"memory": "8MiB", "max_object": "512KiB"}) as lb,
        client(lb) as peer,
    ):
        peer.ask("/a")
        for _ in range(50):
            with Peer(lb.connect(window=4096)) as gone:
                gone.say(request("/a"))
                gone.bytes_until(b"\r\n\r\n")
        assert len(peer.ask("/a").body) == SIZE
        assert len(origin.requests) == 1
