"""Limits of a check, each against a peer that exceeds it; how a check ends, and its result."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import dns.message
import pytest

from l4lb.checker import datagram, program, stream
from l4lb.checker.agent import ask
from l4lb.checker.limits import DATAGRAMS_MAX, FINISH_S, WIRE_BYTES_MAX
from l4lb.checker.plan import Agent
from l4lb.checker.shown import quoted
from l4lb.checker.types import Outcome, ProbeError, Settings, Target
from l4lb.native.results import Result
from l4lb.native.rows import Address
from tests.e2e.harness.deadline import until

from .servers import Authority, Talk, one_check, says, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def checked(address: Address, kind: str, **given: Any) -> Outcome:
    settings = Settings.from_map(
        {"type": kind, "interval_ms": 1_000, "timeout_ms": 20_000, "rise": 2, "fall": 3,
         "jitter_percent": 10, **given}
    )  # fmt: skip
    return one_check(Target(address, "web", "a"), settings)


class TestReading:
    def test_a_stream_that_always_has_a_byte_is_read_the_more_seldom_the_longer_it_takes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stream, "READ_BYTES", 1)

        async def run() -> list[float]:
            loop, theirs = asyncio.get_running_loop(), socket.socketpair()
            theirs[1].sendall(b"x" * 50_000)
            theirs[0].setblocking(False)
            with theirs[1]:
                peer = stream.Plain(theirs[0], loop.time() + 0.6)
                began_s, read_s = loop.time(), []
                with contextlib.suppress(TimeoutError):
                    while True:
                        await peer.receive()
                        read_s.append(loop.time() - began_s)
            return read_s

        read_s = asyncio.run(run())
        # ln(6) / 0.02 = 90 reads from 0.1 to 0.6 s; an unbounded one makes some 10,000.
        assert 0 < sum(at_s > 0.1 for at_s in read_s) < 200

    def test_others_have_their_turn_while_a_stream_always_has_something_to_read(self) -> None:
        async def run() -> int:
            loop, (ours, theirs) = asyncio.get_running_loop(), socket.socketpair()
            theirs.sendall(b"x" * 50_000)
            ours.setblocking(False)
            turns = 0

            async def other() -> None:
                nonlocal turns
                while True:
                    await asyncio.sleep(0)
                    turns += 1

            task = asyncio.create_task(other())
            with theirs, ours:
                peer = stream.Plain(ours, loop.time() + 20)
                for _ in range(4):
                    await peer.receive()
            task.cancel()
            return turns

        assert asyncio.run(run()) >= 2

    def test_all_that_a_check_reads_is_bounded(self) -> None:
        async def run() -> None:
            loop, (ours, theirs) = asyncio.get_running_loop(), socket.socketpair()
            ours.setblocking(False)
            theirs.setblocking(False)
            peer = stream.Plain(ours, loop.time() + 20)
            with theirs:
                while True:
                    with contextlib.suppress(BlockingIOError):
                        theirs.send(b"x" * 65_536)
                    taken.append(peer.taken)
                    await peer.receive()

        taken: list[int] = []
        with pytest.raises(ProbeError, match="no end in"):
            asyncio.run(run())
        assert WIRE_BYTES_MAX <= taken[-1] < WIRE_BYTES_MAX + stream.READ_BYTES

    def test_a_handshake_is_bounded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stream, "HANDSHAKE_BYTES_MAX", 100)
        authority = Authority(tmp_path, "good.test")

        def dribble(sock: socket.socket) -> None:
            sock.recv(4096)
            sock.sendall(b"\x16\x03\x03\x40\x00" + b"\x02\x00\x3f\x00" + b"\x03" * 200)
            while sock.recv(4096):
                pass

        with serving(dribble) as address:
            outcome = checked(address, "tls", ca=authority.ca, sni="good.test")
        assert (outcome.result, outcome.text) == (
            Result.TLS, "TLS: a handshake of over 100 bytes",
        )  # fmt: skip

    def test_small_records_of_tls_are_read_together_and_bounded(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path, "good.test")

        def talk(sock: socket.socket) -> None:
            while True:
                sock.send(b"x")  # one TLS record for each byte

        with serving(talk, authority.context) as address:
            given = {"ca": authority.ca, "sni": "good.test", "timeout_ms": 1_500}
            outcome = checked(address, "tls", expect="y", **given)
        assert outcome.result is Result.ANSWER
        # On a fast machine the bytes end first, on a slow one the time.
        assert re.search(r"^step 1 of 1: |^no end in \d+ bytes", outcome.text)

    def test_an_agent_that_never_ends_its_line_says_what_stands_at_its_beginning(self) -> None:
        def talk(sock: socket.socket) -> None:
            while True:
                sock.sendall(b"50% " * 10_000)

        async def run(port: int) -> object:
            async with AsyncExitStack() as ends:
                return await ask("127.0.0.1", Agent(port, 1_000, 20_000), ends)

        with serving(talk) as address:
            said = asyncio.run(run(address.port))
        assert getattr(said, "percent", None) == 50


class TestDatagrams:
    @contextlib.contextmanager
    def flooding(self, reply: Callable[[bytes], bytes], times: int) -> Iterator[Address]:
        """Answers a datagram this many times."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(20)

        def run() -> None:
            data, sender = sock.recvfrom(4096)
            with contextlib.suppress(OSError):
                for _ in range(times):
                    sock.sendto(reply(data), sender)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield Address(*sock.getsockname())
        finally:
            thread.join(20)
            sock.close()

    def test_answers_to_other_questions_are_bounded(self) -> None:
        def other(data: bytes) -> bytes:
            return bytes((data[0] ^ 1,)) + data[1:2] + b"\x80" + data[3:]

        with self.flooding(other, 10 * DATAGRAMS_MAX) as address:
            outcome = checked(address, "dns", query="x.test")
        assert (outcome.result, outcome.text) == (
            Result.ANSWER, f"{DATAGRAMS_MAX} answers to other questions, none to this",
        )  # fmt: skip

    def test_a_few_of_them_are_told_when_no_answer_comes(self) -> None:
        def other(data: bytes) -> bytes:
            return bytes((data[0] ^ 1,)) + data[1:]

        with self.flooding(other, 3) as address:
            outcome = checked(address, "dns", query="x.test", timeout_ms=500)
        assert outcome.result in (Result.TIMEOUT, Result.STALLED)
        if outcome.result is Result.TIMEOUT:
            assert "no answer in 500 ms, but 3 to other questions" in outcome.text

    def test_no_more_of_an_answer_is_read_than_its_header_and_its_question(self) -> None:
        """The answer has 4,000 records, each with a name of pointers. Reading all of them takes
        seconds."""
        question = datagram.Question("x.test", "A")
        asked = dns.message.from_wire(question.data)
        head = bytearray(dns.message.make_response(asked).to_wire())
        head[6:8] = (4_000).to_bytes(2, "big")
        record = b"\xc0\x0c" + b"\0\1\0\1\0\0\0\0\0\4" + b"\1\2\3\4"
        assert question.answered(bytes(head) + record * 4_000) == (0, 4_000)
        assert question.answered(bytes(head) + b"\xc0\x0c\xff") == (0, 4_000)
        head[0] ^= 1
        assert question.answered(bytes(head)) is None

    def test_a_reply_that_never_matches_is_told(self) -> None:
        with self.flooding(lambda _: b"\x1b[2Jno\n", 100) as address:
            outcome = checked(address, "udp", send="x", expect="yes")
        assert outcome.text == 'another reply: got "\\x1b[2Jno\\n"'


class TestPrograms:
    HERE = Address("127.0.0.1", 80)

    def test_one_that_prints_without_end_is_killed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(program, "OUTPUT_BYTES_MAX", 1 << 20)
        outcome = checked(self.HERE, "exec", command=["/usr/bin/yes"])
        assert (outcome.result, outcome.text) == (
            Result.ANSWER, "printed more than 1048576 bytes: y",
        )  # fmt: skip

    def test_one_that_cannot_be_killed_holds_up_nobody_for_long(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spared: list[int] = []
        monkeypatch.setattr(program, "GONE_S", 0.2)
        monkeypatch.setattr(program.os, "killpg", lambda pid, _: spared.append(pid))
        began_s = time.monotonic()
        outcome = checked(self.HERE, "exec", command=["/bin/sleep", "600"], timeout_ms=100)
        took_s = time.monotonic() - began_s
        monkeypatch.undo()
        os.killpg(spared[0], signal.SIGKILL)
        os.waitpid(spared[0], 0)
        assert outcome.result in (Result.TIMEOUT, Result.STALLED)
        assert took_s < 100


def heard_of_the_end(until: str, ends: list[str]) -> Talk:
    """Reads up to `until`, answers, and records how the other side ends."""

    def talk(sock: socket.socket) -> None:
        data = b""
        while until.encode() not in data:
            data += sock.recv(4096)
        sock.sendall(OK)
        try:
            ends.append("more" if sock.recv(4096) else "in order")
        except ConnectionResetError:
            ends.append("reset")

    return talk


class TestEnds:
    @pytest.mark.parametrize(
        ("kind", "given", "passes"),
        [
            ("http", {}, True),
            ("http", {"body": "hello"}, True),
            ("http", {"status": ["500"]}, False),
            ("http", {"body": "bye"}, False),
            ("tcp", {"send": "GET\r\n\r\n", "expect": "hello"}, True),
        ],
    )
    def test_who_has_talked_ends_in_order(
        self, kind: str, given: dict[str, Any], passes: bool
    ) -> None:
        ends: list[str] = []
        with serving(heard_of_the_end("\r\n\r\n", ends)) as address:
            assert checked(address, kind, **given).passed is passes
        assert ends == ["in order"]

    def test_so_it_is_over_tls(self, tmp_path: Path) -> None:
        ends: list[str] = []
        authority = Authority(tmp_path, "good.test")
        with serving(heard_of_the_end("\r\n\r\n", ends), authority.context) as address:
            given = {"sni": "good.test", "ca": authority.ca}
            assert checked(address, "https", **given).passed
        assert ends == ["in order"]

    def test_a_peer_that_ends_first_has_the_rest_read(self) -> None:
        """Bytes that a check without `body` does not read cause no reset."""
        ends: list[str] = []

        def talk(sock: socket.socket) -> None:
            sock.recv(4096)
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 40_000)
            sock.shutdown(socket.SHUT_WR)
            try:
                ends.append("more" if sock.recv(4096) else "in order")
            except ConnectionResetError:
                ends.append("reset")

        with serving(talk) as address:
            assert checked(address, "http").passed
        assert ends == ["in order"]

    @pytest.mark.parametrize("talk_more", [b"", b"x" * 65_536])
    def test_a_peer_that_does_not_end_is_reset_soon(self, talk_more: bytes) -> None:
        over = threading.Event()

        def talk(sock: socket.socket) -> None:
            sock.recv(4096)
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while talk_more:
                sock.sendall(talk_more)
            over.wait(20)

        began_s = time.monotonic()
        with serving(talk) as address:
            assert checked(address, "http").passed
            took_s = time.monotonic() - began_s
            over.set()
        assert took_s < FINISH_S + 10

    def test_a_mere_connection_is_reset(self) -> None:
        ends: list[str] = []

        def talk(sock: socket.socket) -> None:
            try:
                ends.append("in order" if not sock.recv(1) else "more")
            except ConnectionResetError:
                ends.append("reset")

        with serving(talk) as address:
            assert checked(address, "tcp").passed
            until(lambda: ends, "it has seen the end")
        assert ends == ["reset"]


class TestWords:
    def test_what_came_is_quoted_cut_and_harmless(self) -> None:
        assert quoted(b"512 no\r\n") == '"512 no\\r\\n"'
        assert quoted(b'say "no"\\') == '"say \\"no\\"\\"'
        assert quoted(b"\x1b]0;x\x07\0\xff") == '"\\x1b]0;x\\x07\\x00\\xff"'
        assert quoted("é\u202e".encode()) == '"é\\u202e"'
        assert quoted(b"x" * 61) == '"' + "x" * 60 + '"...'
        assert quoted(b"\0" * 60) == '"' + "\\x00" * 15 + '"...'

    @pytest.mark.parametrize("cut", range(1, 9))
    def test_a_wrong_answer_on_an_open_connection_is_told(self, cut: int) -> None:
        def talk(sock: socket.socket) -> None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(b"512 busy\r\n"[:cut])
            sock.sendall(b"512 busy\r\n"[cut:])
            while sock.recv(4096):
                pass

        with serving(talk) as address:
            outcome = checked(address, "tcp", expect="220", timeout_ms=500)
        if outcome.result is not Result.STALLED:
            assert outcome.result is Result.ANSWER
            assert outcome.text == ('step 1 of 1: got "512 busy\\r\\n", and no more in 500 ms')

    def test_an_answer_that_is_not_whole_is_told(self) -> None:
        with serving(says(b"HTTP/1.1 200 O")) as address:
            outcome = checked(address, "http", timeout_ms=500)
        if outcome.result is not Result.STALLED:
            assert outcome.result is Result.TIMEOUT
            assert outcome.text == 'no whole answer in 500 ms, got "HTTP/1.1 200 O"'

    def test_101_is_a_status_like_others(self) -> None:
        switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00"
        headers = ["Connection: upgrade", "Upgrade: websocket"]
        with serving(says(switch)) as address:
            assert checked(address, "http", headers=headers, status=["101"]).passed
            outcome = checked(address, "http", headers=headers)
        assert (outcome.result, outcome.code) == (Result.ANSWER, 101)
        assert outcome.text == "101 Switching Protocols, not 200-399"
