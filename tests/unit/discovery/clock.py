"""A clock for tests: a sleep on it advances it at once."""

from __future__ import annotations

import asyncio


class FakeClock:
    """now: its time in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def now_s(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)
