"""Requests and answers that c-icap inspects: with its echo, and with ClamAV behind it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..forward.proxy import ask, proxy
from ..harness import Balancer
from ..harness.http import Request, answer, before, chunked, client, request
from ..harness.http2 import client as client2
from ..harness.origin import Origin, Reply
from ..harness.servers import EICAR, c_icap

Engine = tuple[int, Any]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with c_icap(tmp_path_factory.mktemp("icap")) as running:
        yield running


def inspects(lb: Balancer, port: int, service: str = "avscan", **rule: Any) -> Balancer:
    """Gives a balancer the engine's service."""
    assert lb.config is not None
    lb.config["icap"] = {"real": {"url": f"icap://127.0.0.1:{port}/{service}"}}
    rules = [{"name": "av", "icap": "real", **rule}]
    lb.config["listeners"]["web"].setdefault("http", {})["inspect"] = rules
    return lb


def kept(body: bytes) -> Any:
    """An origin that says this, or what it was sent."""
    return lambda asked: answer(asked.body or body)


def cuts(body: bytes) -> list[bytes]:
    """Returns the body in chunks, cut at each place, and byte by byte."""
    found = [chunked(body[:at], body[at:]) for at in range(1, len(body))]
    return [*found, chunked(*(body[at : at + 1] for at in range(len(body))))]


def test_eicar_is_stopped_in_both_directions_and_in_every_chunking(engine: Engine) -> None:
    bodies = cuts(EICAR)

    def answering(asked: Request) -> bytes | Reply:
        if asked.target == "/length":
            return answer(EICAR)
        if asked.target == "/clean":
            return answer(b"clean " * 10_000)
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        return Reply([head, bodies[int(asked.target[1:])]])

    with (
        Origin(answering) as origin,
        inspects(before([origin.row]), engine[0]) as lb,
        client(lb) as peer,
    ):
        refused = peer.ask("/length")
        assert (refused.status, b"VIRUS FOUND" in refused.body) == (403, True)
        for number in range(len(bodies)):
            assert peer.ask(f"/{number}").status == 403
        seen = len(origin.requests)
        refused = peer.ask("/up", "POST", body=EICAR)
        assert (refused.status, b"VIRUS FOUND" in refused.body) == (403, True)
        for body in bodies:
            fields = [("Transfer-Encoding", "chunked")]
            peer.say(request("/up", "POST", fields=fields) + body)
            assert peer.answer("POST").status == 403
        assert len(origin.requests) == seen
        assert peer.ask("/clean").body == b"clean " * 10_000
        (row,) = lb.admin("inspections", "web")
        assert (row["blocked"], row["failed"]) == (2 * (len(bodies) + 1), 0)


def test_eicar_is_stopped_for_clients_of_http2_and_of_a_forward_proxy(engine: Engine) -> None:
    with Origin(kept(EICAR)) as origin:
        with inspects(before([origin.row]), engine[0]) as lb, client2(lb) as peer:
            assert peer.ask("/").status == 403
            assert peer.ask("/", "POST", body=b"x" * 100 + EICAR).status == 403
            assert peer.ask("/", "POST", body=b"x" * 300_000).body == b"x" * 300_000
        with inspects(proxy(), engine[0]) as lb:
            url = f"http://{origin.address}/a"
            assert ask(lb, url).status == 403
            origin.answering = kept(b"fine")
            assert ask(lb, url).body == b"fine"
            with client(lb) as peer:
                peer.say(request(url, "POST", body=EICAR, host=origin.address))
                assert peer.answer("POST").status == 403
            (row,) = lb.admin("inspections", "web")
            assert (row["blocked"], row["clean"], row["failed"]) == (2, 3, 0)


def test_what_an_engine_cannot_read_passes_it_as_it_is(engine: Engine) -> None:
    packed = zlib.compress(bytes(range(256)) * 8000, 0)
    with Origin(kept(packed)) as origin:
        for service in ("echo", "avscan"):
            with inspects(before([origin.row]), engine[0], service) as lb, client(lb) as peer:
                assert peer.ask("/").body == packed
                assert peer.ask("/", "POST", body=packed[:900_000]).body == packed[:900_000]
                (row,) = lb.admin("inspections", "web")
                # why changed: c-icap's echo sends all back, with a field Via of its own.
                assert (row["clean"] + row["changed"], row["failed"]) == (4, 0)


@pytest.mark.parametrize("on_failure", ["deny", "allow"])
def test_an_engine_that_is_killed_is_what_its_rule_says(tmp_path: Path, on_failure: str) -> None:
    with Origin(kept(EICAR)) as origin, c_icap(tmp_path) as (port, process):
        rule = {"on_failure": on_failure, "path_prefix": "/in"}
        with inspects(before([origin.row]), port, **rule) as lb, client(lb) as peer:
            assert peer.ask("/in").status == 403
            process.kill()
            process.wait(timeout=10)
            assert peer.ask("/in").status == (503 if on_failure == "deny" else 200)
            assert peer.ask("/out").body == EICAR
