"""Hostile clients of any soak: each is a thread that performs one random act after the other.

They come from addresses of their own (world.FOES), expect no answer, and keep some of the
connections that they open for a while.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from ..bytestream import reset
from ..deadline import PATIENCE_S
from .world import FOES, SoakWorld

*FROM, TOLD = FOES  # TOLD: the source address in a PROXY header


class Hostile:
    """The common part of hostile clients. kept: the number of connections that each keeps at a
    time. pause_s: the pause between two acts, on average."""

    kept: ClassVar[int]
    pause_s: ClassVar[float]
    acts: ClassVar[tuple[Callable[[Any], None], ...]]

    def __init__(self, seed: int | str, world: SoakWorld, did: Counter[str]) -> None:
        self.world, self.did = world, did
        self.rng = random.Random(seed)
        self.held: deque[socket.socket] = deque()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not self.stop.wait(self.rng.random() * 2 * self.pause_s):
            act = self.rng.choice(self.acts)
            # Errors that the balancer causes to a hostile client are ignored.
            with contextlib.suppress(OSError):
                act(self)
            self.did[act.__name__.replace("_", " ")] += 1
            while len(self.held) > self.kept:
                self._let_go()
        while self.held:
            self._let_go()

    def _let_go(self) -> None:
        sock = self.held.popleft()
        if self.rng.random() < 0.5:
            reset(sock)
        else:
            sock.close()

    def _dial(self, listener: str = "plain", window: int = 0) -> socket.socket:
        """Returns a new connection, the newest one that is held. window: bytes that the kernel
        takes; 0: as usual."""
        sock = socket.socket()
        self.held.append(sock)
        sock.settimeout(PATIENCE_S)
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.bind((self.rng.choice(FROM), 0))
        sock.connect(("127.0.0.1", self.world.port(listener)))
        return sock

    def _reset_newest(self) -> None:
        reset(self.held.pop())


class HostileClients:
    """Hostile clients, until they are told to end."""

    def __init__(self, kind: type[Hostile], world: SoakWorld, seeds: Iterable[int | str]) -> None:
        self.did: Counter[str] = Counter()
        self.foes = [kind(seed, world, self.did) for seed in seeds]

    def start(self) -> None:
        for foe in self.foes:
            foe.thread.start()

    def end(self) -> None:
        """Ends all hostile clients and closes their connections."""
        for foe in self.foes:
            foe.stop.set()
        for foe in self.foes:
            foe.thread.join(timeout=3 * PATIENCE_S)
            assert not foe.thread.is_alive(), "a hostile client hangs"
