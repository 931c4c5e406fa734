"""Runs the checks: which backends, when, and what their results mean.

Membership is read from the shared table, a backend is (row, serial). One check of a backend runs
at a time; at most CHECKS_AT_ONCE run together, others wait their turn.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import l4lb.log
from l4lb.checker import tcp
from l4lb.checker.judge import Verdict, judge
from l4lb.checker.schedule import Schedule
from l4lb.checker.types import Outcome, Probe, Settings
from l4lb.native.health import end_ejection, health
from l4lb.native.results import CHECK_KINDS, RESULT_WORDS, Result
from l4lb.native.rows import Address, BackendRow
from l4lb.native.table import Table

PROBES: Mapping[str, Probe] = {"tcp": tcp.probe}
CHECKS_AT_ONCE = 512
MEMBERS_EVERY_MS = 200
BEAT_EVERY_MS = 500

Tell = Callable[[Mapping[str, Any]], None]
Id = tuple[int, int]  # row and serial: one backend for life
LOG = l4lb.log.get("checker")


def now_ms() -> int:
    """CLOCK_MONOTONIC in milliseconds, the time of the shared table."""
    return time.monotonic_ns() // 1_000_000


@dataclass
class Member:
    """A backend that is checked."""

    row: BackendRow
    settings: Settings
    verdict: Verdict

    @property
    def target(self) -> Address:
        own = self.row.address
        if own.path:
            return own
        return Address(self.settings.address or own.host, self.settings.port or own.port)


class Checker:
    """Checks the backends of the pools that have settings; tell gets each change of health."""

    def __init__(self, table: Table, settings: Mapping[str, Settings], tell: Tell) -> None:
        self._table = table
        self._settings = dict(settings)
        self._tell = tell
        self._members: dict[Id, Member] = {}
        self._schedule: Schedule[Id] = Schedule()
        self._running: dict[Id, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def configure(self, settings: Mapping[str, Settings]) -> None:
        """Other settings from now on; what is known about backends stays."""
        for key, member in self._members.items():
            if settings.get(member.row.pool) != member.settings:
                self._schedule.drop(key)  # it may have been due at another interval's end
        self._settings = dict(settings)
        self._members.clear()
        self._changed.set()

    async def run(self) -> None:
        """Checks for ever."""
        next_members_ms = 0
        while True:
            now = now_ms()
            self._table.beat_checker(now)
            if now >= next_members_ms or self._changed.is_set():
                self._changed.clear()
                self._read_members(now)
                next_members_ms = now + MEMBERS_EVERY_MS
            self._start_due(now)
            due = self._schedule.next_ms()
            wake_ms = min(next_members_ms, now + BEAT_EVERY_MS, due if due is not None else 1 << 62)
            if len(self._running) >= CHECKS_AT_ONCE:
                wake_ms = max(wake_ms, now + 5)
            await asyncio.sleep(max(0.0, (wake_ms - now_ms()) / 1000))

    def _read_members(self, now: int) -> None:
        found: dict[Id, Member] = {}
        for row in self._table.backends():
            settings = self._settings.get(row.pool)
            if settings is None or row.state == "maint":
                continue
            key = (row.index, row.serial)
            known = self._members.get(key)
            verdict = known.verdict if known else self._verdict(row)
            found[key] = Member(row, settings, verdict)
            if key not in self._schedule and key not in self._running:
                self._schedule.add(key, now, settings.interval_ms, random.random())
        for key in set(self._members) - set(found):
            self._schedule.drop(key)
        self._members = found

    def _verdict(self, row: BackendRow) -> Verdict:
        """What an earlier process of the checker left of it, streak included."""
        known = health(self._table, row.index)
        word = known.health if known else "unknown"
        if row.check_result in (Result.NEVER, Result.NO_SOCKET):
            return Verdict(word)
        passed = row.check_result == Result.OK
        return Verdict(word, row.check_streak if passed else -row.check_streak)

    def _start_due(self, now: int) -> None:
        while len(self._running) < CHECKS_AT_ONCE:
            taken = self._schedule.take(now)
            if taken is None:
                return
            key, due_ms = taken
            member = self._members.get(key)
            if member is not None:
                self._running[key] = asyncio.create_task(self._check(key, member, due_ms))

    async def _check(self, key: Id, member: Member, due_ms: float) -> None:
        settings = member.settings
        started_ns = time.monotonic_ns()
        started_ms = now_ms()
        try:
            outcome = await self._probe(member)
        finally:
            del self._running[key]
        duration_us = (time.monotonic_ns() - started_ns) // 1000
        if key not in self._members:
            return
        self._record(key, self._members[key], outcome, duration_us)
        if outcome.passed:
            end_ejection(self._table, *key, since_ms=started_ms, now_ms=now_ms())
        next_ms = self._schedule.again(
            key,
            due_ms,
            now_ms(),
            settings.interval_ms,
            settings.jitter_percent / 100,
            random.random(),
        )
        # The loop of run may sleep past it. The millisecond: now_ms rounds down.
        loop = asyncio.get_running_loop()
        loop.call_at(next_ms / 1000 + 0.001, lambda: self._start_due(now_ms()))

    async def _probe(self, member: Member) -> Outcome:
        settings = member.settings
        try:
            async with asyncio.timeout(settings.timeout_ms / 1000):
                return await PROBES[settings.type](member.target, settings)
        except TimeoutError:
            return Outcome(Result.TIMEOUT, 0, f"no answer in {settings.timeout_ms} ms")
        except OSError as error:
            return tcp.outcome_of(error)
        except Exception as error:
            LOG.error("a check failed by itself", type=settings.type, error=repr(error))
            return Outcome(Result.NO_SOCKET, 0, "the check itself failed; see the log")

    def _record(self, key: Id, member: Member, outcome: Outcome, duration_us: int) -> None:
        before = member.verdict
        # What went wrong on this side says nothing about the backend.
        if outcome.result != Result.NO_SOCKET:
            settings = member.settings
            member.verdict = judge(before, outcome.passed, rise=settings.rise, fall=settings.fall)
        self._table.record_check(
            key[0],
            key[1],
            health=member.verdict.health,
            passed=outcome.passed,
            result=int(outcome.result),
            errno=outcome.errno,
            streak=abs(member.verdict.run),
            at_ms=now_ms(),
            duration_us=duration_us,
            kind=CHECK_KINDS.index(member.settings.type),
            text=outcome.text,
        )
        if member.verdict.health != before.health:
            self._tell_change(member, before, outcome, duration_us)

    def _tell_change(
        self, member: Member, before: Verdict, outcome: Outcome, duration_us: int
    ) -> None:
        verdict = member.verdict
        self._tell(
            {
                "at_ms": now_ms(),
                "kind": f"backend_{verdict.health}",
                "backend": f"{member.row.pool}/{member.row.name}",
                "was": before.health,
                "check": member.settings.type,
                "result": RESULT_WORDS[outcome.result],
                "text": outcome.text,
                "in_a_row": abs(verdict.run),
                "duration_ms": round(duration_us / 1000, 3),
            }
        )
