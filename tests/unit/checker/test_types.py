"""Each type of check against a server that answers as expected, and one that does not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest

from l4lb.checker.types import Outcome, Settings, Target
from l4lb.native.results import Result
from l4lb.native.rows import Address

from .servers import Authority, answering_datagrams, one_check, says, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def settings(kind: str, **given: Any) -> Settings:
    rest = {"interval_ms": 1_000, "timeout_ms": 20_000, "rise": 2, "fall": 3, "jitter_percent": 10}
    return Settings(kind, **{**rest, **given})


def checked(address: Address, kind: str, **given: Any) -> Outcome:
    target = Target(address, "web", "a")
    return one_check(target, settings(kind, **given))


class TestConversations:
    def test_what_is_expected_must_come(self) -> None:
        with serving(says(b"+PONG\r\n")) as address:
            outcome = checked(address, "tcp", send="PING\r\n", expect="+PONG")
            assert (outcome.result, outcome.text) == (Result.OK, "1 of 1 steps")

    def test_steps_go_one_after_the_other_and_each_is_found_after_the_one_before(self) -> None:
        heard = []

        def talk(sock: socket.socket) -> None:
            sock.sendall(b"220 one 250 two\r\n")
            heard.append(sock.recv(100))
            sock.sendall(b"\x00\x01")
            heard.append(sock.recv(100))

        steps = [
            {"expect": "220"},
            {"expect": "regex:[0-9]+ t"},
            {"send": "hex:0a 0b", "expect": "hex:0001"},
        ]
        with serving(talk) as address:
            assert checked(address, "tcp", steps=steps).passed
        assert heard[0] == b"\x0a\x0b"

    def test_another_answer_is_a_failure_that_shows_it(self) -> None:
        def talk(sock: socket.socket) -> None:
            sock.sendall(b"-ERR no")

        with serving(talk) as address:
            outcome = checked(address, "tcp", expect="+PONG")
        assert outcome.result is Result.CLOSED
        assert 'step 1 of 1: got "-ERR no", then closed' in outcome.text

    def test_an_answer_without_end_is_not_read_for_ever(self) -> None:
        def talk(sock: socket.socket) -> None:
            while True:
                sock.sendall(b"x" * 65536)

        with serving(talk) as address:
            outcome = checked(address, "tcp", expect="y")
        assert outcome.result is Result.ANSWER
        assert "not found in 65536 bytes" in outcome.text

    @pytest.mark.parametrize(
        ("version", "header"),
        [("v1", b"PROXY UNKNOWN\r\n"), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")],
    )
    def test_it_may_begin_with_a_local_proxy_header(self, version: str, header: bytes) -> None:
        heard = []

        def talk(sock: socket.socket) -> None:
            heard.append(sock.recv(100))
            sock.sendall(b"ok")

        with serving(talk) as address:
            assert checked(address, "tcp", send_proxy=version, expect="ok").passed
        assert heard == [header]


class TestHttp:
    def test_an_expected_status_passes_and_is_shown(self) -> None:
        with serving(says(OK)) as address:
            outcome = checked(address, "http")
        assert (outcome.result, outcome.code, outcome.text) == (Result.OK, 200, "200 OK")

    def test_the_request_is_as_it_was_configured(self) -> None:
        heard = []

        def talk(sock: socket.socket) -> None:
            heard.append(sock.recv(4096))
            sock.sendall(OK)

        with serving(talk) as address:
            assert checked(
                address, "http", method="HEAD", path="/up?x=1", host="h.test",
                headers=["X-One: 1", "user-agent: me"],
            ).passed  # fmt: skip
        lines = heard[0].decode().lower().split("\r\n")
        assert lines[0] == "head /up?x=1 http/1.1"
        assert {"host: h.test", "x-one: 1", "user-agent: me", "connection: close"} <= set(lines)
        assert sum(line.startswith("user-agent") for line in lines) == 1

    @pytest.mark.parametrize("status", [["200"], ["200-299", "404"], ["100-599"]])
    def test_statuses_are_numbers_and_ranges(self, status: list[str]) -> None:
        code = 404 if "404" in status else 200
        with serving(says(f"HTTP/1.1 {code} X\r\n\r\n".encode())) as address:
            assert checked(address, "http", status=status).passed

    def test_another_status_is_a_failure(self) -> None:
        with serving(says(b"HTTP/1.1 503 Busy\r\n\r\n")) as address:
            outcome = checked(address, "http")
        assert (outcome.result, outcome.code) == (Result.ANSWER, 503)
        assert outcome.text == "503 Busy, not 200-399"

    def test_the_body_must_match_where_that_is_asked(self) -> None:
        with serving(says(OK)) as address:
            assert checked(address, "http", body="^hel+o$").passed
            outcome = checked(address, "http", body="bye")
        assert (outcome.result, outcome.code) == (Result.ANSWER, 200)

    def test_a_body_in_chunks_is_put_together(self) -> None:
        chunks = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
        )
        with serving(says(chunks)) as address:
            assert checked(address, "http", body="hello").passed

    def test_a_body_of_a_gigabyte_is_not_read(self) -> None:
        def talk(sock: socket.socket) -> None:
            sock.recv(4096)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
            while True:
                sock.sendall(b"x" * 65536)

        with serving(talk) as address:
            assert checked(address, "http").passed
            outcome = checked(address, "http", body="y")
        assert outcome.result is Result.ANSWER

    @pytest.mark.parametrize(
        "data",
        [b"SSH-2.0-OpenSSH\r\n\r\n", b"\0" * 100, b"HTTP/1.1 two OK\r\n\r\n",
         b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 70_000],
    )  # fmt: skip
    def test_what_is_not_http_is_a_failure(self, data: bytes) -> None:
        with serving(says(data)) as address:
            outcome = checked(address, "http")
        assert outcome.result is Result.ANSWER
        assert "not HTTP" in outcome.text

    @pytest.mark.parametrize("data", [b"", b"HTTP/1.1 20"])
    def test_an_end_before_the_answer_is_a_failure(self, data: bytes) -> None:
        def talk(sock: socket.socket) -> None:
            sock.recv(4096)
            sock.sendall(data)

        with serving(talk) as address:
            assert checked(address, "http").result is Result.CLOSED

    def test_a_byte_at_a_time_ends_with_the_timeout(self) -> None:
        over = threading.Event()

        def talk(sock: socket.socket) -> None:
            for byte in b"HTTP/1.1 200 OK" + b" " * 1_000:
                if over.wait(0.05):
                    return
                sock.sendall(bytes((byte,)))

        with serving(talk) as address:
            started = time.monotonic()
            outcome = checked(address, "http", timeout_ms=300)
            over.set()
        assert outcome.result in (Result.TIMEOUT, Result.STALLED)
        assert time.monotonic() - started < 15


class TestTls:
    def test_a_good_certificate_passes_and_its_days_are_shown(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path, "good.test")
        with serving(says(b"hi"), authority.context) as address:
            outcome = checked(address, "tls", sni="good.test", ca=authority.ca)
        assert outcome.passed, outcome.text
        assert "certificate valid for 30 days" in outcome.text
        assert abs(outcome.cert_end_s - time.time() - 30 * 86400) < 3600

    def test_https_is_http_over_it(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path, "good.test")
        with serving(says(OK), authority.context) as address:
            outcome = checked(address, "https", sni="good.test", ca=authority.ca, body="hello")
        assert (outcome.result, outcome.code) == (Result.OK, 200)
        assert outcome.cert_end_s

    def test_steps_go_over_it_too(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path, "good.test")
        with serving(says(b"+PONG\r\n"), authority.context) as address:
            assert checked(
                address, "tls", sni="good.test", ca=authority.ca, send="PING\r\n", expect="+PONG"
            ).passed

    @pytest.mark.parametrize(
        ("days", "name", "why"),
        [(-3, "good.test", "expired"), (30, "other.test", "mismatch"), (30, None, None)],
    )
    def test_a_certificate_that_is_not_good_is_a_failure_unless_nobody_looks(
        self, tmp_path: Path, days: int, name: str | None, why: str | None
    ) -> None:
        authority = Authority(tmp_path, "good.test", days=days)
        ca = authority.ca if why else None  # without ca: an unknown authority
        with serving(says(b"hi"), authority.context) as address:
            outcome = checked(address, "tls", sni=name, ca=ca)
            assert outcome.result is Result.TLS
            assert (why or "certificate") in outcome.text
            blind = checked(address, "tls", sni=name, verify=False)
        assert blind.passed
        assert ("certificate ended 3 days ago" in blind.text) == (days < 0)

    def test_an_end_in_the_middle_of_the_handshake_is_a_failure(self) -> None:
        def talk(sock: socket.socket) -> None:
            sock.recv(4096)

        with serving(talk) as address:
            assert checked(address, "tls").result in (Result.CLOSED, Result.RESET)

    def test_what_is_not_tls_is_a_failure(self) -> None:
        with serving(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as address:
            assert checked(address, "tls").result is Result.TLS

    def test_a_file_of_authorities_that_is_not_there_says_nothing_of_the_backend(self) -> None:
        with serving(says(b"")) as address:
            assert checked(address, "tls", ca="/nowhere").result is Result.NO_SOCKET


class TestDatagrams:
    def test_a_required_reply_must_come_and_hold_what_is_expected(self) -> None:
        with answering_datagrams(lambda data: b"re:" + data) as address:
            assert checked(address, "udp", send="hello", expect="re:hel").passed
            outcome = checked(address, "udp", send="hello", expect="no")
        assert (outcome.result, "re:hello" in outcome.text) == (Result.ANSWER, True)

    def test_a_port_that_nobody_has_is_refused(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            address = Address(*sock.getsockname())
        for reply in ("required", "optional"):
            assert checked(address, "udp", send="x", reply=reply).result is Result.REFUSED

    def test_silence_is_a_failure_only_where_a_reply_is_required(self) -> None:
        with answering_datagrams(lambda _: None) as address:
            assert checked(address, "udp", send="x", reply="optional").passed
            outcome = checked(address, "udp", send="x", timeout_ms=100)
        assert outcome.result in (Result.TIMEOUT, Result.STALLED)

    def test_dns_needs_an_expected_rcode(self) -> None:
        def answer(data: bytes) -> bytes:
            response = dns.message.make_response(dns.message.from_wire(data))
            response.set_rcode(dns.rcode.NXDOMAIN)
            return response.to_wire()

        with answering_datagrams(answer) as address:
            outcome = checked(address, "dns", query="x.test", record="A")
            assert (outcome.result, outcome.code) == (Result.ANSWER, 3)
            assert outcome.text == "NXDOMAIN, not NOERROR"
            assert checked(address, "dns", query="x.test", rcode=["NXDOMAIN"]).passed

    def test_what_is_not_dns_is_a_failure_and_another_questions_answer_is_none(self) -> None:
        with answering_datagrams(lambda _: b"no") as address:
            assert checked(address, "dns").result is Result.ANSWER

        def other(_: bytes) -> bytes:
            return dns.message.make_response(dns.message.make_query("other.test", "A")).to_wire()

        with answering_datagrams(other) as address:
            outcome = checked(address, "dns", query="x.test", timeout_ms=200)
        assert outcome.result in (Result.TIMEOUT, Result.STALLED)


class TestPrograms:
    HERE = Address("127.0.0.1", 80)

    def test_its_exit_status_decides_and_its_first_line_is_the_reason(self) -> None:
        outcome = checked(self.HERE, "exec", command=["/bin/sh", "-c", "echo fine; exit 0"])
        assert (outcome.result, outcome.text) == (Result.OK, "exit status 0: fine")
        outcome = checked(self.HERE, "exec", command=["/bin/sh", "-c", "echo bad >&2; exit 7"])
        assert (outcome.result, outcome.code) == (Result.ANSWER, 7)
        assert outcome.text == "exit status 7: bad"

    def test_the_backends_facts_are_in_its_environment_and_our_secrets_are_not(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("A_SECRET", "x")
        script = 'echo "$L4LB_POOL $L4LB_BACKEND $L4LB_ADDRESS $L4LB_HOST $L4LB_PORT [$A_SECRET]"'
        outcome = checked(self.HERE, "exec", command=["/bin/sh", "-c", script])
        assert outcome.text == "exit status 0: web a 127.0.0.1:80 127.0.0.1 80 []"

    def test_no_shell_reads_its_arguments(self) -> None:
        outcome = checked(self.HERE, "exec", command=["/bin/echo", "$HOME; ls *"])
        assert outcome.text == "exit status 0: $HOME; ls *"

    def test_at_the_timeout_it_is_killed_with_its_children(self, tmp_path: Path) -> None:
        pids = tmp_path / "pids"
        script = f"sleep 600 & echo $! > {pids}; echo $$ >> {pids}; wait"
        outcome = checked(self.HERE, "exec", command=["/bin/sh", "-c", script], timeout_ms=500)
        assert outcome.result in (Result.TIMEOUT, Result.STALLED)
        for pid in pids.read_text().split():
            assert self.is_gone(int(pid))

    def test_it_ends_with_a_checker_that_is_killed(self) -> None:
        script = (
            "import asyncio, os, signal\n"
            "from l4lb.checker.program import Program\n"
            "async def main():\n"
            "    program = Program(['/bin/sleep', '600'], {})\n"
            "    print(program._process.pid, flush=True)\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "asyncio.run(main())\n"
        )
        checker = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
        )
        assert checker.returncode == -signal.SIGKILL
        assert self.is_gone(int(checker.stdout))

    @staticmethod
    def is_gone(pid: int) -> bool:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except FileNotFoundError:
                return True
            if state == "Z":
                return True
            time.sleep(0.01)
        return False

    def test_much_output_neither_blocks_it_nor_is_kept(self) -> None:
        script = "import sys; sys.stdout.write('x' * 10_000_000)"
        outcome = checked(self.HERE, "exec", command=[sys.executable, "-c", script])
        assert outcome.passed
        assert len(outcome.text) < 10_000

    def test_one_that_cannot_be_run_says_nothing_of_the_backend(self) -> None:
        outcome = checked(self.HERE, "exec", command=["/nowhere/x"])
        assert (outcome.result, "/nowhere/x" in outcome.text) == (Result.NO_SOCKET, True)

    def test_no_descriptor_is_left(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            checked(self.HERE, "exec", command=["/bin/true"])
        assert len(os.listdir("/proc/self/fd")) <= before
