"""What an exact client and an exact origin both know beforehand: a request's target says which
bytes its body has, and in which way it is to be answered with which bytes.

Origins of the area `open` close kept connections without a word, as real ones do. A request that
meets such an end must be sent again, so clients send only what may be sent again there. Origins of
the area `steady` say it beforehand when they close.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..bytestream import BothWays

SEED_BITS = 48  # so many that no two requests have the same name
AREAS = ("steady", "open")
WAYS = (
    "length",
    "chunked",
    "until_close",
    "closing",  # with a length and `Connection: close`
    "informed",  # 103 comes first
    "slow",
    "eager",  # the answer begins before the request's body has come
    "error",
    "empty",  # 204
)
IDLE = "idle"  # closes its connection without a word, soon after the answer
UPGRADE = "upgrade"
KEPT = 50_000  # body bytes that l4lb keeps in any case to send them again
SIZES = (0, 0, 1, 100, 5_000, 5_000, 60_000, 300_000, 1_000_000)
SMALL = tuple(size for size in SIZES if size < KEPT)
STATUS = {"empty": 204, "error": 500}
BEGUN, ENDED = "+", "-"  # first words of an origin's journal
SAFE = ("GET", "HEAD", "PUT", "DELETE")  # methods that may be sent again


@dataclass(frozen=True)
class Plan(BothWays):
    """A request and its answer; their bodies are the two streams. rest_ms: pause of a slow
    origin between parts."""

    area: str
    way: str
    seed: int
    up: int
    down: int
    rest_ms: int = 0

    @classmethod
    def drawn(cls, rng: random.Random, method: str) -> Plan:
        """Returns a random plan for a request with this method."""
        area = rng.choice(AREAS) if method in SAFE else "steady"
        way = rng.choice((*WAYS, IDLE) if area == "open" else WAYS)
        up = rng.choice(SMALL if area == "open" else SIZES) if method in ("PUT", "POST") else 0
        down = 0 if way == "empty" else rng.choice(SIZES)
        return cls(area, way, rng.getrandbits(SEED_BITS), up, down, rng.choice((1, 5, 20)))

    @property
    def target(self) -> str:
        numbers = f"{self.seed}/{self.up}/{self.down}/{self.rest_ms}"
        return f"/{self.area}/{self.way}/{numbers}?id={self.seed}"

    @classmethod
    def parse(cls, target: str) -> Plan:
        """Returns the plan that the target tells. Raises ValueError for any other target."""
        area, way, *numbers = target.partition("?")[0].removeprefix("/").split("/")
        seed, up, down, rest_ms = map(int, numbers)
        return cls(area, way, seed, up, down, rest_ms)

    @property
    def status(self) -> int:
        return STATUS.get(self.way, 200)

    def body(self) -> bytes:
        """Returns the whole body of the request."""
        return bytes(self.upstream().part(0, self.up))

    def is_begin(self, body: bytes) -> bool:
        """Returns whether the body of the answer begins with these bytes, and has more."""
        begin = self.downstream().part(0, len(body))
        return len(body) < self.down and begin == body

    def difference(self, method: str, status: int, name: str | None, body: bytes) -> str:
        """Returns in words how an answer differs from the planned one; "" if it does not."""
        if (status, name) != (self.status, str(self.seed)):
            return f"status {status} for {name}, not {self.status} for {self.seed}"
        wanted = 0 if method == "HEAD" or self.way == "empty" else self.down
        if len(body) != wanted:
            return f"{len(body)} bytes, not {wanted}"
        try:
            self.downstream().check(0, body)
        except AssertionError as error:
            return str(error)
        return ""
