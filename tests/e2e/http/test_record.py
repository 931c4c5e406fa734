"""Requests and answers that are kept, through the installed program: what lies in the folder, and
what no client ever notices of it."""

from __future__ import annotations

import base64
import gzip
import random
import stat
from pathlib import Path

import pytest

from ..forward.proxy import proxy
from ..harness.deadline import until
from ..harness.engine import EVIL, Engine, blocking
from ..harness.http import Request, answer, chunked, client, request
from ..harness.http2 import client as client2
from ..harness.origin import Origin, Reply
from ..harness.recorded import all_in, echoing, kept_in, recorded, shown

SECRET = "hunter2"


def test_a_request_is_kept_as_its_client_sent_it_and_its_answer_as_the_client_got_it(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "kept"
    with Origin(echoing) as origin, recorded([origin], folder) as lb, client(lb) as peer:
        peer.say(request("/a?b=c", "POST", body=b"hello", fields=[("X-Mine", "1")]))
        got = peer.answer("POST")
        assert peer.ask("/second").status == 200
        first, second = all_in(folder, 2)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert first.request == request("/a?b=c", "POST", body=b"hello", fields=[("X-Mine", "1")])
        assert first.answer == got.raw_head + got.body
        assert first.answer_body == b"hello"
        assert (second.target, second.request_body, second.answer_body) == ("/second", b"", b"fine")
        about = first.about
        assert (about["record"], about["rule"], about["cut"]) == ("kept", "rule0", [])
        assert (about["status"], about["listener"], about["backend"]) == (200, "web", "a")
        assert (about["method"], about["request_bytes"], about["answer_bytes"]) == ("POST", 5, 5)
        assert first.name < second.name
        until(lambda: shown(lb).get("kept") == 2, "it is counted")
        row = shown(lb)
        assert (row["record"], row["chosen"], row["folder"]) == ("kept", 2, str(folder))
        assert row["files_bytes"] > 0


@pytest.mark.parametrize("size", [0, 1, 4_000, 65_536, 400_000])
@pytest.mark.parametrize("in_chunks", [False, True])
def test_bodies_are_kept_without_chunks_up_to_max_body(
    tmp_path: Path, size: int, in_chunks: bool
) -> None:
    body = random.Random(size).randbytes(size)
    parts = [body[: size // 3], body[size // 3 :]]

    def answering(asked: Request) -> bytes:
        assert asked.body == body
        if in_chunks:
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(*parts)
        return answer(body)

    folder = tmp_path / "kept"
    with Origin(answering) as origin, recorded([origin], folder) as lb, client(lb) as peer:
        if in_chunks:
            fields = [("Transfer-Encoding", "chunked")]
            peer.say(request("/", "POST", fields=fields) + chunked(*parts))
        else:
            peer.say(request("/", "POST", body=body))
        assert peer.answer("POST").body == body
        (one,) = all_in(folder, 1)
        most = 64 << 10
        assert (one.request_body, one.answer_body) == (body[:most], body[:most])
        assert one.about["cut"] == (["answer", "request"] if size > most else [])


def with_secrets(asked: Request) -> bytes:
    """Answers with secrets in the head and in the body, which /packed gets compressed."""
    assert SECRET in str(asked.fields)
    plain = f'{{"user": "me", "password": "{SECRET}", "deep": [{{"Token": "{SECRET}"}}]}}'.encode()
    fields = [
        ("Set-Cookie", f"id={SECRET}; Path=/; HttpOnly"),
        ("Location", f"/?code=1&sig={SECRET}"),
        ("Content-Type", "application/json"),
    ]
    if asked.target != "/packed":
        return answer(plain, fields=fields)
    return answer(gzip.compress(plain), fields=[*fields, ("Content-Encoding", "gzip")])


def test_secrets_are_masked_wherever_they_are(tmp_path: Path) -> None:
    login = base64.b64encode(f"me:{SECRET}".encode()).decode()
    said = [
        ("Authorization", f"Basic {login}"),
        ("Cookie", f"id={SECRET}; theme=dark"),
        ("X-Api-Key", SECRET),
        ("Referer", f"http://me:{SECRET}@h/?token={SECRET}&page=2"),
    ]
    folder = tmp_path / "kept"
    with Origin(with_secrets) as origin, recorded([origin], folder) as lb, client(lb) as peer:
        form = f"user=me&p%61ssword={SECRET}&page=3".encode()
        kind = ("Content-Type", "application/x-www-form-urlencoded")
        target = f"/a?password={SECRET}&page=1"
        peer.say(request(target, "POST", body=form, fields=[*said, kind]))
        assert SECRET.encode() in peer.answer("POST").body
        assert peer.ask("/packed", fields=said).status == 200
        first, packed = all_in(folder, 2)
        assert SECRET not in lb.log()
    for file in folder.glob("*/*"):
        for secret in (SECRET, login):
            assert secret.encode() not in file.read_bytes()
    assert first.answer is not None
    assert SECRET.encode() not in gzip.decompress(packed.answer_body)
    for part in (b"page=1", b"page=2", b"Authorization: Basic ***\r\n", b"theme=***"):
        assert part in first.request
    assert first.request_body == b"user=me&p%61ssword=***&page=3"
    assert b"Set-Cookie: id=***; Path=/; HttpOnly\r\n" in first.answer
    assert b'"user": "me"' in first.answer_body


def test_rules_choose_by_the_request_and_statuses_by_the_answer(tmp_path: Path) -> None:
    def answering(asked: Request) -> bytes:
        return answer(b"x", status=int(asked.target[-3:]))

    rules = [
        {"path_prefix": "/api", "method": ["POST", "GET"]},
        {"host": "other.example"},
        {"path_prefix": "/half", "percent": 50},
    ]
    record = {"statuses": ["500-599", 404]}
    folder = tmp_path / "kept"
    with (
        Origin(answering) as origin,
        recorded([origin], folder, rules=rules, record=record) as lb,
        client(lb) as peer,
    ):
        for path in ("/api/200", "/api/404", "/api/503", "/else/500"):
            assert peer.ask(path).status == int(path[-3:])
        peer.say(b"GET /500 HTTP/1.1\r\nHost: other.example\r\n\r\n")
        assert peer.answer().status == 500
        for _ in range(60):
            peer.ask("/half/500")
        last = "/api/last/500"
        peer.ask(last)
        until(lambda: last in {one.target for one in kept_in(folder)}, "the last one is kept")
        found = kept_in(folder)
        targets = [one.target for one in found]
        assert {"/api/404", "/api/503", "/500", last} <= set(targets)
        assert not {"/api/200", "/else/500"} & set(targets)
        assert 10 <= targets.count("/half/500") <= 50
        rules_of = {one.target: one.about["rule"] for one in found}
        assert (rules_of["/api/404"], rules_of["/500"]) == ("rule0", "rule1")
        until(lambda: shown(lb).get("skipped") == 1, "the one with the status 200 is counted")


def test_what_l4lb_answers_itself_is_kept_and_what_it_refuses(tmp_path: Path) -> None:
    rules = [{"name": "no", "action": "deny", "path": "/secret"}]
    routes = [{"path": "/own", "respond": {"status": 200, "body": "of its own"}}]
    folder = tmp_path / "kept"
    with (
        Origin() as origin,
        recorded([origin], folder, listener={"filter": {"rules": rules}, "routes": routes}) as lb,
        client(lb) as peer,
    ):
        assert peer.ask("/own", "POST", body=b"asked").body == b"of its own"
        with client(lb) as again:
            again.say(request("/secret", "POST", body=b"the attack"))
            assert again.answer("POST").status == 403
        own, refused = all_in(folder, 2)
        assert (own.request_body, own.answer_body) == (b"asked", b"of its own")
        assert (own.about["status"], own.about["cut"]) == (200, [])
        assert (refused.target, refused.about["status"]) == ("/secret", 403)
        assert (refused.request_body, refused.about["cut"]) == (b"the attack", [])
        assert refused.about["end"] == "rejected:filter"


def test_of_a_body_that_is_refused_what_came_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    fields = [("Transfer-Encoding", "chunked")]
    whole, broken = chunked(b"a" * 600, b"b" * 600), b"5\r\nhello\r\nno chunk\r\n"
    with Origin(echoing) as origin, recorded([origin], folder, http={"max_body": "1KiB"}) as lb:
        for body, status in ((whole, 413), (broken, 400)):
            with client(lb) as peer:
                peer.say(request("/", "POST", fields=fields) + body)
                assert peer.answer("POST").status == status
        long, bad = all_in(folder, 2)
        assert (long.request_body, long.about["cut"]) == (b"a" * 600 + b"b" * 600, [])
        assert bad.about["cut"] == ["request"]


def test_an_answer_of_l4lb_that_is_cut_says_so_and_one_that_is_not_does_not(tmp_path: Path) -> None:
    routes = [{"path": "/own", "respond": {"status": 200, "body": "x" * 2000}}]
    folder = tmp_path / "kept"
    with (
        Origin(lambda _: answer(b"y" * 1024)) as origin,
        recorded([origin], folder, listener={"routes": routes}, record={"max_body": "1KiB"}) as lb,
        client(lb) as peer,
    ):
        assert len(peer.ask("/own").body) == 2000
        assert len(peer.ask("/just").body) == 1024
        own, just = all_in(folder, 2)
        assert (len(own.answer_body), own.about["cut"]) == (1024, ["answer"])
        assert (len(just.answer_body), just.about["cut"]) == (1024, [])


def test_answers_out_of_a_cache_and_to_clients_of_http2_are_kept(tmp_path: Path) -> None:
    body = random.Random(7).randbytes(50_000)
    fields = [("Cache-Control", "max-age=60")]
    folder = tmp_path / "kept"
    with (
        Origin(lambda _: answer(body, fields=fields)) as origin,
        recorded([origin], folder, cache={}) as lb,
    ):
        with client(lb) as peer:
            assert [peer.ask("/a").body for _ in range(2)] == [body] * 2
        with client2(lb) as peer2:
            got = peer2.ask("/b", "POST", body=b"said by HTTP/2")
            assert (got.status, bytes(got.body)) == (200, body)
        found = all_in(folder, 3)
        assert len(origin.requests) == 2
        assert [one.answer_body for one in found] == [body] * 3
        assert [one.about.get("cache") for one in found][:2] == ["miss", "hit"]
        assert found[2].request.startswith(b"POST /b HTTP/1.1\r\n")
        assert found[2].request_body == b"said by HTTP/2"


def test_a_request_that_is_sent_again_is_kept_once(tmp_path: Path) -> None:
    """The first backend takes the request and resets; the second one answers."""
    folder = tmp_path / "kept"
    with (
        Origin(lambda _: Reply(b"", then="reset"), name="a") as bad,
        Origin(echoing, name="b") as good,
        recorded([bad, good], folder, pool_http={"retry_on": ["reset"]}, retries=2) as lb,
        client(lb) as peer,
    ):
        bodies = [f"number {n}".encode() for n in range(6)]
        for body in bodies:
            assert peer.ask("/", "PUT", body=body).body == body
        assert bad.requests
        found = all_in(folder, len(bodies))
        assert [(one.request_body, one.answer_body) for one in found] == [(b, b) for b in bodies]


def test_with_an_engine_the_client_s_request_and_the_client_s_answer_are_kept(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "kept"
    rule = {"name": "av", "icap": "clam"}
    with (
        Engine(blocking) as engine,
        Origin(echoing) as origin,
        recorded(
            [origin], folder, http={"inspect": [rule]}, tables={"icap": {"clam": engine.row()}}
        ) as lb,
        client(lb) as peer,
    ):
        body = b"y" * 50_000
        assert peer.ask("/a", "POST", body=body).body == body
        assert peer.ask("/b", "POST", body=EVIL).status == 403
        first, second = all_in(folder, 2)
        assert (first.request_body, first.answer_body) == (body, body)
        assert (second.request_body, second.answer_body) == (EVIL, b"blocked by the engine")


def test_requests_through_a_forward_proxy_are_kept_but_no_tunnels(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with Origin(echoing) as origin:
        address = origin.row["address"]
        lb = proxy(http={"record": [{"name": "all", "record": "kept"}]})
        lb.config["record"] = {"kept": {"folder": str(folder)}}
        with lb:
            with client(lb) as peer:
                target = f"http://{address}/a"
                peer.say(f"GET {target} HTTP/1.1\r\nHost: {address}\r\n".encode())
                login = base64.b64encode(b"me:hunter2")
                peer.say(b"Proxy-Authorization: Basic " + login + b"\r\n\r\n")
                assert peer.answer().body == b"fine"
            with client(lb) as peer:
                peer.say(f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
                assert peer.bytes_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
                assert peer.ask("/inside").body == b"fine"
            (one,) = all_in(folder, 1)
            assert one.request.startswith(f"GET {target} HTTP/1.1\r\n".encode())
            assert login not in one.request
            assert one.answer_body == b"fine"


def test_a_client_that_goes_away_leaves_what_there_was(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with Origin(echoing) as origin, recorded([origin], folder) as lb:
        with client(lb) as peer:
            peer.say(request("/", "POST", fields=[("Content-Length", "100")]) + b"only this")
            until(lambda: origin.working or origin.connections, "the request is under way")
        (one,) = all_in(folder, 1)
        assert (one.request_body, one.answer) == (b"only this", None)
        assert (one.about["end"], one.about["request_bytes"]) == ("client_fin", 9)
