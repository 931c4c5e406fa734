"""Runs the checks: chooses backends and times, and applies results.

Membership is read from the shared table; a backend is (row, serial). At one time there is one check
of a backend, and one question to its agent. Every change of health is reported once, whatever
caused it. The health that was reported last is in the table, so a checker that starts reports the
changes that it missed.
"""

from __future__ import annotations

import asyncio
import random
import resource
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from typing import Any

from l4lb.checker import agent, events, probes, slow
from l4lb.checker.alert import Alerts
from l4lb.checker.judge import judge
from l4lb.checker.members import Id, Member, remembered
from l4lb.checker.plan import Plan
from l4lb.checker.pools import Pools
from l4lb.checker.schedule import Schedule
from l4lb.checker.types import Outcome, Target
from l4lb.clock import monotonic_ms
from l4lb.native import health as door
from l4lb.native.results import CHECK_KINDS, OWN_FAULTS
from l4lb.native.rows import Address
from l4lb.native.table import Table

MEMBERS_EVERY_MS = 100
BEAT_EVERY_MS = 500
FILES_RESERVED = 64
JITTER = 0.1  # of an agent's interval
CHECKS_MAX = 16_384  # at one time, if there are enough descriptors

Tell = Callable[[Mapping[str, Any]], None]
Key = tuple[str, int, int]  # "check" or "agent", row, serial


def checks_at_once() -> int:
    """Returns the number of sockets that this process can have for checks."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    known = soft if soft != resource.RLIM_INFINITY else CHECKS_MAX
    return max(1, min(CHECKS_MAX, known - FILES_RESERVED))


class Checker:
    """Checks the backends of the pools that have a plan. tell gets messages for the supervisor:
    {"event": ...}, or {"ask": what, ...} for changes that only the supervisor may write."""

    def __init__(
        self,
        table: Table,
        plans: Mapping[str, Plan],
        tell: Tell,
        pools_down: Collection[str] = (),
    ) -> None:
        self._table = table
        self._plans = dict(plans)
        self._tell = tell
        self._watch = door.Watch(table)
        self._alerts = Alerts()
        self._pools = Pools(pools_down)
        self._is_stale = True  # backends have changed since pools were looked at
        self._members: dict[Id, Member] = {}
        self._rows: dict[int, Id] = {}
        self._schedule: Schedule[Key] = Schedule()
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._at_once = checks_at_once()
        self._timer: asyncio.TimerHandle | None = None

    def configure(self, plans: Mapping[str, Plan]) -> None:
        """Sets other plans; the state of backends stays."""
        self._plans = dict(plans)
        for member in list(self._members.values()):
            plan = self._plans.get(member.row.pool, Plan())
            if plan.checks != member.plan.checks:
                self._schedule.drop(("check", *member.key))  # it had another interval
            if plan.agent != member.plan.agent:
                self._schedule.drop(("agent", *member.key))
            member.follow(plan)
            self._take_up(member)
            self._apply(member)
        self._turn()

    async def run(self) -> None:
        """Checks for ever."""
        next_beat_ms = next_slow_ms = 0
        while True:
            now = monotonic_ms()
            if now >= next_beat_ms:
                self._table.beat_checker(now)
                next_beat_ms = now + BEAT_EVERY_MS
            for index in self._watch.changed(now):
                self._look(index)
            if self._is_stale or self._pools.is_unsettled:
                self._look_at_pools(now)
            if now >= next_slow_ms:
                self._weigh_slow()
                next_slow_ms = now + slow.EVERY_MS
            self._turn()
            await asyncio.sleep(MEMBERS_EVERY_MS / 1000)

    # ---- who is there ----------------------------------------------------------------------------

    def _look(self, index: int) -> None:
        """Handles a change of this row: its backend, its state, weight or health."""
        self._is_stale = True
        row = self._table.backend(index)
        before = self._rows.get(index)
        if before is not None and (row is None or before != (index, row.serial)):
            del self._rows[index]
            gone = self._members.pop(before)
            self._schedule.drop(("check", *gone.key))
            self._schedule.drop(("agent", *gone.key))
        if row is None:
            return
        key = (index, row.serial)
        member = self._members.get(key)
        if member is None:
            plan = self._plans.get(row.pool, Plan())
            member = self._members[key] = remembered(self._table, row, plan)
            self._rows[index] = key
            self._apply_weight(member)
        member.row = row
        self._take_up(member)
        self._tell_change(member)

    def _look_at_pools(self, now: int) -> None:
        self._is_stale = False
        pools: dict[str, list[Member]] = {row.name: [] for row in self._table.pools()}
        for member in self._members.values():
            if member.row.pool in pools:
                pools[member.row.pool].append(member)
        for event in self._pools.look(pools, now):
            self._tell({"event": event})
            alert = self._plans.get(event["pool"], Plan()).alert
            if alert:
                self._alerts.put(alert, Target(Address("", 0), event["pool"], ""), event)

    def _take_up(self, member: Member) -> None:
        """Starts or stops the checks and the agent of a backend, as its plan says."""
        index, serial = member.key
        plan = member.plan
        for kind, wanted in (("check", plan.checks), ("agent", plan.agent)):
            key = (kind, index, serial)
            # An agent is asked in maintenance too: its answer may end the maintenance.
            on = wanted is not None and (kind == "agent" or member.row.state != "maint")
            if member.row.address.path and kind == "agent":
                on = False
            if not on:
                self._schedule.drop(key)
            elif key not in self._schedule and key not in self._running:
                assert wanted is not None
                self._schedule.add(key, monotonic_ms(), wanted.interval_ms, random.random())

    # ---- checks ----------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Starts everything that is due, and sets the alarm for the next time."""
        now = monotonic_ms()
        while len(self._running) < self._at_once:
            taken = self._schedule.take(now)
            if taken is None:
                break
            key, due_ms = taken
            member = self._members.get(key[1:])
            if member is None:
                continue
            interval_ms = self._interval_ms(key, member)
            if interval_ms is None:
                continue
            if self._schedule.postponed(key, due_ms, now, interval_ms, random.random()):
                continue
            work = self._check(member, due_ms) if key[0] == "check" else self._ask(member, due_ms)
            self._running[key] = asyncio.create_task(work)
        self._set_alarm()

    def _set_alarm(self) -> None:
        due_ms = self._schedule.next_ms()
        if due_ms is None or len(self._running) >= self._at_once:
            return
        at_s = due_ms / 1000 + 0.001  # now_ms rounds down
        if self._timer is not None:
            if self._timer.when() <= at_s and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at_s, self._alarm)

    def _alarm(self) -> None:
        self._timer = None
        self._turn()

    def _interval_ms(self, key: Key, member: Member) -> int | None:
        if key[0] == "agent":
            return member.plan.agent.interval_ms if member.plan.agent is not None else None
        return member.interval_ms if member.plan.checks is not None else None

    def _again(self, key: Key, member: Member, due_ms: float) -> None:
        """Schedules the next check, if the plan has not changed meanwhile."""
        del self._running[key]
        interval_ms = self._interval_ms(key, member)
        if (
            self._members.get(key[1:]) is not member
            or interval_ms is None
            or (key[0] == "check" and member.row.state == "maint")
        ):
            return
        checks = member.plan.checks
        jitter = checks.jitter_percent / 100 if checks is not None and key[0] == "check" else JITTER
        self._schedule.again(key, due_ms, monotonic_ms(), interval_ms, jitter, random.random())
        self._set_alarm()

    async def _check(self, member: Member, due_ms: float) -> None:
        settings = member.plan.checks
        assert settings is not None
        started_ns = time.monotonic_ns()
        try:
            async with AsyncExitStack() as ends:
                outcome = await probes.check(member.target, settings, ends)
                duration_us = (time.monotonic_ns() - started_ns) // 1000
                if member.plan.checks == settings and self._members.get(member.key) is member:
                    self._record(member, outcome, duration_us, started_ns // 1_000_000)
        finally:
            self._again(("check", *member.key), member, due_ms)

    def _record(self, member: Member, outcome: Outcome, duration_us: int, started_ms: int) -> None:
        checks = member.plan.checks
        assert checks is not None
        before = member.health
        # A fault of this host says nothing about the backend.
        if outcome.result not in OWN_FAULTS:
            rise, fall = checks.rise, checks.fall
            member.verdict = judge(member.verdict, outcome.passed, rise=rise, fall=fall)
        self._table.record_check(
            *member.key,
            health=member.health,
            verdict=member.verdict.health,
            passed=outcome.passed,
            result=int(outcome.result),
            errno=outcome.errno,
            streak=abs(member.verdict.run),
            at_ms=monotonic_ms(),
            duration_us=duration_us,
            kind=CHECK_KINDS.index(checks.type),
            code=outcome.code,
            text=outcome.text,
            cert_end_s=outcome.cert_end_s,
        )
        if member.health != before:
            self._look(member.row.index)
        if outcome.passed:
            door.end_ejection(self._table, *member.key, since_ms=started_ms, now_ms=monotonic_ms())

    # ---- agents ----------------------------------------------------------------------------------

    async def _ask(self, member: Member, due_ms: float) -> None:
        plan = member.plan.agent
        assert plan is not None
        try:
            async with AsyncExitStack() as ends:
                said = await agent.ask(member.row.address.host, plan, ends)
                if said is not None and member.plan.agent == plan:
                    self._heed(member, said)
        finally:
            self._again(("agent", *member.key), member, due_ms)

    def _heed(self, member: Member, said: agent.Said) -> None:
        """Applies the agent's answer. Commands that the operator has too are carried out when the
        agent's word changes, not each time: an operator's later command outlives the agent's
        earlier one."""
        member.said = said
        if said.percent is not None:
            member.agent_percent = said.percent
        if said.health is not None:
            member.agent = said.health
        name = f"{member.row.pool}/{member.row.name}"
        if said.state is not None and said.state != member.agent_state:
            member.agent_state = said.state
            self._tell(
                {"ask": "agent_state", "backend": name, "state": said.state, "why": said.why}
            )
        limit = said.max_connections
        if limit is not None and limit != member.agent_max:
            member.agent_max = limit
            self._tell({"ask": "agent_max_connections", "backend": name, "max_connections": limit})
        self._apply(member)

    # ---- what follows ----------------------------------------------------------------------------

    def _apply(self, member: Member) -> None:
        """Writes a backend's health and weight, after agent and slowness."""
        self._apply_weight(member)
        word = member.health
        if member.plan.checks is None and member.plan.agent is None:
            word = "unknown"
        door.set_health(
            self._table, *member.key, health=word, agent=member.agent, at_ms=monotonic_ms()
        )
        self._look(member.row.index)

    def _apply_weight(self, member: Member) -> None:
        if door.set_weight_change(self._table, *member.key, member.weight_change):
            self._tell({"ask": "publish", "pool": member.row.pool})

    def _weigh_slow(self) -> None:
        pools: dict[str, list[Member]] = {}
        for member in self._members.values():
            if member.plan.slow_factor is not None and member.row.state == "ready":
                pools.setdefault(member.row.pool, []).append(member)
        for members in pools.values():
            rows = {member.key: self._table.backend(member.row.index) for member in members}
            answers = {key: row.response_us if row else 0 for key, row in rows.items()}
            shares = {member.key: member.slow_percent for member in members}
            factor = members[0].plan.slow_factor
            assert factor is not None
            found = slow.steps(answers, shares, factor)
            for member in members:
                self._weigh(member, found[member.key], answers[member.key])

    def _weigh(self, member: Member, share: int, answer_us: int) -> None:
        before, member.slow_percent = member.slow_percent, share
        if share == before:
            return
        self._apply(member)
        if before == 100 or share == 100:
            self._tell(
                {
                    "event": {
                        "at_ms": monotonic_ms(),
                        "kind": "backend_slow" if before == 100 else "backend_fast",
                        "backend": f"{member.row.pool}/{member.row.name}",
                        "answer_ms": round(answer_us / 1000, 3),
                        "weight_percent": share,
                    }
                }
            )

    def _tell_change(self, member: Member) -> None:
        """Reports a change of health once, and carries out its consequences."""
        index = member.row.index
        known = door.health(self._table, index)
        row = self._table.backend(index)
        if known is None or row is None or row.serial != member.row.serial:
            return
        was, member.row = known.told, row
        if was == row.health:
            return
        door.set_told(self._table, index, row.health)
        if not was and not row.check_at_ms and row.health != "ejected":
            return  # a new backend: nothing has changed
        event = events.event(row, known, was or "unknown", monotonic_ms())
        if member.agent == row.health and member.said.why:
            event["text"] = member.said.why
        self._tell({"event": event})
        settled = was in ("", "unknown") and row.health == "up"  # at a start: no alert
        if member.plan.alert and not settled:
            target = Target(row.address, row.pool, row.name)
            self._alerts.put(member.plan.alert, target, event)
        if row.health == "down" and member.plan.on_down == "close":
            name = f"{row.pool}/{row.name}"
            self._tell({"ask": "close", "backend": name, "serial": row.serial})
