"""Honest clients of any soak: each is a thread that asks again and again, and compares every byte
that it gets."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..deadline import PATIENCE_S
from .world import SoakWorld

WAIT_S = PATIENCE_S * 6  # time to wait for an answer


@dataclass
class Tally:
    """What honest clients have seen: what is done, by kind of client; answers that are wrong; and
    what did not come in time."""

    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, moved: int) -> None:
        """Counts one more as done."""
        with self.lock:
            self.done[kind] += 1
            self.bytes += moved


class Client:
    """The common part of honest clients: a thread that goes on until it is told to stop. at_once:
    what it may have begun and not ended, at most."""

    kind = ""
    at_once = 1

    def __init__(self, seed: int | str, world: SoakWorld, tally: Tally) -> None:
        self.world, self.tally = world, tally
        self.rng = random.Random(seed)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not self.stop.is_set() and not self.tally.stuck:
            try:
                self.once()
            except Exception as error:
                self.tally.wrong.append(f"{self.kind}: the client itself failed: {error!r}")
                return

    def once(self) -> None:
        """Uses one connection, or one socket."""
        raise NotImplementedError


class HonestClients:
    """Honest clients, until they are told to end."""

    def __init__(self, clients: Sequence[Client], tally: Tally) -> None:
        self.clients, self.tally = clients, tally

    def start(self) -> None:
        for client in self.clients:
            client.thread.start()

    def at_once(self) -> Counter[str]:
        """Returns by kind what may have begun and not ended, at most."""
        found: Counter[str] = Counter()
        for client in self.clients:
            found[client.kind] += client.at_once
        return found

    def end(self) -> None:
        """Lets each client complete what it has begun."""
        for client in self.clients:
            client.stop.set()
        for client in self.clients:
            client.thread.join(timeout=WAIT_S)
            if client.thread.is_alive():
                self.tally.stuck.append(f"a client of {client.kind} does not end")
