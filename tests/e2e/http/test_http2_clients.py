"""HTTP/2 over TLS, with the clients that people use, and while the service changes."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..harness import Balancer, toml, until
from ..harness.http import Request, answer, before, chunked
from ..harness.http2 import PING, GoneError, Http2, client, frame
from ..harness.origin import Gate, Origin, Reply, path_and_name, three
from ..harness.secure import Authority, secure
from ..harness.servers import need

H2 = ["h2", "http/1.1"]
REFUSED = 7
FIN_WAIT_1 = "04"


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    with Authority() as one:
        yield one


@pytest.fixture(scope="module")
def secured(authority: Authority) -> Iterator[tuple[Balancer, Origin]]:
    certificates = [authority.issue("localhost"), authority.issue("other.test")]
    listener = {"tls": {"certificates": certificates}}
    with Origin() as origin, before([origin.row], listener=listener, workers=2) as lb:
        yield lb, origin


def encrypted(lb: Balancer, authority: Authority, window: int = 65_535) -> Http2:
    sock = secure(lb.connect(), authority.client(alpn=H2))
    assert sock.selected_alpn_protocol() == "h2"
    return Http2(sock, window=window)


def ran(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_client_with_tls_agrees_on_http_2(
    secured: tuple[Balancer, Origin], authority: Authority
) -> None:
    lb, origin = secured
    origin.requests.clear()
    with encrypted(lb, authority) as one:
        assert bytes(one.ask("/tls", host="localhost").body) == b"a /tls"
    assert origin.requests[0].get("x-forwarded-proto") == "https"


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("size", [0, 1, 25, 26, 100])
def test_a_short_body_reaches_the_backend_over_tls(
    secured: tuple[Balancer, Origin], authority: Authority, size: int, told: bool
) -> None:
    lb, origin = secured
    origin.requests.clear()
    fields = [("content-length", str(size))] if told else []
    with encrypted(lb, authority) as one:
        assert one.ask("/short", "POST", fields, b"x" * size, host="localhost").status == 200
    assert origin.requests[0].body == b"x" * size


def test_a_listener_whose_http_2_is_off_agrees_on_http_1(authority: Authority) -> None:
    listener = {"tls": {"certificates": [authority.issue("localhost")]}}
    with (
        Origin() as origin,
        before([origin.row], listener=listener, http={"http2": {"streams": 0}}) as lb,
        secure(lb.connect(), authority.client(alpn=H2)) as sock,
    ):
        assert sock.selected_alpn_protocol() == "http/1.1"


def test_large_answers_over_tls_are_exact_for_many_streams(
    secured: tuple[Balancer, Origin], authority: Authority
) -> None:
    lb, origin = secured
    body = random.Random(1).randbytes(1_500_000)
    origin.answering = lambda request: answer(request.target.encode() + body)
    with encrypted(lb, authority) as one:
        streams = {f"/{n}": one.begin(f"/{n}", host="localhost") for n in range(6)}
        for path, stream in streams.items():
            assert bytes(one.answer(stream).body) == path.encode() + body
    origin.answering = path_and_name("a")


@pytest.mark.parametrize("window", [65_535, 1 << 22])
def test_answers_to_a_client_that_reads_late_are_exact(
    secured: tuple[Balancer, Origin], authority: Authority, window: int
) -> None:
    lb, origin = secured
    body = random.Random(2).randbytes(1_500_000)
    origin.answering = lambda request: answer(request.target.encode() + body)
    for _ in range(4):
        origin.requests.clear()
        with encrypted(lb, authority, window) as one:
            streams = {f"/{n}": one.begin(f"/{n}", host="localhost") for n in range(6)}
            until(lambda: len(origin.requests) == 6, "all requests are with the backend")
            for path, stream in streams.items():
                got = one.answer(stream)
                assert (got.reset, bytes(got.body) == path.encode() + body) == (None, True)
    origin.answering = path_and_name("a")


def test_a_host_with_other_certificates_than_the_server_name_is_misdirected(
    secured: tuple[Balancer, Origin], authority: Authority
) -> None:
    lb, origin = secured
    with encrypted(lb, authority) as one:
        origin.requests.clear()
        got = one.ask(host="other.test")
        assert (got.status, got.ended) == (421, True)
        assert not origin.requests
        assert one.ask(host="localhost").status == 200
        assert one.ask(host="elsewhere.test").status == 200


def test_curl_is_served_by_prior_knowledge_and_over_tls(
    secured: tuple[Balancer, Origin], authority: Authority
) -> None:
    curl = need("curl")
    lb, _ = secured
    shows = ["-s", "-w", "|%{http_version}|%{http_code}"]
    url = f"https://localhost:{lb.address[1]}/c"
    assert ran(curl, *shows, "--http2", "--cacert", authority.path, url) == "a /c|2|200"
    with Origin() as origin, before([origin.row]) as plain:
        url = f"http://127.0.0.1:{plain.address[1]}/c"
        assert ran(curl, *shows, "--http2-prior-knowledge", url) == "a /c|2|200"
        # The upgrade of HTTP/1.1 to h2c is not taken, as browsers do not ask for it.
        assert ran(curl, *shows, "--http2", url) == "a /c|1.1|200"


def test_nghttp_and_h2load_get_all_of_their_answers() -> None:
    nghttp, h2load = need("nghttp"), need("h2load")
    with Origin() as origin, before([origin.row], workers=2, http={"max_requests": 0}) as lb:
        url = f"http://127.0.0.1:{lb.address[1]}/n"
        assert ran(nghttp, url) == "a /n"
        told = ran(h2load, "-n", "2000", "-c", "8", "-m", "16", "-t", "1", url)
        assert "2000 succeeded, 0 failed, 0 errored" in told


# ---- change under traffic ------------------------------------------------------------------------


def test_a_connection_is_told_twice_that_it_ends_and_its_requests_are_answered() -> None:
    gate = Gate(path_and_name("a"))
    with Origin(gate) as origin, before([origin.row]) as lb, client(lb) as one:
        stream = one.begin("/held")
        until(lambda: origin.working == 1, "the request is with its backend")
        lb.signal(signal.SIGTERM)
        while len(one.goaway) < 2:
            one.turn()
        gate.open()
        assert bytes(one.answer(stream).body) == b"a /held"
        one.until_gone()
        assert one.goaway == [(0, (1 << 31) - 1), (0, stream)]
        assert lb.wait() == 0


def test_a_connection_ends_after_its_last_request() -> None:
    with (
        Origin() as origin,
        before([origin.row], http={"max_requests": 3}) as lb,
        client(lb) as one,
    ):
        for n in range(3):
            assert one.ask(f"/{n}").status == 200
        assert [code for code, _ in one.until_gone()] == [0, 0]


def state_of(sock: socket.socket) -> str:
    """Returns the state of the other end of a connection, as /proc/net/tcp has it; "": gone."""
    ports = [sock.getpeername()[1], sock.getsockname()[1]]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        here, there, state = line.split()[1:4]
        if [int(one.rpartition(":")[2], 16) for one in (here, there)] == ports:
            return state
    return ""


def test_a_connection_that_ends_in_order_is_not_reset_by_what_its_client_still_sends() -> None:
    """A client sends WINDOW_UPDATE and PING while it reads what was sent to it before the end."""
    body = random.Random(1).randbytes(900_000)
    with (
        Origin(lambda _: answer(body)) as origin,
        before([origin.row], http={"max_requests": 1}) as lb,
        socket.socket() as sock,
    ):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 30_000)
        sock.connect(lb.address)
        with Http2(sock) as one:
            stream = one.begin("/large")
            until(lambda: state_of(sock) == FIN_WAIT_1, "its end was told")
            for _ in range(3):
                sock.sendall(frame(PING, payload=bytes(8)))
                one.turn()
            one.until_gone()
            assert bytes(one.answers[stream].body) == body


def test_an_answer_whose_end_waits_for_the_clients_window_is_ended_before_its_connection() -> None:
    """The body fills the window, and has no length: its end is a frame of its own, for which the
    library waits until the window is opened."""
    body = bytes(1_000)
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body)
    with (
        Origin(lambda _: Reply(chunks)) as origin,
        before([origin.row], http={"max_requests": 1}) as lb,
        client(lb, window=len(body), reads=False) as one,
    ):
        stream = one.begin("/")
        while len(one.goaway) < 2:
            one.turn()
        got = one.answers[stream]
        assert (bytes(got.body), got.ended) == (body, False)
        one.h2.increment_flow_control_window(1_000, stream)
        one.flush()
        assert one.answer(stream).ended
        assert one.until_gone() == [(0, (1 << 31) - 1), (0, stream)]


class Load:
    """Clients of HTTP/2 that ask on and on; each answer must name its request."""

    def __init__(self, lb: Balancer, clients: int = 4) -> None:
        self.lb = lb
        self.answers = 0
        self.gone = 0  # connections that ended with requests in progress
        self.faults: list[str] = []
        self._stops = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stops.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for_more(self, count: int) -> None:
        wanted = self.answers + count
        until(lambda: self.answers >= wanted or self.faults, "more requests are answered")

    def _work(self, number: int) -> None:
        turn = 0
        while not self._stops.is_set():
            with client(self.lb) as one:
                try:
                    while not self._stops.is_set() and not one.goaway:
                        turn += 1
                        self._ask(one, [f"/{number}/{turn}/{n}" for n in range(8)])
                except (GoneError, ConnectionError):
                    self.gone += 1

    def _ask(self, one: Http2, paths: list[str]) -> None:
        streams = [one.begin(path) for path in paths]
        for path, stream in zip(paths, streams, strict=True):
            got = one.answer(stream)
            if got.reset is not None or got.status != 200 or path.encode() not in got.body:
                self.faults.append(f"{path}: {got}")
            self.answers += 1


def named(request: Request) -> bytes:
    return answer(request.target.encode())


def test_a_reload_under_load_fails_no_request() -> None:
    with (
        three(lambda _: named) as origins,
        before([one.row for one in origins], workers=2, http={"max_requests": 0}) as lb,
    ):
        assert lb.config
        with Load(lb) as load:
            for n in range(4):
                lb.config["pools"]["web"]["balance"] = ["round_robin", "first"][n % 2]
                (lb.folder / "l4lb.toml").write_text(toml(lb.config))
                lb.admin("reload")
                load.wait_for_more(60)
        assert (load.faults, load.gone) == ([], 0)


def test_a_killed_worker_leaves_exact_counts_and_mixes_up_no_answer() -> None:
    with (
        three(lambda _: named) as origins,
        before([one.row for one in origins], workers=2) as lb,
    ):
        with Load(lb) as load:
            for n in range(4):
                old = lb.kill(n % 2)
                lb.wait_for_new_worker(n % 2, old)
                load.wait_for_more(60)
        assert load.faults == []
        until(lambda: lb.total("active") == 0, "no place is held by a request that is gone")
        until(lambda: not lb.ask("sessions"), "no connection is left")


def test_an_operator_ends_a_connection_and_its_requests() -> None:
    gate = Gate(path_and_name("a"))
    with Origin(gate) as origin, before([origin.row]) as lb, client(lb) as one:
        one.begin("/held")
        until(lambda: origin.working == 1, "the request is with its backend")
        [row] = [row for row in lb.ask("sessions") if row["state"] == "http2"]
        lb.admin("kill", str(row["id"]))
        one.until_gone()
        until(lambda: not lb.ask("sessions"), "nothing of it is left")
        until(lambda: lb.total("active") == 0, "its place is free")
        gate.open()


def test_streams_count_as_one_connection() -> None:
    gate = Gate(path_and_name("a"))
    with (
        Origin(gate) as origin,
        before([origin.row], listener={"limits": {"connections": 1}}) as lb,
        client(lb) as one,
    ):
        streams = [one.begin(f"/{n}") for n in range(20)]
        until(lambda: origin.working == 20, "all requests are with the backend")
        with contextlib.suppress(ConnectionError), lb.connect() as two:
            assert not two.recv(1)
        gate.open()
        assert {one.answer(stream).status for stream in streams} == {200}


def test_streams_without_room_are_refused_and_the_others_answered() -> None:
    with (
        Origin() as origin,
        before([origin.row], limits={"max_connections": 3}) as lb,
        client(lb) as one,
    ):
        streams = [one.begin(f"/{n}") for n in range(20)]
        answers = [one.answer(stream) for stream in streams]
        assert {(got.status, got.reset) for got in answers} <= {(200, None), (0, REFUSED)}
        assert one.ask("/after").status == 200
