"""Backends that are gone, slow, or close a connection at the wrong moment."""

from __future__ import annotations

import contextlib
import threading
from contextlib import ExitStack

import pytest

from ..harness import PORTS, Door, http2, reset, stopped, until
from ..harness.http import (
    CutOffError,
    Peer,
    Request,
    answer,
    before,
    chunked,
    client,
    outcome,
    request,
)
from ..harness.origin import Answering, Origin, Reply, three


def closes_on(number: int, then: str = "close") -> Answering:
    """Answers, but ends the connection without an answer at its request with that number."""

    def answering(asked: Request) -> Reply:
        if asked.number == number:
            return Reply(b"", then)
        return Reply(answer(asked.body or asked.target.encode()))

    return answering


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_get_on_a_connection_that_turns_out_closed_is_sent_again(then: str) -> None:
    with Origin(closes_on(1, then)) as origin, before([origin.row]) as lb, client(lb) as peer:
        assert [peer.ask(f"/{n}").body for n in range(6)] == [f"/{n}".encode() for n in range(6)]
        assert lb.backends()["a"]["active"] == 0
        assert origin.connections == 6


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("size", [0, 1, 30_000])
def test_a_post_on_such_a_connection_is_never_sent_twice(size: int, then: str) -> None:
    """The backend has it: nobody else can know whether it was carried out."""
    passive = {"failures": 1, "eject": "1m"}
    with (
        Origin(closes_on(1, then)) as origin,
        before([origin.row], passive=passive) as lb,
        client(lb) as peer,
    ):
        assert peer.ask("/first").status == 200
        assert peer.ask("/second", "POST", body=b"p" * size).status == 502
        assert origin.targets() == ["/first", "/second"]
        assert peer.ask("/third", "POST", body=b"x").body == b"x", "it is no fault of the backend"


def test_a_put_in_chunks_on_such_a_connection_is_sent_again() -> None:
    with Origin(closes_on(1)) as origin, before([origin.row]) as lb, client(lb) as peer:
        assert peer.ask("/first").status == 200
        peer.say(
            request("/second", "PUT", fields=[("Transfer-Encoding", "chunked")])
            + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
        )
        assert peer.answer("PUT").body == b"abcdefg"
        assert [asked.body for asked in origin.requests] == [b"", b"abcdefg", b"abcdefg"]


@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("size", [1, 30_000, 60_000])
def test_a_body_that_comes_behind_its_head_is_kept_to_be_sent_again(
    size: int, in_chunks: bool
) -> None:
    body = b"p" * size
    said = chunked(body[: size // 2], body[size // 2 :]) if in_chunks else body
    framing = ("Transfer-Encoding", "chunked") if in_chunks else ("Content-Length", f"{size}")
    with Origin(closes_on(1)) as origin, before([origin.row]) as lb, client(lb) as peer:
        assert peer.ask("/first").status == 200
        peer.say(request("/second", "PUT", fields=[framing]))
        until(lambda: lb.backends()["a"]["active"] == 1, "its head is with the backend")
        peer.say_slowly(said, step=max(1, len(said) // 3))
        assert peer.answer("PUT").body == body
        assert [asked.body for asked in origin.requests] == [b"", body, body]
        assert peer.ask("/third").body == b"/third"


def test_a_put_of_http_2_on_such_a_connection_is_sent_again() -> None:
    with Origin(closes_on(1)) as origin, before([origin.row]) as lb, http2.client(lb) as one:
        large = b"l" * 300_000  # more than is kept
        assert bytes(one.ask("/first", "PUT", body=large).body) == large
        assert bytes(one.ask("/second", "PUT", body=b"p" * 30_000).body) == b"p" * 30_000
        assert origin.targets() == ["/first", "/second", "/second"]


def test_the_first_post_of_a_client_goes_over_a_new_connection() -> None:
    """reuse = "safe": the client could not send it again by itself."""
    with Origin() as origin, before([origin.row]) as lb:
        for n in range(3):
            with client(lb) as peer:
                assert peer.ask(f"/{n}", "POST", body=b"x").status == 200
                assert peer.ask(f"/{n}/again", "POST", body=b"x").status == 200
        assert origin.connections == 3


def test_a_request_on_a_new_connection_that_ends_unanswered_is_502_and_not_sent_again() -> None:
    with Origin(closes_on(0)) as origin, before([origin.row]) as lb, client(lb) as peer:
        assert peer.ask("/once").status == 502
        assert origin.targets() == ["/once"]
        assert peer.ask("/twice").status == 502, "the client's connection is kept"


def test_connections_that_a_backend_closes_at_rest_are_seen_to_be_closed() -> None:
    with Origin() as origin, before([origin.row]) as lb, client(lb) as peer:
        for n in range(5):
            assert peer.ask(f"/{n}", "POST", body=b"x").status == 200
            origin.close_all()
            until(lambda: origin.open == 0, "they are closed")
        assert len(origin.requests) == 5, "no request was sent twice"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_close_that_races_with_the_next_request_costs_no_request(method: str) -> None:
    """The worker sees the request and the end of the idle connection in the same moment."""
    with Door() as door, before([door.address]) as lb, client(lb) as peer:
        peer.say(request("/0"))
        backend = Peer(door.accept())
        for n in range(1, 6):
            assert backend.request().target == f"/{n - 1}"
            backend.say(answer(b"x"))
            assert peer.answer(method if n > 1 else "GET").body == b"x"
            with stopped(lb.pids()[0]):
                peer.say(request(f"/{n}", method, body=b"y" if method == "POST" else b""))
                if n % 2:
                    reset(backend.sock)
                else:
                    backend.sock.close()
            backend = Peer(door.accept())
        with backend:
            backend.request()
            backend.say(answer(b"last"))
            assert peer.answer(method).body == b"last"


def test_a_backend_that_refuses_costs_no_request_while_another_serves() -> None:
    with three() as origins, before([one.row for one in origins], retries=2) as lb:
        origins[1].refuse()
        origins[1].close_all()
        with client(lb) as peer:
            got = [peer.ask(f"/{n}").get("x-from") for n in range(12)]
            assert set(got) == {"a", "c"}
            assert peer.ask("/post", "POST", body=b"x" * 1000).status == 200


def test_without_connect_in_retry_on_a_backend_that_refuses_costs_its_request() -> None:
    rules = {"retry_on": ["reuse", "503"]}
    with PORTS.taken() as port, Origin() as origin:
        backends = [f"127.0.0.1:{port}", origin.row]
        with before(backends, retries=2, pool_http=rules) as lb, client(lb) as peer:
            assert sorted(peer.ask().status for _ in range(6)) == [200] * 3 + [502] * 3
    assert len(origin.requests) == 3


def test_attempts_to_connect_take_nothing_of_the_budget_of_retries() -> None:
    with PORTS.taken() as port, Origin() as origin:
        backends = [f"127.0.0.1:{port}", origin.row]
        rules = {"retry_budget": "0%"}
        with before(backends, retries=1, pool_http=rules) as lb, client(lb) as peer:
            assert {peer.ask().status for _ in range(30)} == {200}


def test_the_budget_of_retries_is_one_for_all_workers() -> None:
    """A pool begins with ten retries, and earns none with a share of 0 %."""
    rules = {"retry_on": ["503"], "retry_budget": "0%"}
    with ExitStack() as stack:
        origins = [
            stack.enter_context(Origin(lambda _: answer(b"", status=503), name=name))
            for name in "ab"
        ]
        rows = [one.row for one in origins]
        lb = stack.enter_context(before(rows, workers=2, retries=1, pool_http=rules))
        peers = [stack.enter_context(client(lb)) for _ in range(20)]
        for _ in range(2):
            assert {peer.ask().status for peer in peers} == {503}
        assert all(row["accepted"] for row in lb.ask("status")["workers"]), "both had clients"
        assert sum(len(one.requests) for one in origins) == 40 + 10


def test_no_backend_that_can_be_reached_is_502_or_503_and_the_client_may_ask_again() -> None:
    with PORTS.taken() as port, before([f"127.0.0.1:{port}"], retries=1) as lb:
        with client(lb) as peer:
            for _ in range(3):
                assert peer.ask().status in (502, 503)
            assert peer.ask("/", "HEAD").status in (502, 503)
            assert peer.is_quiet()
        until(lambda: lb.total("active") == 0, "no place is held")


def test_a_backend_that_is_taken_out_gets_no_request_over_its_idle_connections() -> None:
    with three() as origins, before([one.row for one in origins]) as lb, client(lb) as peer:
        for n in range(6):
            assert peer.ask(f"/{n}").status == 200
        lb.admin("drain", "web/b")
        counted = len(origins[1].requests)
        assert {peer.ask(f"/{n}").get("x-from") for n in range(8)} == {"a", "c"}
        assert len(origins[1].requests) == counted


def test_all_backends_drained_is_503() -> None:
    with Origin() as origin, before([origin.row]) as lb, client(lb) as peer:
        assert peer.ask().status == 200
        lb.admin("drain", "web/a")
        assert peer.ask().status == 503
        lb.admin("ready", "web/a")
        assert peer.ask().status == 200


def test_an_answer_that_takes_too_long_is_504() -> None:
    rule = {"answer_timeout": "300ms"}
    with Door() as door, before([door.address], pool_http=rule) as lb, client(lb) as peer:
        peer.say(request("/slow"))
        with Peer(door.accept()) as backend:
            backend.request()
            assert peer.answer().status == 504
            assert backend.ended() in ("fin", "reset")
        peer.say(request("/next"))
        with Peer(door.accept()) as backend:
            backend.request()
            backend.say(answer(b"in time"))
            assert peer.answer().body == b"in time"


def test_a_head_of_an_answer_that_drips_in_gets_no_more_time() -> None:
    rule = {"answer_timeout": "500ms"}
    with Door() as door, before([door.address], pool_http=rule) as lb, client(lb) as peer:
        peer.say(request("/slow"))
        with Peer(door.accept()) as backend:
            backend.request()
            backend.say(b"HTTP/1.1 200 OK\r\n")

            def drip() -> bool:
                with contextlib.suppress(OSError):
                    backend.say(b"X-Drip: y\r\n")
                return not peer.is_quiet()

            until(drip, "the client is told", every_s=0.1, timeout_s=5)
            assert peer.answer().status == 504
            assert peer.is_quiet()


def test_a_client_that_goes_away_ends_its_request_at_the_backend() -> None:
    with Door() as door, before([door.address]) as lb:
        peer = client(lb)
        peer.say(request("/never"))
        with Peer(door.accept()) as backend:
            backend.request()
            reset(peer.sock)
            assert backend.ended() in ("fin", "reset")
        until(lambda: lb.total("active") == 0, "its place is free")


def test_a_client_that_breaks_off_its_body_ends_its_request_at_the_backend() -> None:
    with Door() as door, before([door.address]) as lb:
        with client(lb) as peer:
            peer.say(request("/", "POST", fields=[("Content-Length", "100")]) + b"half")
            with Peer(door.accept()) as backend:
                backend.bytes_until(b"half")
                peer.sock.close()
                assert backend.bytes_to_end() == b""
        until(lambda: lb.total("active") == 0, "its place is free")


def test_a_backend_that_dies_in_an_answer_does_not_end_other_requests() -> None:
    def answering(asked: Request) -> Reply:
        if asked.target == "/dies":
            return Reply(answer(b"x" * 100, length=200), "reset")
        return Reply(answer(b"whole"))

    with Origin(answering) as origin, before([origin.row]) as lb, client(lb) as other:
        for _ in range(5):
            with client(lb) as peer:
                peer.say(request("/dies"))
                with pytest.raises(CutOffError):
                    peer.answer()
            assert other.ask("/fine").body == b"whole"
        assert lb.backends()["a"]["active"] == 0


def test_an_answer_before_the_request_does_not_poison_a_connection() -> None:
    """A backend that speaks first gives its bytes to the first request, and to no other."""
    with Door() as door, before([door.address]) as lb, client(lb) as peer:
        peer.say(request("/0"))
        with Peer(door.accept()) as backend:
            backend.say(answer(b"early"))
            got = outcome(peer)
            assert got in (200, 502)
            backend.request()


def test_clients_of_a_dead_backend_are_all_answered() -> None:
    """Forty requests are under way when their backend resets every connection."""
    gate = threading.Event()

    def answering(_: Request) -> Reply:
        gate.wait(20)
        return Reply(b"", "reset")

    with Origin(answering) as origin, before([origin.row]) as lb:
        peers = [client(lb) for _ in range(40)]
        for peer in peers:
            peer.say(request("/"))
        until(lambda: len(origin.requests) == 40, "all are under way")
        gate.set()
        assert {outcome(peer) for peer in peers} == {502}
        until(lambda: lb.total("active") == 0, "no place is held")
        for peer in peers:
            peer.sock.close()
