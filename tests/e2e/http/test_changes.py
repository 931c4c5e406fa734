"""HTTP while the service changes: workers that die, reloads, upgrades and drain, under load."""

from __future__ import annotations

import contextlib
import signal

import pytest

from ..harness import Door, finish, toml, until
from ..harness.http import Peer, Request, answer, before, client, request
from ..harness.http_load import HttpLoad, named
from ..harness.origin import Gate, Origin, Reply, path_and_name, three


def test_a_killed_worker_loses_its_own_requests_only_and_counts_are_exact_after() -> None:
    with three(named) as origins, before([one.row for one in origins], workers=2) as lb:
        with HttpLoad(lb) as load:
            for n in range(4):
                old = lb.kill(n % 2)
                lb.wait_for_new_worker(n % 2, old)
                load.wait_for_more(100)
        assert set(load.statuses) == {200}
        until(lambda: lb.total("active") == 0, "no place is held by a request that is gone")
        # A client of a killed worker may have been new: only its own requests fail.
        assert len(load.failures) + load.stale <= 4 * load.threads, load.failures


def test_a_killed_worker_gives_back_the_places_of_requests_that_wait_for_their_answers() -> None:
    gate = Gate(path_and_name("a"))
    with Origin(gate) as origin:
        row = {**origin.row, "max_connections": 2}
        with before([row], queue={"length": 99, "timeout": "1m"}) as lb:
            peers = [client(lb) for _ in range(2)]
            for peer in peers:
                peer.say(request("/held"))
            until(lambda: lb.backends()["a"]["active"] == 2, "both places are taken")
            old = lb.kill(0)
            for peer in peers:
                assert peer.bytes_to_end() == b""
            lb.wait_for_new_worker(0, old)
            until(lambda: lb.backends()["a"]["active"] == 0, "both places are free")
            gate.open()
            with client(lb) as peer:
                assert peer.ask("/after").status == 200


def test_a_request_in_progress_is_what_it_was_judged_to_be_whatever_comes_between() -> None:
    """An answer with a Location is written by what its client asked for. By then the worker has
    read another client's request, and a reload has made the bounds narrower than the request."""
    moved = answer(b"", status=303, fields=[("Location", "http://127.0.0.1:9/next")])
    gate = Gate(lambda _: moved)

    def answering(asked: Request) -> bytes | Reply:
        return gate(asked) if asked.target == "/slow" else path_and_name("a")(asked)

    with Origin(answering) as origin, before([origin.row], workers=1) as lb:
        assert lb.config
        with client(lb) as peer, client(lb) as other:
            peer.say(request("/slow", "POST", body=b"x" * 5_000))
            until(lambda: "/slow" in origin.targets(), "the request has come")
            lb.config["listeners"]["web"]["http"] = {"max_body": "1KiB", "max_fields": 1}
            (lb.folder / "l4lb.toml").write_text(toml(lb.config))
            lb.ask("reload")
            assert other.ask("/refused", body=b"x" * 2_000).status in (413, 431)
            gate.open()
            assert peer.answer("POST").status == 303
            peer.say(b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n")
            assert peer.answer("GET").body == b"a /after"


def test_a_reload_under_load_fails_not_one_request() -> None:
    with three(named) as origins, before([one.row for one in origins], workers=2) as lb:
        assert lb.config
        with HttpLoad(lb) as load:
            for n in range(6):
                lb.config["pools"]["web"]["balance"] = ["least_connections", "round_robin"][n % 2]
                (lb.folder / "l4lb.toml").write_text(toml(lb.config))
                lb.admin("reload")
                load.wait_for_more(60)
        assert (load.failures, load.stale) == ([], 0)
        assert set(load.statuses) == {200}


def test_a_reload_takes_a_backend_out_and_in_without_a_failed_request() -> None:
    with three(named) as origins, before([one.row for one in origins], workers=2) as lb:
        assert lb.config
        rows = [one.row for one in origins]
        with HttpLoad(lb) as load:
            for n in range(6):
                lb.config["pools"]["web"]["backends"] = rows[: 2 + n % 2]
                (lb.folder / "l4lb.toml").write_text(toml(lb.config))
                lb.admin("reload")
                load.wait_for_more(60)
        assert (load.failures, load.stale) == ([], 0)
        assert set(load.statuses) == {200}
        until(lambda: lb.total("active") == 0, "no place is held")


def test_the_next_request_of_a_connection_meets_the_new_configuration() -> None:
    with three() as (a, b, _), before([a.row], http={"max_body": "10B"}) as lb, client(lb) as peer:
        assert lb.config
        assert peer.ask("/", "POST", body=b"x" * 10).get("x-from") == "a"
        lb.config["pools"]["web"]["backends"] = [b.row]
        lb.config["listeners"]["web"]["http"] = {"max_body": "5B", "via": "new"}
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        lb.admin("reload")
        got = peer.ask("/")
        assert (got.get("x-from"), got.get("via")) == ("b", "1.1 new")
        assert peer.ask("/", "POST", body=b"x" * 10).status == 413


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(answer(b"x")), 200),
        (Reply(answer(b"x", fields=[("Connection", "close")]), "close"), 200),
        (Reply(b"HTTP/1.0 200 OK\r\n\r\nx", "close"), 200),
        (Reply(b"nonsense\r\n\r\n", "close"), 502),
        (Reply(b"", "reset"), 502),
    ],
)
def test_a_client_at_rest_moves_whatever_became_of_the_connection_to_its_backend(
    reply: Reply, status: int
) -> None:
    with (
        Origin(lambda _: reply) as origin,
        before([origin.row], retries=0, workers=2) as lb,
        contextlib.ExitStack() as stack,
    ):
        peers = [stack.enter_context(client(lb)) for _ in range(8)]
        for _ in range(2):
            got = [peer.ask() for peer in peers]
            assert {(one.status, one.closes) for one in got} == {(status, False)}
            lb.admin("upgrade")
            until(lambda: len(lb.ask("sessions")) == len(peers), "all have moved")


@pytest.mark.parametrize("workers", [1, 2])
def test_an_upgrade_under_load_fails_no_request(workers: int) -> None:
    with three(named) as origins, before([one.row for one in origins], workers=workers) as lb:
        with HttpLoad(lb) as load:
            lb.admin("upgrade")
            load.wait_for_more(100)
        assert load.failures == []
        assert set(load.statuses) == {200}
        until(lambda: lb.total("active") == 0, "no place is held")


def test_a_client_whose_request_is_under_way_at_an_upgrade_moves_after_its_answer() -> None:
    gate = Gate(path_and_name("a"))
    with Origin(gate) as origin, before([origin.row], workers=2) as lb, client(lb) as peer:
        peer.say(request("/slow"))
        until(lambda: origin.working == 1, "the request is with the backend")
        lb.admin("upgrade")
        assert not lb.ask("sessions"), "it is still with the old program"
        gate.open()
        got = peer.answer()
        assert (got.status, got.closes) == (200, False)
        until(lambda: lb.ask("sessions"), "the client has moved")
        assert peer.ask("/next").body == b"a /next"


def test_a_request_under_way_at_term_is_answered_and_its_connection_closed() -> None:
    with Door() as door, before([door.address]) as lb, client(lb) as peer, client(lb) as rests:
        rests.say(request("/before"))
        with Peer(door.accept()) as backend:
            backend.request()
            backend.say(answer(b"x"))
            assert rests.answer().body == b"x"
            peer.say(request("/during"))
            backend.request()
            lb.signal(signal.SIGTERM)
            assert rests.ended() == "fin", "a client at rest is closed at once"
            backend.say(answer(b"y"))
            got = peer.answer()
            assert (got.body, got.closes) == (b"y", True)
            assert peer.ended() == "fin"
        assert lb.wait() == 0


def test_term_lets_every_request_end_and_tells_clients_to_close() -> None:
    with three(named) as origins, before([one.row for one in origins], workers=2) as lb:
        with HttpLoad(lb, refusals_end=True) as load:
            load.wait_for_more(50)
            lb.signal(signal.SIGTERM)
            load.wait_for_the_end()
        assert load.failures == []
        assert set(load.statuses) == {200}
        assert lb.wait() == 0


def test_a_half_closed_client_at_rest_leaves_nothing_behind() -> None:
    with Origin() as origin, before([origin.row]) as lb:
        peers = [client(lb) for _ in range(20)]
        for peer in peers:
            assert peer.ask().status == 200
            finish(peer.sock)
            assert peer.ended() == "fin"
        until(lambda: sum(lb.active()) == 0, "no session is left")


def test_an_operator_ends_a_client_that_rests() -> None:
    with Origin() as origin, before([origin.row]) as lb, client(lb) as peer:
        assert peer.ask().status == 200
        (row,) = lb.ask("sessions")
        lb.admin("kill", str(row["id"]))
        assert peer.ended() in ("fin", "reset")
        until(lambda: not lb.ask("sessions"), "it is gone")
