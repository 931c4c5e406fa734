"""`l4lb admin cache warm`: the list of URLs, the listener that serves each, and what answers say.
tests/e2e/cache/test_warm.py has it against a service."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from l4lb.cli import warm_client, warm_urls
from l4lb.cli.warm_client import Tally, Warming, told
from l4lb.cli.warm_urls import Door, Doors, Wanted
from l4lb.errors import L4lbError, UsageError

from .conftest import Admin, L4lb


def urls(text: bytes) -> list[str]:
    return [str(one) for one in warm_urls.read(io.BytesIO(text), "list")]


# ---- the list ------------------------------------------------------------------------------------


def test_each_line_is_a_url_and_empty_lines_and_comments_are_none() -> None:
    text = b"# ours\n\nhttp://a.example/b?c\r\n  https://a.example:8443/#top \n"
    assert warm_urls.read(io.BytesIO(text), "list") == [
        Wanted(3, False, "a.example", 80, "/b?c"),
        Wanted(4, True, "a.example", 8443, "/"),
    ]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (b"http://A.Example:80", "http://a.example/"),
        (b"HTTPS://a.example:443/A", "https://a.example/A"),
        (b"https://a.example:80/", "https://a.example:80/"),
        (b"http://a.example?b", "http://a.example/?b"),
        (b"http://[::1]:8080/a%20b", "http://[::1]:8080/a%20b"),
    ],
)
def test_a_url_is_asked_for_as_clients_do(said: bytes, meant: str) -> None:
    assert urls(said) == [meant]


@pytest.mark.parametrize(
    "wrong",
    [b"/a", b"ftp://a.example/", b"http://", b"http:///a", b"http://a b/", b"http://a.example/a b",
     b"http://user@a.example/", b"http://a.example/\xc3\xa4", b"http://a.example/\x00",
     b"http://a.example:0/", b"http://a.example:65536/", b"http://a.example:x/"],
)  # fmt: skip
def test_what_is_no_url_is_told_with_its_line(wrong: bytes) -> None:
    with pytest.raises(UsageError, match=r"^list:2: "):
        urls(b"http://a.example/\n" + wrong + b"\n")


def test_a_list_is_read_up_to_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    first = b"http://a.example/"
    longest = first + b"x" * (warm_urls.LINE_MAX - len(first))
    assert len(urls(longest + b"\r\n" + longest)) == 2
    with pytest.raises(UsageError, match="list:1: longer than 8,192 bytes"):
        urls(longest + b"x\n")
    with pytest.raises(UsageError, match="list:1: longer than 8,192 bytes"):
        urls(longest * 9)
    monkeypatch.setattr(warm_urls, "LINES_MAX", 3)
    assert len(urls(b"http://a/\n" * 3)) == 3
    with pytest.raises(UsageError, match="list: more than 3 lines"):
        urls(b"\n" * 4)


# ---- the listener --------------------------------------------------------------------------------


def row(name: str, bind: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "bind": bind, "protocol": "http", **more}


TLS = {"tls": {"full": 0}}
PLAIN = row("web", "0.0.0.0:80")
SECURE = row("safe", "[::]:443", **TLS)


def door(url: str, *rows: dict[str, Any], only: str | None = None) -> Door:
    (one,) = warm_urls.read(io.BytesIO(url.encode()), "list")
    return Doors(rows, only).of(one)


def test_the_scheme_says_whether_the_listener_has_tls() -> None:
    assert door("http://a/", SECURE, PLAIN) == Door("web", ("127.0.0.1", 80))
    assert door("https://a/", PLAIN, SECURE) == Door("safe", ("::1", 443))


def test_a_listener_that_binds_the_port_of_the_url_goes_before_others() -> None:
    other = row("other", "10.0.0.1:8080")
    assert door("http://a:8080/", PLAIN, other) == Door("other", ("10.0.0.1", 8080))
    assert door("http://a/", PLAIN, other) == Door("web", ("127.0.0.1", 80))


def test_the_only_listener_is_asked_whatever_its_port() -> None:
    assert door("http://a/", row("web", "127.0.0.1:7001")).address == ("127.0.0.1", 7001)
    assert door("http://a/", row("web", "unix:/run/web.sock")).address == "/run/web.sock"
    two = [row("web", f"127.0.0.1:{port}") for port in (7001, 7002)]
    assert door("http://a:7002/", *two).address == ("127.0.0.1", 7002)


def test_a_range_of_ports_serves_each_of_them() -> None:
    other, wide = row("other", "10.0.0.1:8080"), row("wide", "10.0.0.2:7000-7999")
    assert door("http://a:7999/", other, wide) == Door("wide", ("10.0.0.2", 7999))
    assert door("http://a/", wide).address == ("10.0.0.2", 7000)


def test_a_listener_can_be_named() -> None:
    other = row("other", "10.0.0.1:8080")
    assert door("http://a/", PLAIN, other, only="other").listener == "other"


@pytest.mark.parametrize(
    ("url", "only", "said"),
    [
        ("https://a/", None, "no HTTP listener with TLS"),
        ("http://a:5/", None, "listeners other, web may serve it"),
        ("http://a:82/", None, "listener shy demands the PROXY protocol"),
        ("http://a/", "wbe", "no listener is named wbe (did you mean web?)"),
        ("http://a/", "tcp", "listener tcp does not speak HTTP"),
    ],
)
def test_a_url_that_no_listener_serves_is_told(url: str, only: str | None, said: str) -> None:
    rows = [
        PLAIN,
        row("other", "127.0.0.1:81"),
        row("shy", "127.0.0.1:82", proxy_protocol="require"),
        {"name": "tcp", "bind": "127.0.0.1:83", "protocol": "tcp"},
    ]
    rows = rows if ":82" in url or only else rows[:2]
    with pytest.raises(L4lbError) as caught:
        door(url, *rows, only=only)
    assert said in caught.value.message


# ---- what answers say ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("l4lb; hit; ttl=9", "kept"),
        ("l4lb; hit; ttl=-9", "kept"),
        ("edge; hit; fwd=stale; fwd-status=304", "kept"),
        ("l4lb; fwd=uri-miss; stored", "fetched"),
        ("l4lb; fwd=stale; stored; collapsed", "fetched"),
        ("l4lb; fwd=uri-miss", "not_kept"),
        ("origin; hit; ttl=9, l4lb; fwd=uri-miss; stored", "fetched"),
        ("origin; hit, l4lb; fwd=bypass", "not_kept"),
        ("HIT", "not_kept"),
    ],
)
@pytest.mark.parametrize("name", ["Cache-Status", "X-Cache"])
def test_the_last_member_of_a_cache_status_counts(name: str, value: str, word: str) -> None:
    assert told([("Date", "x"), (name, value), ("Age", "1")]) == word


def test_of_several_fields_the_last_one_counts() -> None:
    assert told([("Cache-Status", "o; hit"), ("Cache-Status", "l4lb; fwd=uri-miss")]) == "not_kept"


# ---- answers that come in an unusual way ---------------------------------------------------------

HEAD = b"HTTP/1.1 200 X\r\nCache-Status: l4lb; hit; ttl=1\r\nContent-Length: 1000\r\n\r\n"


@contextlib.contextmanager
def serving(talk: Callable[[socket.socket], None]) -> Iterator[Door]:
    """A listener for one client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as sock:
                sock.recv(1 << 16)
                talk(sock)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Door("web", listener.getsockname())
    thread.join()


def visited(talk: Callable[[socket.socket], None]) -> Tally:
    with serving(talk) as door:
        warming = Warming([(Wanted(1, False, "a", 80, "/"), door)], [])
        assert warming.run(1)
    return warming.tally


def drips(sock: socket.socket) -> None:
    sock.sendall(HEAD)
    for _ in range(1000):
        sock.sendall(b"x")
        threading.Event().wait(0.01)


def test_an_answer_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_client, "ANSWER_TIMEOUT_S", 0.3)
    for talk in (drips, lambda sock: (sock.sendall(HEAD), sock.recv(1))):
        found = visited(talk)
        assert (found.failed, found.failures[0].reason) == (1, "no whole answer in 0.3 s")


def test_informational_answers_are_skipped() -> None:
    early = b"HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n"
    found = visited(lambda sock: sock.sendall(early + early + HEAD + b"x" * 1000))
    assert found == Tally(kept=1)


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", HEAD])
def test_what_is_no_answer_has_failed(said: bytes) -> None:
    found = visited(lambda sock: sock.sendall(said))
    assert (found.failed, len(found.failures)) == (1, 1)
    assert found.failures[0].reason


# ---- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["warm"], "warm takes a file of URLs"),
        (["warm", "x", "--soft"], "warm takes a file of URLs"),
        (["warm", "x", "--tag", "y"], "warm takes a file of URLs"),
        (["warm", "/none/such"], "/none/such: cannot be read"),
        (["warm", "x", "--parallel", "0"], "--parallel"),
        (["warm", "x", "--parallel", "65"], "--parallel"),
        (["warm", "x", "--header", "A"], "is no field that can be added"),
        (["warm", "x", "--header", "Host: b"], "is no field that can be added"),
        (["purge", "--all", "--parallel", "2"], "are for `cache warm`"),
        (["--listener", "web"], "are for `cache warm`"),
    ],
)
def test_a_wrong_use_is_one_line_and_2(
    admin: Admin, l4lb: L4lb, args: list[str], said: str
) -> None:
    done = l4lb("admin", "--socket", admin.path, "cache", *args)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err


def test_without_a_cache_there_is_nothing_to_fill(admin: Admin, l4lb: L4lb, tmp_path: Path) -> None:
    file = tmp_path / "urls"
    file.write_text("http://a/\n")
    done = l4lb("admin", "--socket", admin.path, "cache", "warm", str(file))
    assert (done.status, done.out) == (1, "")
    assert "there is no cache to fill" in done.err
