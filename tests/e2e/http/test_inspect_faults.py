"""Engines of ICAP that fail, and deaths and changes of l4lb while one is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ..harness.configuration import toml
from ..harness.deadline import until
from ..harness.engine import (
    CLEAN,
    EVIL,
    Asked,
    Engine,
    blocking,
    hangs,
    inspected,
    message,
    says,
    verdicts,
)
from ..harness.http import client, outcome, request
from ..harness.origin import Origin

BIG = b"v" * 3_000_000
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
LIES: dict[str, bytes] = {
    "nothing": b"",
    "no ICAP": b"HTTP/1.1 204 No Content\r\n\r\n",
    "half a head": b"ICAP/1.0 204 No Con",
    "bare line feeds": b"ICAP/1.0 204 No Content\n\n",
    "a fault": message("500 Internal Error"),
    "not found": message("404 Not Found"),
    "100 again and again": b"ICAP/1.0 100 Continue\r\n\r\n" * 3,
    "no parts": message("200 OK"),
    "bad chunks": message(answer=HEAD, body=b"abc").replace(b"3\r\n", b"9\r\n"),
    "a chunk without end": message(answer=HEAD, body=b"abc")[:-5],
    "more than it says": CLEAN + b"x",
    "parts out of order": (
        b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=9, res-body=3\r\n\r\n" + HEAD
    ),
    "no HTTP": message(answer=b"hello\r\n\r\n", body=b"abc"),
    "an answer of the kind 1xx": message(
        answer=b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", body=b"x"
    ),
    "too large": message(answer=HEAD, body=BIG),
    "an endless head": b"ICAP/1.0 204 No Content\r\nX: " + b"y" * 100_000,
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_of_an_engine_that_is_none_is_a_failure(lie: str) -> None:
    with (
        Engine(says(LIES[lie])) as engine,
        Origin() as origin,
        inspected(engine, origin, icap={"max_body": "1MiB"}, what=("answers",)) as lb,
        client(lb) as peer,
    ):
        got = peer.ask("/a")
        assert (got.status, got.body) == (503, b"503 Service Unavailable\n")
        assert verdicts(lb) == {"failed": 1}


@pytest.mark.parametrize("on_failure", ["deny", "allow"])
def test_an_engine_that_is_gone_slow_or_endless_is_what_its_rule_says(on_failure: str) -> None:
    def endless(_: Asked) -> Iterator[bytes]:
        yield message(answer=HEAD, body=b"")[:-5]
        while True:
            yield b"1\r\nx\r\n" * 1000

    with Engine(hangs) as engine, Origin() as origin:
        more: dict[str, Any] = {
            "icap": {"timeout": "300ms", "max_body": "1MiB"},
            "rule": {"path_prefix": "/in"},
        }
        with inspected(engine, origin, on_failure=on_failure, **more) as lb, client(lb) as peer:
            status = {"deny": 503, "allow": 200}[on_failure]
            got = peer.ask("/in/slow", "POST", body=b"abc")
            assert got.status == status
            assert peer.ask("/out").body == b"a /out"
            engine.answering = endless
            assert peer.ask("/in/endless", "POST", body=b"abc").status == status
            engine.stop()
            assert peer.ask("/in/gone", "POST", body=b"abc").status == status
            assert peer.ask("/out").body == b"a /out"
            reached = {"/out", "/in/slow", "/in/endless", "/in/gone"}
            assert set(origin.targets()) == (reached if status == 200 else {"/out"})
            assert verdicts(lb) == {"failed": 6 if status == 200 else 3}
            until(lambda: "an engine fails" in lb.log(), "the log tells it")
            events = [event["kind"] for event in lb.ask("events")]
            assert events.count("engine_fails") == 1


def test_an_engine_that_is_well_again_is_told_once() -> None:
    with (
        Engine(says(LIES["a fault"])) as engine,
        Origin() as origin,
        inspected(engine, origin, what=("requests",)) as lb,
        client(lb) as peer,
    ):
        assert [peer.ask("/").status for _ in range(3)] == [503] * 3
        engine.answering = blocking
        assert [peer.ask("/").status for _ in range(3)] == [200] * 3

        def told() -> list[str]:
            events = [event["kind"] for event in lb.ask("events")]
            return [kind for kind in events if kind.startswith("engine")]

        until(lambda: len(told()) == 2, "both events are there")
        assert told() == ["engine_fails", "engine_well"]
        assert "it answered with the status 500" in lb.log()


def test_a_service_that_does_not_do_what_is_asked_is_a_failure() -> None:
    with (
        Engine(methods="RESPMOD") as engine,
        Origin() as origin,
        inspected(engine, origin) as lb,
        client(lb) as peer,
    ):
        assert peer.ask("/").status == 503
        assert engine.asked == []
        until(lambda: "its service does not do that" in lb.log(), "the log tells it")


def test_a_worker_that_is_killed_while_an_engine_is_asked_takes_nothing_with_it() -> None:
    with Engine(hangs) as engine, Origin() as origin, inspected(engine, origin) as lb:
        with client(lb) as peer:
            peer.say(request("/", "POST", body=b"abc"))
            until(lambda: bool(engine.asked), "the engine is asked")
            assert [row["state"] for row in lb.ask("sessions")] == ["inspect"]
            old = lb.kill(0)
            assert outcome(peer) == "cut"
        lb.wait_for_new_worker(0, old)
        engine.answering = blocking
        with client(lb) as peer:
            assert peer.ask("/", "POST", body=b"abc").status == 200


def test_an_inspection_goes_on_through_a_reload_and_an_upgrade() -> None:
    def slow(_: Asked) -> bytes:
        until(lambda: changed, "the configuration is another one", timeout_s=60)
        return CLEAN

    changed: list[str] = []
    with Engine(slow) as engine, Origin() as origin, inspected(engine, origin) as lb:
        with client(lb) as first, client(lb) as second:
            first.say(request("/1", "POST", body=b"abc"))
            until(lambda: len(engine.asked) == 1, "the engine is asked")
            lb.config["listeners"]["web"]["http"]["inspect"] = []
            (lb.folder / "l4lb.toml").write_text(toml(lb.config))
            lb.admin("reload")
            second.say(request("/2", "POST", body=b"abc"))
            assert second.answer("POST").status == 200
            lb.admin("upgrade")
            changed.append("yes")
            assert first.answer("POST").status == 200
        with client(lb) as peer:
            assert peer.ask("/3", "POST", body=EVIL).status == 200
