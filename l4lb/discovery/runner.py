"""Follows the sources of all pools. A source that hangs, lies or fails affects only its own
pool."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery.follower import Follower, State, World
from l4lb.discovery.types import MS, one_line


@dataclass
class Runner:
    """The sources of all pools."""

    world: World
    _pools: dict[str, tuple[Follower, asyncio.Task[None]]] = field(default_factory=dict)

    def configure(self, settings: Mapping[str, Discovery]) -> None:
        """Follows these sources from now on; unchanged sources go on undisturbed."""
        for name in list(self._pools):
            pool, task = self._pools[name]
            if settings.get(name) != pool.settings:
                task.cancel()
                pool.close()
                del self._pools[name]
        for name, one in settings.items():
            if name not in self._pools:
                pool = Follower(name, one, self.world)
                self._pools[name] = (pool, asyncio.create_task(self._follow(pool)))

    async def _follow(self, pool: Follower) -> None:
        """Follows one source. A bug in one provider is reported, and stops no other provider."""
        while True:
            try:
                await pool.run()
            except Exception as error:
                pool.failed(f"a fault of l4lb: {one_line(repr(error))}")
                await self.world.clock.sleep(pool.settings.interval_ms / MS)

    async def all_tried(self) -> None:
        """Returns when each source has answered or failed once."""
        for pool, _ in list(self._pools.values()):
            await pool.tried.wait()

    def states(self) -> list[tuple[str, State]]:
        """Returns each pool with its state, in the order of the configuration."""
        return [(name, pool.state) for name, (pool, _) in self._pools.items()]

    async def close(self) -> None:
        tasks = [task for _, task in self._pools.values()]
        self.configure({})
        await asyncio.gather(*tasks, return_exceptions=True)
