"""Connections of clients and of backends are used for many requests, each balanced by itself."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from pathlib import Path

import pytest

from ..harness import Door, finish, until
from ..harness.http import Peer, Request, answer, before, chunked, client, request
from ..harness.origin import Gate, Origin, Reply, path_and_name, shares, three


def test_requests_of_two_clients_go_over_one_connection_to_the_backend() -> None:
    with Origin() as origin, before([origin.row]) as lb, client(lb) as one, client(lb) as other:
        for n in range(10):
            assert one.ask(f"/one/{n}").body == f"a /one/{n}".encode()
            assert other.ask(f"/other/{n}").body == f"a /other/{n}".encode()
        assert origin.connections == 1
        assert [asked.number for asked in origin.requests] == list(range(20))
        assert lb.backends()["a"]["active"] == 0


def test_each_request_of_one_connection_is_balanced_by_itself() -> None:
    with three() as origins, before([one.row for one in origins]) as lb, client(lb) as peer:
        got = [peer.ask(f"/{n}").get("x-from") for n in range(9)]
        assert got == [*"abc"] * 3 or Counter(got) == Counter("abc" * 3)
        assert shares(origins) == {"a": 3, "b": 3, "c": 3}
        assert [one.connections for one in origins] == [1, 1, 1]


def test_least_connections_counts_requests_in_progress_not_connections() -> None:
    """Idle connections count for nothing; a backend at work gets no further request."""
    gate = Gate(path_and_name("a"))
    with Origin(gate) as slow, Origin(name="b") as quick:
        rows = [slow.row, quick.row]
        with before(rows, balance="least_connections") as lb, contextlib.ExitStack() as stack:
            peers = [stack.enter_context(client(lb)) for _ in range(2)]
            peers[0].say(request("/held"))
            until(lambda: slow.requests or quick.requests, "the request is at a backend")
            if quick.requests:  # the first choice is free: make the slow one busy
                assert peers[0].answer().body == b"b /held"
                peers[0].say(request("/held"))
            until(lambda: slow.requests, "the slow backend works")
            assert all(peers[1].ask(f"/{n}").body == f"b /{n}".encode() for n in range(6))
            assert lb.backends()["a"]["active"] == 1
            assert lb.backends()["b"]["active"] == 0
            gate.open()
            assert peers[0].answer().body == b"a /held"


def test_a_place_at_a_backend_is_a_request_in_progress_and_others_wait_in_the_queue() -> None:
    gate = Gate(path_and_name("a"))
    with Origin(gate) as origin:
        row = {**origin.row, "max_connections": 1}
        queue = {"length": 100, "timeout": "1m"}
        with before([row], workers=2, queue=queue) as lb, contextlib.ExitStack() as stack:
            peers = [stack.enter_context(client(lb)) for _ in range(5)]
            for n, peer in enumerate(peers):
                peer.say(request(f"/{n}"))

                def waits(n: int = n) -> bool:
                    return bool(origin.requests) and lb.ask("pools")[0]["waiting"] == n

                until(waits, f"{n} requests wait")
            gate.open()
            for n, peer in enumerate(peers):
                assert peer.answer().body == f"a /{n}".encode()
            assert origin.targets() == [f"/{n}" for n in range(5)]
            assert origin.peak == 1
            # All five clients are still connected, and hold no place.
            assert peers[3].ask("/again").body == b"a /again"


def test_a_request_that_waits_too_long_in_the_queue_gets_503() -> None:
    gate = Gate(path_and_name("a"))
    with Origin(gate) as origin:
        row = {**origin.row, "max_connections": 1}
        with (
            before([row], queue={"length": 9, "timeout": "300ms"}) as lb,
            client(lb) as one,
            client(lb) as other,
        ):
            one.say(request("/held"))
            until(lambda: origin.requests, "the place is taken")
            assert other.ask("/late").status == 503
            gate.open()
            assert one.answer().body == b"a /held"
            assert other.ask("/now").body == b"a /now"
        assert origin.targets() == ["/held", "/now"]


def test_pipelined_requests_are_answered_in_order() -> None:
    with Origin() as origin, before([origin.row]) as lb, client(lb) as peer:
        count = 200
        sender = threading.Thread(
            target=peer.say, args=(b"".join(request(f"/{n}") for n in range(count)),)
        )
        sender.start()
        assert [peer.answer().body for _ in range(count)] == [
            f"a /{n}".encode() for n in range(count)
        ]
        sender.join()
        assert origin.targets() == [f"/{n}" for n in range(count)]


def echoing(asked: Request) -> bytes:
    return answer(asked.body, fields=[("X-Target", asked.target)])


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_pipelined_requests_with_bodies_keep_their_bodies(step: int) -> None:
    bodies = [b"", b"x", b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", b"y" * 100, b"\r\n\r\n"]
    with Origin(echoing) as origin, before([origin.row]) as lb, client(lb) as peer:
        peer.say_slowly(
            b"".join(request(f"/{n}", "POST", body=body) for n, body in enumerate(bodies)), step
        )
        for n, body in enumerate(bodies):
            got = peer.answer("POST")
            assert (got.get("x-target"), got.body) == (f"/{n}", body)
        assert peer.is_quiet()


def test_a_pipelined_large_body_does_not_mix_with_the_requests_around_it() -> None:
    big = bytes(range(256)) * 3000
    said = request("/0") + request("/1", "POST", body=big) + request("/2") * 3
    with Origin(echoing) as origin, before([origin.row]) as lb, client(lb) as peer:
        sender = threading.Thread(target=peer.say, args=(said,))
        sender.start()
        assert peer.answer().body == b""
        assert peer.answer("POST").body == big
        assert [peer.answer().get("x-target") for _ in range(3)] == ["/2"] * 3
        sender.join()


@pytest.mark.parametrize("size", [1_000, 64_000, 200_000])
def test_requests_behind_a_body_in_chunks_are_not_lost(size: int) -> None:
    """What comes behind a body is kept beside what is kept of the body, however much that is."""
    fields = [("Transfer-Encoding", "chunked")]
    parts = [b"x" * 10_000] * (size // 10_000) + [b"y" * (size % 10_000)]
    one = request("/1", "PUT", body=chunked(*parts), fields=fields)
    said = one + request("/2", "PUT", body=b"z" * 50_000) + one + request("/3")
    with Origin(echoing) as origin, before([origin.row]) as lb, client(lb) as peer:
        sender = threading.Thread(target=peer.say, args=(said,))
        sender.start()
        assert peer.answer("PUT").body == b"".join(parts)
        assert peer.answer("PUT").body == b"z" * 50_000
        assert peer.answer("PUT").body == b"".join(parts)
        assert peer.answer().get("x-target") == "/3"
        sender.join()


def test_a_client_that_asks_and_half_closes_still_gets_its_answers() -> None:
    with Origin() as origin, before([origin.row]) as lb, client(lb) as peer:
        peer.say(request("/0"), request("/1"))
        finish(peer.sock)
        assert peer.answer().body == b"a /0"
        assert peer.answer().body == b"a /1"
        assert peer.ended() == "fin"


def test_the_last_allowed_request_of_a_connection_is_told_so() -> None:
    http = {"max_requests": 3}
    with Origin() as origin, before([origin.row], http=http) as lb, client(lb) as peer:
        assert [peer.ask(f"/{n}").closes for n in range(3)] == [False, False, True]
        assert peer.ended() == "fin"


def test_a_client_that_asks_to_close_is_closed_and_the_backends_connection_is_kept() -> None:
    with Origin() as origin, before([origin.row]) as lb:
        for n in range(3):
            with client(lb) as peer:
                assert peer.ask(f"/{n}", fields=[("Connection", "close")]).closes
                assert peer.ended() == "fin"
        assert origin.connections == 1
        assert all(asked.get("connection") is None for asked in origin.requests)


def test_a_client_of_http_1_0_is_closed_unless_it_asks_to_be_kept() -> None:
    with Origin() as origin, before([origin.row]) as lb:
        with client(lb) as peer:
            peer.say(request("/once", version="1.0"))
            got = peer.answer()
            assert (got.status, got.body) == (200, b"a /once")
            assert peer.ended() == "fin"
        with client(lb) as peer:
            for n in range(3):
                peer.say(request(f"/{n}", version="1.0", fields=[("Connection", "keep-alive")]))
                got = peer.answer()
                assert got.body == f"a /{n}".encode()
                assert got.get("connection") == "keep-alive"
        assert origin.connections == 1
        assert {asked.version for asked in origin.requests} == {"1.1"}


def test_a_backend_that_says_close_gets_a_new_connection_for_the_next_request() -> None:
    def closing(_: Request) -> Reply:
        return Reply(answer(b"bye", fields=[("Connection", "close")]), "close")

    with Origin(closing) as origin, before([origin.row]) as lb, client(lb) as peer:
        for _ in range(3):
            got = peer.ask()
            assert (got.body, got.closes) == (b"bye", False)
        assert origin.connections == 3


def test_reuse_never_makes_a_connection_for_each_request() -> None:
    with Origin() as origin, before([origin.row], pool_http={"reuse": "never"}) as lb:
        with client(lb) as peer:
            assert [peer.ask(f"/{n}").status for n in range(4)] == [200] * 4
        assert origin.connections == 4
        assert {asked.get("connection") for asked in origin.requests} == {"close"}


def test_max_requests_of_a_pool_renews_the_connection_to_the_backend() -> None:
    with Origin() as origin, before([origin.row], pool_http={"max_requests": 3}) as lb:
        with client(lb) as peer:
            assert [peer.ask(f"/{n}").status for n in range(7)] == [200] * 7
        assert origin.connections == 3


def test_idle_connections_bounds_what_is_kept_to_a_backend() -> None:
    gate = Gate(path_and_name("a"))
    rule = {"idle_connections": 2}
    with (
        Origin(gate) as origin,
        before([origin.row], pool_http=rule) as lb,
        contextlib.ExitStack() as stack,
    ):
        peers = [stack.enter_context(client(lb)) for _ in range(6)]
        for n, peer in enumerate(peers):
            peer.say(request(f"/{n}"))
        until(lambda: len(origin.requests) == 6, "six requests are under way")
        gate.open()
        for peer in peers:
            assert peer.answer().status == 200
        until(lambda: origin.open == 2, "two connections are kept")


def test_an_idle_connection_to_a_backend_is_closed_after_idle_timeout() -> None:
    with Origin() as origin, before([origin.row], pool_http={"idle_timeout": "300ms"}) as lb:
        with client(lb) as peer:
            assert peer.ask().status == 200
            until(lambda: origin.open == 0, "the idle connection is closed")
            assert peer.ask().status == 200
        assert origin.connections == 2


def test_a_client_at_rest_is_closed_after_rest_timeout() -> None:
    http = {"rest_timeout": "300ms"}
    with Origin() as origin, before([origin.row], http=http) as lb, client(lb) as peer:
        assert peer.ask().status == 200
        assert peer.ended() == "fin"


def test_a_spare_connection_on_which_the_backend_speaks_unasked_is_not_used_again() -> None:
    with Door() as door, before([door.address]) as lb, client(lb) as peer:
        peer.say(request("/0"))
        backend = Peer(door.accept())
        with backend:
            backend.request()
            backend.say(answer(b"first"))
            assert peer.answer().body == b"first"
            backend.say(answer(b"nobody asked for this"))
            assert backend.ended() in ("fin", "reset")
        peer.say(request("/1"))
        with Peer(door.accept()) as second:
            assert second.request().target == "/1"
            second.say(answer(b"second"))
            assert peer.answer().body == b"second"


def test_bytes_behind_an_answer_are_no_answer_to_the_next_request() -> None:
    with Door() as door, before([door.address]) as lb, client(lb) as peer:
        peer.say(request("/0"))
        with Peer(door.accept()) as backend:
            backend.request()
            backend.say(answer(b"first") + answer(b"poison"))
            assert peer.answer().body == b"first"
            peer.say(request("/1"))
            with Peer(door.accept()) as second:
                assert second.request().target == "/1"
                second.say(answer(b"second"))
                assert peer.answer().body == b"second"


def test_a_unix_socket_backend_is_reused_too() -> None:
    with Origin(unix=True) as origin, before([origin.row]) as lb, client(lb) as peer:
        assert [peer.ask(f"/{n}").body for n in range(5)] == [f"a /{n}".encode() for n in range(5)]
        assert origin.connections == 1


def test_a_client_on_a_unix_socket_is_served(tmp_path: Path) -> None:
    path = f"{tmp_path}/l4lb.sock"
    with (
        Origin() as origin,
        before([origin.row], listener={"bind": [f"unix:{path}"]}),
        socket.socket(socket.AF_UNIX) as sock,
    ):
        sock.settimeout(20)
        sock.connect(path)
        peer = Peer(sock)
        assert [peer.ask(f"/{n}").status for n in range(3)] == [200] * 3
        assert origin.requests[0].get("x-forwarded-for") == "unknown"
