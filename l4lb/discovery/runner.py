"""Follows the source of each pool, and tells the supervisor what is in force now.

A source that fails costs nothing: what was found last stays, the source is tried again, less and
less often up to its interval. Events tell of the first failure, of the end of it, of each change
and of what is held back; the state of each pool can be asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery.merge import take
from l4lb.discovery.providers import provider
from l4lb.discovery.types import MS, DiscoveryError, Member, Provider

FIRST_RETRY_S = 0.5
HELD_LOOK_S = 0.5  # how often held members are judged by their health
APPLY_RETRY_S = 0.5

Apply = Callable[[str, Sequence[Mapping[str, Any]]], Awaitable[object]]
Tell = Callable[[Mapping[str, Any]], None]
Health = Callable[[str], Mapping[str, str]]  # of a pool's backends that are checked, by name
Known = Callable[[str], Sequence[Member]]  # what of a pool was discovered before


@dataclass
class State:
    """What is known of one pool's source."""

    type: str
    found: tuple[Member, ...] = ()
    members: tuple[Member, ...] = ()
    held: tuple[str, ...] = ()
    answers: int = 0
    failures: int = 0
    error: str = ""
    answered_ms: int = 0


@dataclass(frozen=True)
class World:
    """What the runner acts on. apply raises an exception of faults when it failed; now_ms is
    CLOCK_MONOTONIC."""

    apply: Apply
    tell: Tell
    health: Health
    known: Known
    now_ms: Callable[[], int]
    faults: tuple[type[Exception], ...] = ()
    make: Callable[[Discovery], Provider] = provider


class _Pool:
    """One pool's source, followed by a task."""

    def __init__(self, name: str, settings: Discovery, world: World) -> None:
        self.name = name
        self.settings = settings
        self.state = State(settings.type)
        self._world = world
        self._base: Sequence[Member] = world.known(name)
        self.state.members = tuple(self._base)
        self._gone: set[str] = set()  # of the base: lost, and confirmed by the checks
        self._repeats = 0
        self._judging: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            try:
                async with contextlib.aclosing(self._world.make(self.settings).follow()) as answers:
                    async for members in answers:
                        retry_s = FIRST_RETRY_S
                        await self._answer(members)
            except DiscoveryError as error:
                self._failed(str(error))
            await asyncio.sleep(min(retry_s, self.settings.interval_ms / MS))
            retry_s *= 2

    def _tell(self, kind: str, **fields: Any) -> None:
        self._world.tell({"at_ms": self._world.now_ms(), "kind": kind, "pool": self.name, **fields})

    def _failed(self, why: str) -> None:
        self.state.failures += 1
        if not self.state.error:
            self._tell("discovery_failed", source=self.state.type, text=why)
        self.state.error = why

    async def _answer(self, members: list[Member]) -> None:
        if self.state.error:
            self.state.error = ""
            self._tell("discovery_recovered", source=self.state.type)
        same = tuple(members) == self.state.found
        self._repeats = self._repeats + 1 if same and self.state.answers else 1
        self.state.found = tuple(members)
        self.state.answers += 1
        self.state.answered_ms = self._world.now_ms()
        await self._settle()
        if self.state.held and self._judging is None:
            self._judging = asyncio.create_task(self._judge())

    async def _judge(self) -> None:
        """Looks at what is held until nothing is."""
        try:
            while self.state.held:
                await asyncio.sleep(HELD_LOOK_S)
                await self._settle()
        finally:
            self._judging = None

    async def _settle(self) -> None:
        """Brings in force what is to be."""
        async with self._lock:
            taken = take(
                self._base,
                self.state.found,
                max_shrink_percent=self.settings.max_shrink_percent,
                health={**self._world.health(self.name), **dict.fromkeys(self._gone, "down")},
                repeats=self._repeats,
            )
            if taken.held and taken.held != self.state.held:
                self._tell("discovery_held", backends=list(taken.held), found=len(self.state.found))
            if set(taken.members) != set(self.state.members):
                await self._bring(taken.members)
            self.state.held = taken.held
            if taken.held:
                stay = {one.known_as for one in taken.members}
                self._gone |= {one.known_as for one in self._base} - stay
            else:
                self._base, self._gone = taken.members, set()

    async def _bring(self, members: tuple[Member, ...]) -> None:
        """Tells the supervisor until it has taken it: another change may be under way."""
        plain = [one.plain() for one in members]
        while True:
            try:
                await self._world.apply(self.name, plain)
                break
            except self._world.faults as error:
                if self.state.error != str(error):
                    self._tell("discovery_not_applied", text=str(error))
                self.state.error = str(error)
                await asyncio.sleep(APPLY_RETRY_S)
        self.state.error = ""
        before = {one.known_as for one in self.state.members}
        after = {one.known_as for one in members}
        self.state.members = members
        self._tell(
            "discovery_changed",
            backends=len(members),
            added=sorted(after - before),
            removed=sorted(before - after),
        )

    def close(self) -> None:
        if self._judging is not None:
            self._judging.cancel()


@dataclass
class Runner:
    """The sources of all pools."""

    world: World
    _pools: dict[str, tuple[_Pool, asyncio.Task[None]]] = field(default_factory=dict)

    def configure(self, settings: Mapping[str, Discovery]) -> None:
        """Follows these sources from now on; those that stay the same are left in peace."""
        for name in list(self._pools):
            pool, task = self._pools[name]
            if settings.get(name) != pool.settings:
                task.cancel()
                pool.close()
                del self._pools[name]
        for name, one in settings.items():
            if name not in self._pools:
                pool = _Pool(name, one, self.world)
                self._pools[name] = (pool, asyncio.create_task(self._follow(pool)))

    async def _follow(self, pool: _Pool) -> None:
        """A fault of ours in one provider is told, and stops nobody else."""
        while True:
            try:
                await pool.run()
            except Exception as error:
                pool._failed(f"a fault of l4lb: {error!r}")  # noqa: SLF001 - of this file
                await asyncio.sleep(pool.settings.interval_ms / MS)

    def states(self) -> list[tuple[str, State]]:
        """Each pool with its state, in the order of the configuration."""
        return [(name, pool.state) for name, (pool, _) in self._pools.items()]

    async def close(self) -> None:
        tasks = [task for _, task in self._pools.values()]
        self.configure({})
        await asyncio.gather(*tasks, return_exceptions=True)
