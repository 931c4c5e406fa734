"""Honest clients: each transfer is compared byte for byte, and each datagram with the one sent.

Each client makes one transfer after the other over its kind of listener. A transfer ends as `done`,
as `cut` (it ended too early: by a reset, or by an end before all bytes), as `wrong` (other bytes
came) or as `stuck` (nothing came in time).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ..bytestream import Manner, finish, receive, send
from ..soak import honest
from ..soak.honest import WAIT_S, Client
from .talk import Head
from .world import TLS_NAME, World

ANSWER_S = 0.5  # time after which a datagram is sent again
TRIES = 300
SIZES = (0, 1, 100, 5_000, 60_000, 300_000, 1_000_000)


@dataclass(frozen=True)
class Cut:
    """A transfer that ended too early. manner: "reset"; "torn": TLS ended without its own
    end; "short": an end that looks clean.
    port: the client's port as the access log has it; 0 if it has none."""

    kind: str
    seed: int
    manner: str
    begun: float
    ended: float
    how: str = ""
    port: int = 0


@dataclass
class Tally(honest.Tally):
    """Everything that honest clients have seen. again: the number of datagrams that were sent
    again."""

    cuts: list[Cut] = field(default_factory=list)
    again: int = 0


class Honest(Client):
    """An honest client of a kind of listener."""

    world: World
    tally: Tally

    def __init__(self, kind: str, seed: int, world: World, tally: Tally) -> None:
        super().__init__(seed, world, tally)
        self.kind = kind


class Transfers(Honest):
    """A TCP client. port: the client's port of its current transfer."""

    port = 0

    def once(self) -> None:
        rng = self.rng
        lazy = rng.random() < 0.2
        sizes = [rng.randint(0, rng.choice(SIZES)) for _ in range(2)]
        head = Head(
            rng.getrandbits(28), *sizes, rest_ms=rng.choice([1, 20]) if lazy else 0,
            port=rng.randint(1, 65535),
        )  # fmt: skip
        manner = Manner(16384, 0.2, 5) if lazy else Manner()
        begun = time.monotonic()
        self.port = 0
        try:
            self._transfer(head, manner)
        except AssertionError as error:
            self.tally.wrong.append(f"{self.kind}, seed {head.seed}: {error}")
        except TimeoutError:
            self.tally.stuck.append(f"{self.kind}, seed {head.seed}: nothing within {WAIT_S:g} s")
        except (OSError, EOFError) as error:
            now, how = time.monotonic(), _manner(error)
            cut = Cut(self.kind, head.seed, how, begun, now, repr(error), self.port)
            self.tally.cuts.append(cut)
        else:
            self.tally.add(self.kind, sum(sizes))

    def _transfer(self, head: Head, manner: Manner) -> None:
        with REACH[self.kind](self.world, head) as peer:
            peer.settimeout(WAIT_S)
            if peer.family == socket.AF_INET:
                self.port = head.port if self.kind == "proxied" else peer.getsockname()[1]
            peer.sendall(head.pack())
            if isinstance(peer, ssl.SSLSocket):
                send(peer, head.upstream(), manner, head.seed)
                got = receive(peer, head.downstream(), manner, head.seed)
            else:
                got = self._both_ways(peer, head, manner)
            if got != head.down:
                raise EOFError(f"{got} of {head.down} bytes came")

    def _both_ways(self, peer: socket.socket, head: Head, manner: Manner) -> int:
        """Sends and reads at the same time; the sender may half-close."""
        # why: not with TLS, because the server's TLS (asyncio) cannot go on after the client's
        # half-close.
        ends = self.kind != "secured" and self.rng.random() < 0.5
        failed: list[ConnectionResetError] = []
        sender = threading.Thread(
            target=_send_all, args=(peer, head, manner, ends, failed), daemon=True
        )
        sender.start()
        try:
            got = receive(peer, head.downstream(), manner, head.seed)
        finally:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            sender.join(timeout=WAIT_S)
        if got < head.down and failed:
            raise failed[0]
        return got


def _manner(error: OSError | EOFError) -> str:
    """Returns the manner of a cut (see Cut) that a client met as this error."""
    if isinstance(error, ssl.SSLEOFError):
        return "torn"
    return "short" if isinstance(error, EOFError) else "reset"


def _send_all(
    peer: socket.socket, head: Head, manner: Manner, ends: bool, failed: list[ConnectionResetError]
) -> None:
    """Sends everything. failed gets the error of a reset: the kernel reports it once, to whoever
    sends or reads first."""
    try:
        send(peer, head.upstream(), manner, head.seed)
        if ends:
            finish(peer)
    except ConnectionResetError as error:
        failed.append(error)
    except OSError:
        pass  # also by the reader's own shutdown


class Datagrams(Honest):
    """A UDP client: sends some datagrams over one socket, the next ones over another."""

    def once(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", self.world.port(self.kind)))
            sent: Counter[bytes] = Counter()
            for _ in range(self.rng.choice([1, 10, 200])):
                if self.stop.is_set():
                    break
                size = self.rng.choice([0, 8, 100, 1_200, 9_000])
                self._ask(sock, self.rng.randbytes(8) + self.rng.randbytes(size), sent)
                time.sleep(self.rng.choice([0, 0, 0.002]))

    def _ask(self, sock: socket.socket, data: bytes, sent: Counter[bytes]) -> None:
        """Sends until the echo comes. Any other datagram that comes must be a late echo."""
        for _ in range(TRIES):
            with contextlib.suppress(ConnectionRefusedError):
                sock.send(data)
            sent[data] += 1
            until = time.monotonic() + ANSWER_S
            while (left := until - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    got = sock.recv(65536)
                except (TimeoutError, BlockingIOError, ConnectionRefusedError):
                    break
                sent[got] -= 1
                if sent[got] < 0:
                    self.tally.wrong.append(f"{self.kind}: {len(got)} bytes that nobody sent")
                if got == data:
                    self.tally.add(self.kind, 2 * len(data))
                    return
            self.tally.again += 1
            if self.stop.is_set():
                return
        self.tally.stuck.append(f"{self.kind}: no answer to {TRIES} datagrams")


# ---- how each kind of listener is reached ----------------------------------------------------

Reach = Callable[[World, Head], socket.socket]


def _dial(world: World, listener: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", world.port(listener)), timeout=WAIT_S)


def _direct(listener: str) -> Reach:
    return lambda world, _head: _dial(world, listener)


def _unix(world: World, _head: Head) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(WAIT_S)
    peer.connect(f"{world.folder}/front.sock")
    return peer


def _proxied(world: World, head: Head) -> socket.socket:
    peer = _dial(world, "proxied")
    peer.sendall(f"PROXY TCP4 192.0.2.1 192.0.2.2 {head.port} 443\r\n".encode())
    return peer


def _tls(listener: str, name: str) -> Reach:
    def reach(world: World, _head: Head) -> socket.socket:
        sock = _dial(world, listener)
        try:
            return world.trusts.wrap_socket(sock, server_hostname=name, suppress_ragged_eofs=False)
        except BaseException:
            sock.close()
            raise

    return reach


REACH: dict[str, Reach] = {
    "plain": _direct("plain"),
    "unix": _unix,
    "sni": _tls("sni", TLS_NAME),
    "proxied": _proxied,
    "ends": _tls("ends", "localhost"),
    "renewed": _tls("renewed", "localhost"),
    "secured": _direct("secured"),
    "limited": _direct("limited"),
    "queued": _direct("queued"),
}
UDP = ("datagrams", "singly")


def clients(world: World, seed: int, tally: Tally) -> list[Honest]:
    """Returns a client of each kind, and three of the queue's listener."""
    kinds = (*REACH, *UDP, "queued", "queued")
    return [
        (Datagrams if kind in UDP else Transfers)(kind, seed * 1000 + n, world, tally)
        for n, kind in enumerate(kinds)
    ]
