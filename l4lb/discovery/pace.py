"""Limits the rate of requests to a source: the one rate limit of all providers (a token bucket),
and the waits between attempts at a source that fails."""

from __future__ import annotations

from l4lb.discovery.types import Clock


class Bucket:
    """A token bucket with `burst` tokens; one comes back after every_s."""

    def __init__(self, clock: Clock, burst: int, every_s: float) -> None:
        self._clock = clock
        self._burst = burst
        self._every_s = every_s
        self._turns = float(burst)
        self._filled_s = clock.now_s()

    def take(self) -> bool:
        """Takes a token, if there is one."""
        self._fill()
        if self._turns < 1:
            return False
        self._turns -= 1
        return True

    async def turn(self) -> None:
        """Waits for a token and takes it."""
        while not self.take():
            await self._clock.sleep((1 - self._turns) * self._every_s)

    def _fill(self) -> None:
        now_s = self._clock.now_s()
        self._turns = min(self._burst, self._turns + (now_s - self._filled_s) / self._every_s)
        self._filled_s = now_s


class Backoff:
    """Waits that double from first_s to most_s. A failure more than most_s after the last wait
    counts as a first one. A source that fails after each answer is therefore not asked ever
    faster."""

    def __init__(self, clock: Clock, first_s: float, max_s: float) -> None:
        self._clock = clock
        self._first_s = min(first_s, max_s)
        self._max_s = max_s
        self._wait_s = 0.0
        self._until_s = 0.0

    def next_s(self) -> float:
        """Returns the wait after a failure now."""
        now_s = self._clock.now_s()
        again = self._wait_s > 0 and now_s - self._until_s <= self._max_s
        self._wait_s = min(self._wait_s * 2, self._max_s) if again else self._first_s
        self._until_s = now_s + self._wait_s
        return self._wait_s

    def reset(self) -> None:
        """Makes the next failure a first one."""
        self._wait_s = 0.0
