"""Everything changes at the same time, repeatedly, and no client notices.

L4LB_STORM=2000 runs the test at full size: that number of sessions, 20 reloads, 3 upgrades, 3
rebalances.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil

from ..harness import Backends, Balancer, toml, until
from ..harness.ports import PORTS
from ..upgrade.test_upgrade_keeps import counters, fallen

SESSIONS = int(os.environ.get("L4LB_STORM", "150"))
FULL = SESSIONS >= 2_000
CHUNK = 3_000


class Clients:
    """Sessions that echo all the time, and new ones that come and go."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.stop = asyncio.Event()
        self.rounds = self.visits = 0
        self.faults: list[str] = []

    async def _echo(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seed: int
    ) -> None:
        data = random.Random(seed).randbytes(CHUNK)
        writer.write(data)
        await writer.drain()
        back = await asyncio.wait_for(reader.readexactly(CHUNK), 30)
        if back != data:
            self.faults.append("other bytes came back")

    async def stay(self, number: int) -> None:
        try:
            reader, writer = await asyncio.open_connection(*self.address)
            await reader.readline()
            while not self.stop.is_set():
                await self._echo(reader, writer, number + self.rounds)
                self.rounds += 1
                await asyncio.sleep(random.random() * SESSIONS / 500)
            writer.close()
        except Exception as error:
            self.faults.append(f"session {number}: {error!r}")

    async def visit(self) -> None:
        while not self.stop.is_set():
            try:
                reader, writer = await asyncio.open_connection(*self.address)
                await reader.readline()
                await self._echo(reader, writer, self.visits)
                writer.close()
                self.visits += 1
                await asyncio.sleep(0.005)
            except Exception as error:
                self.faults.append(f"visit: {error!r}")

    @asynccontextmanager
    async def there(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.stay(number)) for number in range(SESSIONS)]
        tasks += [asyncio.create_task(self.visit()) for _ in range(3)]
        try:
            yield
        finally:
            self.stop.set()
            await asyncio.wait(tasks, timeout=60)


def workers_of(lb: Balancer) -> list[int]:
    """Returns the worker processes of all programs, old and new."""
    found = []
    for process in lb.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            if " ".join(process.cmdline()).startswith("l4lb: worker"):
                found.append(process.pid)
    return found


async def storm(lb: Balancer, config: dict[str, Any], extra: int) -> Clients:
    clients = Clients(lb.address)
    first = config["listeners"]["web"]["bind"]
    counted: dict[str, float] = {}
    took_s: list[float] = []

    def workers_are(count: int) -> None:
        """Returns whether only workers of one program are left, in this number."""
        begin = time.monotonic()
        until(lambda: len(workers_of(lb)) == count, f"{count} workers are left")
        took_s.append(time.monotonic() - begin)

    def change(number: int) -> None:
        config["process"]["workers"] = 1 + (number * 3) % 4
        config["listeners"]["web"]["bind"] = [*first, f"127.0.0.1:{extra}"][: 1 + number % 2]
        for at, backend in enumerate(config["pools"]["web"]["backends"]):
            backend["weight"] = 1 + (number + at) % 3
        (lb.folder / "l4lb.toml").write_text(toml(config))
        lb.admin("reload")
        count = config["process"]["workers"]
        workers_are(count)
        if number % 7 == 3:
            lb.admin("rebalance")
        if number % 7 == 5:
            old = set(lb.pids())
            lb.admin("upgrade")
            workers_are(count)
            assert old.isdisjoint(lb.pids())
        now = counters(lb)  # counters of removed workers and addresses are not shown
        assert fallen({name: counted[name] for name in counted if name in now}, now) == {}
        counted.update(now)

    async with clients.there():
        while clients.rounds < SESSIONS and not clients.faults:
            await asyncio.sleep(0.05)
        for number in range(20 if FULL else 7):
            await asyncio.to_thread(change, number)
            seen = clients.rounds, clients.visits
            while clients.visits < seen[1] + 5 and not clients.faults:
                await asyncio.sleep(0.02)
        await asyncio.to_thread(
            until, lambda: lb.status()["connections"] >= SESSIONS, "all sessions are still there"
        )
    print(
        f"{SESSIONS} sessions, {clients.rounds} echoes, {clients.visits} visits; one generation of"
        f" workers after {max(took_s):.2f} s at most, {sorted(took_s)[len(took_s) // 2]:.2f} s in"
        " the middle"
    )
    return clients


def test_reloads_upgrades_and_rebalances_under_live_sessions_lose_nothing() -> None:
    with (
        Backends(3) as backends,
        PORTS.taken() as extra,
        Balancer.before(
            backends.rows(), workers=2, process={"http": f"127.0.0.1:{PORTS.take()}"}
        ) as lb,
    ):
        clients = asyncio.run(storm(lb, copy.deepcopy(lb.config or {}), extra))
        assert clients.faults == []
        assert clients.visits > 0
        until(lambda: lb.status()["connections"] == 0, "every session has ended")
        assert lb.ask("stats")["connections_lost"] == 0
