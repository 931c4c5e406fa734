"""How often something may happen, however often a source would have it: the one rate limit of all
providers (a token bucket), and the waits between tries of a source that fails."""

from __future__ import annotations

from l4lb.discovery.types import Clock


class Bucket:
    """Full it has `burst` turns; each comes back after every_s."""

    def __init__(self, clock: Clock, burst: int, every_s: float) -> None:
        self._clock = clock
        self._burst = burst
        self._every_s = every_s
        self._turns = float(burst)
        self._filled_s = clock.now_s()

    def take(self) -> bool:
        """Takes a turn, if there is one."""
        self._fill()
        if self._turns < 1:
            return False
        self._turns -= 1
        return True

    async def turn(self) -> None:
        """Waits for a turn and takes it."""
        while not self.take():
            await self._clock.sleep((1 - self._turns) * self._every_s)

    def _fill(self) -> None:
        now_s = self._clock.now_s()
        self._turns = min(self._burst, self._turns + (now_s - self._filled_s) / self._every_s)
        self._filled_s = now_s


class Backoff:
    """Waits that double from first_s to most_s. A failure that comes later than most_s after the
    last wait is a first one: a source that fails after each answer is not asked ever faster."""

    def __init__(self, clock: Clock, first_s: float, most_s: float) -> None:
        self._clock = clock
        self._first_s = min(first_s, most_s)
        self._most_s = most_s
        self._wait_s = 0.0
        self._until_s = 0.0

    def next_s(self) -> float:
        """How long to wait after a failure now."""
        now_s = self._clock.now_s()
        again = self._wait_s > 0 and now_s - self._until_s <= self._most_s
        self._wait_s = min(self._wait_s * 2, self._most_s) if again else self._first_s
        self._until_s = now_s + self._wait_s
        return self._wait_s

    def reset(self) -> None:
        """The next failure is a first one."""
        self._wait_s = 0.0
