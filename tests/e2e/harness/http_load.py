"""A load of HTTP requests whose every answer names its request."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

from .balancer import Balancer
from .deadline import PATIENCE_S, until
from .http import Answer, CutOffError, Peer, Request, answer, client, request
from .origin import Answering


def named(name: str) -> Answering:
    """An origin's answers for this load: its name, the request's target, and its body."""

    def answering(asked: Request) -> bytes:
        fields = [("X-From", name), ("X-Target", asked.target)]
        return answer(asked.body, fields=fields)

    return answering


@dataclass
class HttpLoad:
    """Threads that ask until the block ends, each over one connection while it can.

    `failures` are wrong answers, answers that were cut off, and requests that ended without an
    answer on a connection that was new. A connection that was used before may be closed at any
    moment (RFC 9112, 9.3.1), so such a request is asked again; `stale` counts these. `statuses`
    counts the answers.
    """

    lb: Balancer
    threads: int = 6
    size: int = 3_000
    refusals_end: bool = False  # a thread ends once nobody accepts its connection
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    stale: int = 0
    closes: int = 0  # answers with `Connection: close`

    def __enter__(self) -> HttpLoad:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(seed,), daemon=True)
            for seed in range(self.threads)
        ]
        for thread in self._threads:
            thread.start()
        self.wait_for_more(self.threads)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=PATIENCE_S)
        if kind is None:
            assert not any(thread.is_alive() for thread in self._threads), "a client hangs"

    def wait_for_more(self, count: int = 50) -> None:
        """Waits until `count` more requests were answered."""
        target = self.statuses.total() + count
        until(lambda: self.statuses.total() >= target, f"{count} more answers")

    def wait_for_the_end(self) -> None:
        """Waits until every thread has ended (refusals_end)."""
        until(lambda: not any(one.is_alive() for one in self._threads), "all clients have ended")

    def _work(self, seed: int) -> None:
        rng = random.Random(seed)
        number = 0
        while not self._stop.is_set():
            try:
                peer = client(self.lb)
            except ConnectionError as error:
                if self.refusals_end:
                    return
                self._fail(f"connect: {error!r}")
                continue
            with peer:
                used = 0
                while not self._stop.is_set():
                    number += 1
                    if not self._ask(peer, f"/{seed}/{number}", rng, used):
                        break
                    used += 1

    def _ask(self, peer: Peer, target: str, rng: random.Random, used: int) -> bool:
        """Asks once. Returns whether the connection can be used again."""
        body = rng.randbytes(rng.randint(0, self.size)) if rng.random() < 0.5 else b""
        method = "PUT" if body else "GET"
        try:
            peer.say(request(target, method, body=body))
            got = peer.answer(method)
        except (CutOffError, OSError) as error:
            began = isinstance(error, CutOffError) and "ended before" not in str(error)
            if used and not (began and error.got):  # type: ignore[union-attr]
                with self._lock:
                    self.stale += 1
            else:
                self._fail(f"{target} after {used}: {error!r}")
            return False
        self._note(got, target, body)
        return not got.closes

    def _note(self, got: Answer, target: str, body: bytes) -> None:
        with self._lock:
            self.statuses[got.status] += 1
            self.closes += got.closes
        if got.status == 200 and (got.get("x-target"), got.body) != (target, body):
            self._fail(f"{target} got the answer to {got.get('x-target')}")

    def _fail(self, why: str) -> None:
        with self._lock:
            self.failures.append(why)
