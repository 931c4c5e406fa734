"""Follows the source of one pool, and sends the supervisor the backends that are in force now.

A source that fails removes nothing: its last answer stays. It is tried again, less and less often,
down to once in its interval. A source that answers faster than the rate limit waits: a provider is
asked for its next answer only when there is a token. Events report the first failure, the recovery,
bad parts, each change and backends that are held back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery import reach
from l4lb.discovery.merge import take
from l4lb.discovery.pace import Backoff, Bucket
from l4lb.discovery.providers import provider
from l4lb.discovery.types import (
    FAULTS_MAX,
    MS,
    REAL_CLOCK,
    Answer,
    Clock,
    DiscoveryError,
    Member,
    Provider,
)

ANSWERS_BURST = 4  # of one source, as fast as they come
ANSWER_EVERY_S = 0.5  # after that, one in this time, unless its interval or min_ttl is shorter
FIRST_RETRY_S = 0.5
LOOK_S = 0.5  # how often backends that are held back, left out or not applied are looked at again
SPELLS_BURST = 6  # reported failures; a source that keeps failing does not fill the log
SPELL_EVERY_S = 60.0

Apply = Callable[[str, Sequence[Mapping[str, Any]]], Awaitable[object]]
Tell = Callable[[Mapping[str, Any]], None]
Health = Callable[[str], Mapping[str, str]]  # health of a pool's checked backends, by name
Known = Callable[[str], Sequence[Member]]  # backends of a pool that were discovered before


@dataclass
class State:
    """State of one pool's source. faults: of parts of its last answer. unreachable: names of
    backends that are left out, because there is no route to their address family."""

    type: str
    found: tuple[Member, ...] = ()
    members: tuple[Member, ...] = ()
    held: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    answers: int = 0
    failures: int = 0
    error: str = ""
    answered_ms: int = 0


@dataclass(frozen=True)
class World:
    """The runner's interface to the service. apply raises an exception of faults if it failed;
    now_ms is CLOCK_MONOTONIC."""

    apply: Apply
    tell: Tell
    health: Health
    known: Known
    now_ms: Callable[[], int]
    faults: tuple[type[Exception], ...] = ()
    make: Callable[[Discovery, Clock], Provider] = provider
    has_route: reach.HasRoute = reach.has_route
    clock: Clock = field(default=REAL_CLOCK)


class Follower:
    """One pool's source, followed by a task. tried: set when its first answer is in force, when it
    has failed, or when it is followed no more."""

    def __init__(self, name: str, settings: Discovery, world: World) -> None:
        self.name = name
        self.settings = settings
        self.state = State(settings.type)
        self.tried = asyncio.Event()
        self._world = world
        self._base: Sequence[Member] = world.known(name)
        self.state.members = tuple(self._base)
        self._gone: set[str] = set()  # of the base: lost, and confirmed by the checks
        self._repeats = 0
        self._answered: tuple[Member, ...] = ()
        self._failing = False  # it has failed since its last answer
        self._told = False  # these failures were reported
        self._told_faults: set[str] = set()
        self._refused = ""  # why the supervisor has not applied the backends
        self._judging: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        interval_s, min_ttl_s = settings.interval_ms / MS, settings.min_ttl_ms / MS
        every_s = min(ANSWER_EVERY_S, interval_s, min_ttl_s)
        self._answers = Bucket(world.clock, ANSWERS_BURST, every_s)
        self._spells = Bucket(world.clock, SPELLS_BURST, SPELL_EVERY_S)
        self._retries = Backoff(world.clock, FIRST_RETRY_S, interval_s)

    async def run(self) -> None:
        source = self._world.make(self.settings, self._world.clock)
        while True:
            try:
                async with contextlib.aclosing(source.follow(self.state.members)) as answers:
                    await self._answers.turn()
                    async for said in answers:
                        if isinstance(said, DiscoveryError):
                            self.failed(str(said))
                        else:
                            await self._answer(said)
                        await self._answers.turn()
            except DiscoveryError as error:
                self.failed(str(error))
            await self._world.clock.sleep(self._retries.next_s())

    def _tell(self, kind: str, **fields: Any) -> None:
        self._world.tell({"at_ms": self._world.now_ms(), "kind": kind, "pool": self.name, **fields})

    def failed(self, why: str) -> None:
        """The source did not answer: its last answer stays."""
        self.state.failures += 1
        self.state.error = why
        self.tried.set()
        if not self._failing:
            self._failing = True
            self._told = self._spells.take()
            if self._told:
                self._tell("discovery_failed", source=self.state.type, text=why)

    def _tell_faults(self, faults: tuple[str, ...]) -> None:
        """Reports bad parts of an answer, each once until an answer is good."""
        if not faults:
            self._told_faults.clear()
        new = [one for one in faults if one not in self._told_faults]
        if new and len(self._told_faults) < FAULTS_MAX and self._spells.take():
            self._told_faults.update(new)
            text = new[0] if len(new) == 1 else f"{new[0]} (and {len(new) - 1} more)"
            self._tell("discovery_incomplete", source=self.state.type, text=text)
        self.state.faults = faults

    async def _answer(self, said: Answer) -> None:
        if self._failing:
            self._failing = False
            if self._told:
                self._tell("discovery_recovered", source=self.state.type)
        self._tell_faults(said.faults)
        same = said.members == self._answered
        self._repeats = self._repeats + 1 if same and self.state.answers else 1
        self._answered = said.members
        self.state.answers += 1
        self.state.answered_ms = self._world.now_ms()
        await self._settle()
        self.tried.set()
        if self._unsettled() and self._judging is None:
            self._judging = asyncio.create_task(self._judge())

    def _unsettled(self) -> bool:
        return bool(self.state.held or self.state.unreachable or self._refused)

    async def _judge(self) -> None:
        """Looks at backends that are held back, left out or refused until there are none."""
        try:
            while self._unsettled():
                await self._world.clock.sleep(LOOK_S)
                await self._settle()
        finally:
            self._judging = None

    def _sift(self) -> tuple[Member, ...]:
        """Returns the discovered backends that can be reached."""
        found, away = reach.sift(self._answered, self.settings.family, self._world.has_route)
        names = tuple(one.known_as for one in away)
        if names and not self.state.unreachable and self._spells.take():
            self._tell(
                "discovery_unreachable",
                backends=list(names[:FAULTS_MAX]),
                text=f"this host has no route to {len(names)} backends by {reach.family(away[0])}",
            )
        self.state.unreachable = names
        return found

    async def _settle(self) -> None:
        """Puts the present backends into force."""
        async with self._lock:
            self.state.found = self._sift()
            taken = take(
                self._base,
                self.state.found,
                max_shrink_percent=self.settings.max_shrink_percent,
                health={**self._world.health(self.name), **dict.fromkeys(self._gone, "down")},
                repeats=self._repeats,
            )
            if taken.held and taken.held != self.state.held:
                self._tell("discovery_held", backends=list(taken.held), found=len(self.state.found))
            self.state.held = taken.held
            if set(taken.members) != set(self.state.members) and not await self._bring(
                taken.members
            ):
                return
            self._refused = ""
            if not self._failing:
                self.state.error = ""
            if taken.held:
                stay = {one.known_as for one in taken.members}
                self._gone |= {one.known_as for one in self._base} - stay
            else:
                self._base, self._gone = taken.members, set()

    async def _bring(self, members: tuple[Member, ...]) -> bool:
        """Sends the backends to the supervisor. Returns whether it has applied them. Another change
        may be in progress; then it is asked again, with the backends of that moment."""
        try:
            await self._world.apply(self.name, [one.plain() for one in members])
        except self._world.faults as error:
            if self._refused != str(error) and self._spells.take():
                self._tell("discovery_not_applied", text=str(error))
            self._refused = self.state.error = str(error)
            return False
        before = {one.known_as for one in self.state.members}
        after = {one.known_as for one in members}
        self.state.members = members
        self._tell(
            "discovery_changed",
            backends=len(members),
            added=sorted(after - before),
            removed=sorted(before - after),
        )
        return True

    def close(self) -> None:
        self.tried.set()
        if self._judging is not None:
            self._judging.cancel()
