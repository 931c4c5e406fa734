"""UDP with real programs: DNS servers, a stream at a fixed rate, a flood of forged sources."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ..harness import PORTS, program, until
from ..harness.datagrams import clients, udp_balancer
from ..harness.servers import need


@contextlib.contextmanager
def dnsmasq(folder: Path, answer: str) -> Iterator[int]:
    """Runs a DNS server that answers every question below .test with this address."""
    path = need("dnsmasq")
    with PORTS.taken() as port:
        process = subprocess.Popen(
            [path, "--keep-in-foreground", "--conf-file=/dev/null", f"--port={port}",
             "--listen-address=127.0.0.1", "--bind-interfaces", "--no-resolv", "--no-hosts",
             f"--address=/test/{answer}", f"--pid-file={folder}/{port}.pid", "--user=root"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield port
        finally:
            process.kill()
            process.wait(timeout=20)


def dig(port: int, name: str) -> str:
    """Returns the answer of the DNS server at this port of 127.0.0.1, over UDP."""
    done = subprocess.run(
        [need("dig"), "@127.0.0.1", "-p", str(port), "+short", "+notcp", "+tries=3", "+time=5",
         name, "A"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout.strip()


def test_dns_servers_share_the_questions(tmp_path: Path) -> None:
    with dnsmasq(tmp_path, "10.1.1.1") as one, dnsmasq(tmp_path, "10.2.2.2") as other:
        for port in (one, other):
            until(lambda port=port: dig(port, "up.test"), "dnsmasq answers")
        backends = [f"127.0.0.1:{one}", f"127.0.0.1:{other}"]
        with udp_balancer(backends, responses=1, workers=1) as lb:
            answers = [dig(lb.address[1], f"name{i}.test") for i in range(6)]
            assert sorted(answers) == ["10.1.1.1"] * 3 + ["10.2.2.2"] * 3
            until(lambda: lb.status()["udp_sessions"] == 0, "each session ended with its answer")
            assert lb.ask("stats")["ended"] == {"backend_fin": 6}


@pytest.mark.parametrize("reverse", [False, True], ids=["to the server", "from the server"])
def test_iperf3_streams_pass_in_both_directions(reverse: bool) -> None:
    with (
        PORTS.taken() as port,
        subprocess.Popen(
            [need("iperf3"), "-s", "-1", "-p", str(port), "-B", "127.0.0.1"],
            stdout=subprocess.DEVNULL,
        ) as server,
    ):
        try:
            lb = udp_balancer([f"127.0.0.1:{port}"])
            assert lb.config is not None
            lb.config["listeners"]["control"] = {"bind": lb.binds(), "pool": "control"}
            lb.config["pools"]["control"] = {"backends": [f"127.0.0.1:{port}"]}
            with lb:
                front = str(lb.address[1])
                client = subprocess.run(
                    ["iperf3", "-c", "127.0.0.1", "-p", front, "-u", "-b", "5M", "-l", "1200",
                     "-t", "1", "-J", *(["-R"] if reverse else [])],
                    capture_output=True, text=True, timeout=60, check=False,
                )  # fmt: skip
                end = json.loads(client.stdout)["end"]["sum"]
                assert end["packets"] > 200, client.stdout
                assert end["lost_packets"] < end["packets"] / 2
                rows = {row["name"]: row for row in lb.ask("listeners")}
                # Datagrams that are still in flight when the server ends have no backend.
                assert rows["web"]["dropped"].keys() <= {"no_backend"}
                # None any more, if the server's end has been noticed already.
                assert lb.status()["udp_sessions"] <= 1
        finally:
            server.kill()


@contextlib.contextmanager
def echo_server() -> Iterator[int]:
    """Runs the load generator's fast server; yields its port."""
    with subprocess.Popen(
        [*program(), "bench", "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


class Flood:
    """Datagrams from ever new addresses of 127.0.0.0/8, one from each."""

    def __init__(self, towards: tuple[str, int]) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("0.0.0.0", 0))
        self.towards = towards
        self.sent = 0

    def send(self, count: int) -> None:
        """Sends this number of further datagrams."""
        for _ in range(count):
            self.sent += 1
            source = struct.pack(">I", (127 << 24) + (1 << 16) + self.sent)
            info = struct.pack("=i4s4s", 0, source, b"\0" * 4)
            with contextlib.suppress(BlockingIOError):
                self.sock.sendmsg(
                    [b"stranger"],
                    [(socket.IPPROTO_IP, 8, info)],
                    0,
                    self.towards,  # IP_PKTINFO
                )


class Talk:
    """Sessions in a thread that send requests and count those that are not answered."""

    def __init__(self, friends: list[socket.socket]) -> None:
        self.friends, self.asked, self.lost = friends, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Talk:
        self._thread.start()
        until(lambda: self.asked > 3 * len(self.friends), "the sessions are established")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        while not self._stop.is_set():
            for client in self.friends:
                question = b"%d" % self.asked
                client.send(question)
                self.asked += 1
                try:
                    assert client.recv(100) == question
                except TimeoutError:
                    self.lost += 1


def test_a_flood_of_made_up_sources_costs_the_sessions_there_are_nothing() -> None:
    sources = 200_000
    with (
        echo_server() as port,
        udp_balancer([f"127.0.0.1:{port}"], limits={"max_udp_sessions": 2_000}) as lb,
        clients(lb, 40, timeout_s=15) as friends,
    ):
        workers = [psutil.Process(pid) for pid in lb.pids()]
        files = [worker.num_fds() for worker in workers]
        with Talk(friends) as talk:
            flood = Flood(lb.address)
            answers = []
            for _ in range(sources // 2_000):
                flood.send(2_000)
                begin = time.monotonic()
                lb.status()
                answers.append(time.monotonic() - begin)
                # why: the pace follows the datagrams that the balancer has taken, so that the test
                # does not depend on the machine's speed.
                until(lambda: taken(lb) >= flood.sent - 1_000, "the flood is taken", timeout_s=60)
            memory = [worker.memory_info().rss for worker in workers]
            asked = talk.asked
            until(lambda: talk.asked > asked + 80, "the sessions go on")
        shown = lb.ask("listeners")[0]
        assert talk.lost == 0
        assert shown["accepted"] + sum(shown["dropped"].values()) >= sources - 1_000
        assert lb.status()["udp_sessions"] <= 2_000
        for before, worker in zip(files, workers, strict=True):
            assert worker.num_fds() <= before + 2_000 + 8
        assert max(memory) < 200 << 20
        # why so long: the limit finds what hangs, not what is slow. The time that it took is
        # printed.
        assert max(answers) < 10
        median = sorted(answers)[len(answers) // 2]
        print(f"admin: {median * 1000:.0f} ms, at most {max(answers) * 1000:.0f} ms")


def taken(lb: Any) -> int:
    """Returns the number of datagrams that the balancer has read from its sockets."""
    row = lb.ask("listeners")[0]
    return row["datagrams_in"] + sum(row["dropped"].values())
