"""`l4lb admin cache warm`: a list of URLs is asked for, and what is kept then is there for
clients."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Balancer, run
from ..harness.configuration import one_pool
from ..harness.http import Request, answer, before, client
from ..harness.origin import Origin, Reply
from ..harness.program import program
from ..harness.secure import Authority
from .conftest import KEPT

NAMES = ("a.test", "b.test")
COUNTS = ("kept", "fetched", "not_kept", "failed")
COMMON = {"kept": 0, "fetched": 0, "not_kept": 0, "failed": 0}


def by_path(request: Request) -> bytes | Reply:
    """Answers as the path says."""
    host, path = request.get("host"), request.target.partition("?")[0]
    if path == "/none":
        return answer(b"none", 404)
    if path == "/gone":
        return Reply(b"", "reset")
    if path == "/half":
        return Reply(answer(b"half", length=9, fields=KEPT), "close")
    if path == "/private":
        return answer(b"private", fields=[("Cache-Control", "private")])
    said = f"{host} {request.target} {request.get('accept-encoding')}".encode()
    return answer(said, fields=[*KEPT, ("Vary", "Accept-Encoding")])


@contextmanager
def warmed(**more: Any) -> Iterator[tuple[Balancer, Origin]]:
    with Origin(by_path) as origin, before([origin.row], cache={}, **more) as lb:
        yield lb, origin


def listed(lb: Balancer, urls: Sequence[str]) -> str:
    file = lb.folder / "urls"
    file.write_text("".join(f"{one}\n" for one in urls))
    return str(file)


def warm(lb: Balancer, *urls: str, args: Sequence[str] = ()) -> tuple[int, dict[str, Any], str]:
    """Returns the exit status, the counts, and what was said of failures."""
    command = ["admin", "--socket", lb.socket, "cache", "warm", listed(lb, urls), "--json", *args]
    done = run(*command)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def refused(lb: Balancer, *urls: str, args: Sequence[str] = ()) -> str:
    done = run("admin", "--socket", lb.socket, "cache", "warm", listed(lb, urls), *args)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    return str(done.stderr)


def test_what_was_fetched_is_there_for_clients() -> None:
    with warmed() as (lb, origin):
        urls = [f"http://{name}/{at}?x" for at in range(20) for name in NAMES]
        assert warm(lb, *urls) == (0, {**COMMON, "fetched": 40, "failures": []}, "")
        assert warm(lb, *urls)[1] == {**COMMON, "kept": 40, "failures": []}
        assert len(origin.requests) == 40
        assert {request.get("user-agent") for request in origin.requests} == {"l4lb"}
        with client(lb) as peer:
            got = peer.ask("/7?x")  # of example.test, which no URL named
            assert (got.get("cache-status") or "").endswith("uri-miss; stored")
        assert lb.admin("cache", "show", urls[0])["answers"][0]["body_bytes"] > 0


def test_the_text_is_one_line_of_counts() -> None:
    with warmed() as (lb, _):
        file = listed(lb, ["http://a.test/", "http://a.test/private", "# none"])
        done = run("admin", "--socket", lb.socket, "cache", "warm", file, "--parallel", "1")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "0 kept already, 1 fetched, 1 not kept, 0 failed\n"


def test_what_fails_is_told_with_its_line_and_the_rest_goes_on() -> None:
    with warmed(retries=0) as (lb, _):
        paths = ("none", "gone", "half", "private", "fine")
        status, found, said = warm(lb, *(f"http://a.test/{path}" for path in paths))
        assert (status, {key: found[key] for key in COUNTS}) == (
            1, {"kept": 0, "fetched": 1, "not_kept": 1, "failed": 3},
        )  # fmt: skip
        assert [(one["line"], one["reason"]) for one in found["failures"]] == [
            (1, "status 404"), (2, "status 502"), (3, "the answer ended early"),
        ]  # fmt: skip
        assert "line 1: http://a.test/none: status 404\n" in said


def test_only_the_first_failures_are_told() -> None:
    with warmed() as (lb, _):
        status, found, said = warm(lb, *(f"http://a.test/none?{at}" for at in range(30)))
        assert (status, found["failed"], len(found["failures"])) == (1, 30, 20)
        assert said.splitlines()[-1] == "and 10 more failed"


def test_fields_choose_the_variant_that_is_kept() -> None:
    with warmed() as (lb, origin):
        url = "http://example.test/a"
        assert warm(lb, url, args=["--header", "Accept-Encoding: br"])[1]["fetched"] == 1
        with client(lb) as peer:
            got = peer.ask("/a", fields=[("Accept-Encoding", "br")])
            assert got.body == b"example.test /a br"
            assert len(origin.requests) == 1


def test_a_list_can_come_through_a_pipe() -> None:
    with warmed() as (lb, _):
        done = subprocess.run(
            [*program(), "admin", "--socket", lb.socket, "cache", "warm", "-"],
            input="http://a.test/\nhttp://a.test/\nnonsense\n",
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, "")
        assert "standard input:3: 'nonsense' is no URL" in done.stderr


def test_a_connection_that_the_listener_ends_is_made_again() -> None:
    with warmed(http={"max_requests": 2}) as (lb, origin):
        urls = [f"http://a.test/{at}" for at in range(9)]
        assert warm(lb, *urls, args=["--parallel", "1"])[1] == {
            **COMMON, "fetched": 9, "failures": [],
        }  # fmt: skip
        assert len(origin.requests) == 9


def test_a_field_of_another_name_tells_as_well() -> None:
    with Origin(by_path) as origin, before([origin.row], cache={"status": "X-Cache"}) as lb:
        assert warm(lb, "http://a.test/")[1]["fetched"] == 1
        assert warm(lb, "http://a.test/")[1]["kept"] == 1


def test_names_of_urls_are_asked_for_in_tls_and_certificates_are_not_verified() -> None:
    with Authority() as authority:
        row = authority.issue(*NAMES)
        tls = {"certificates": [row], "strict_sni": True}
        with warmed(listener={"tls": tls}) as (lb, origin):
            urls = [f"https://{name}/{at}" for at in range(5) for name in NAMES]
            assert warm(lb, *urls)[:2] == (0, {**COMMON, "fetched": 10, "failures": []})
            status, found, _ = warm(lb, "https://c.test/")
            assert (status, found["failed"]) == (1, 1)
            assert found["failures"][0]["reason"].startswith("TLS: ")
            assert "no HTTP listener without TLS" in refused(lb, "http://a.test/")
            assert len(origin.requests) == 10


def test_a_listener_that_demands_client_certificates_is_told() -> None:
    with Authority() as authority:
        tls = {"certificates": [authority.issue(*NAMES)], "ca": authority.path}
        with warmed(listener={"tls": tls}) as (lb, _):
            said = refused(lb, *(f"https://a.test/{at}" for at in range(50)))
            assert said == (
                "listener web demands a certificate of its clients: it cannot be asked from here\n"
            )


def test_a_listener_that_demands_the_proxy_protocol_is_told() -> None:
    listener = {"proxy_protocol": "require", "trusted": ["127.0.0.0/8"]}
    with warmed(listener=listener) as (lb, _):
        assert "urls:1: http://a.test/: listener web demands the PROXY" in refused(
            lb, "http://a.test/"
        )
        assert lb.admin("listeners")[0]["proxy_protocol"] == "require"


@pytest.mark.parametrize("secure", [False, True])
def test_a_listener_on_a_unix_socket_is_asked_there(tmp_path: Path, secure: bool) -> None:
    os.chmod(tmp_path, 0o755)
    with Authority() as authority, Origin(by_path) as origin:
        config = one_pool(f"unix:{tmp_path}/web.sock", [origin.row])
        config["cache"] = {"pages": {"memory": "8MiB"}}
        config["listeners"]["web"] |= {"protocol": "http", "http": {"cache": "pages"}}
        if secure:
            config["listeners"]["web"]["tls"] = {"certificates": [authority.issue(*NAMES)]}
        with Balancer(config) as lb:
            url = f"http{'s' if secure else ''}://a.test/"
            assert warm(lb, url)[1]["fetched"] == 1


def test_of_several_listeners_one_is_named() -> None:
    with Origin(by_path) as origin:
        config = one_pool(f"127.0.0.1:{PORTS.take()}", [origin.row])
        config["cache"] = {"pages": {"memory": "8MiB"}}
        config["listeners"]["web"] |= {"protocol": "http"}
        config["listeners"]["kept"] = {
            **config["listeners"]["web"],
            "bind": [f"127.0.0.1:{PORTS.take()}"],
            "http": {"cache": "pages"},
        }
        with Balancer(config) as lb:
            assert "listeners kept, web may serve it" in refused(lb, "http://a.test/")
            assert warm(lb, "http://a.test/", args=["--listener", "kept"])[1]["fetched"] == 1
            assert warm(lb, "http://a.test/", args=["--listener", "web"])[1]["not_kept"] == 1
