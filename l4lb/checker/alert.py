"""Alerts: runs a program of the operator when the health of a backend changes, and when a pool
loses its last usable backend or has one again.

One program runs at a time, and no more often than the rate allows. Meanwhile only the last change
of each backend or pool waits, with the number of changes before it. The last change of each is
therefore always reported, even if the backend flaps.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import l4lb.log
from l4lb.checker.program import Program, environment
from l4lb.checker.types import ProbeError, Target

BURST = 10  # at once
EVERY_S = 3.0  # after that, one in this time
TIMEOUT_S = 10.0
NO_BACKEND = dict.fromkeys(("L4LB_ADDRESS", "L4LB_HOST", "L4LB_PORT"), "")
LOG = l4lb.log.get("checker")


class Alerts:
    """Takes changes and runs programs. Times are the event loop's."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Sequence[str], Target, dict[str, Any]]] = {}
        self._tokens = float(BURST)
        self._filled_s = 0.0
        self._task: asyncio.Task[None] | None = None

    def put(self, command: Sequence[str], target: Target, event: Mapping[str, Any]) -> None:
        """Queues an alert, in place of one that waits for this backend or pool. target: for a pool,
        one without name and address."""
        name = str(_about(event))
        before = self._waiting.pop(name, None)
        merged = before[2]["merged"] + 1 if before else 0
        self._waiting[name] = (command, target, {**event, "merged": merged})
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._wait_s())
            self._tokens -= 1
            name = next(iter(self._waiting))
            command, target, event = self._waiting.pop(name)
            await self._run_one(command, target, event)

    def _wait_s(self) -> float:
        now_s = asyncio.get_running_loop().time()
        self._tokens = min(BURST, self._tokens + (now_s - self._filled_s) / EVERY_S)
        self._filled_s = now_s
        return max(0.0, (1 - self._tokens) * EVERY_S)

    async def _run_one(
        self, command: Sequence[str], target: Target, event: Mapping[str, Any]
    ) -> None:
        env = (
            environment(target)
            | ({} if target.name else NO_BACKEND)
            | {
                "L4LB_EVENT": str(event["kind"]),
                "L4LB_HEALTH": str(event["health"]),
                "L4LB_WAS": str(event["was"]),
                "L4LB_TEXT": str(event.get("text", "")),
                "L4LB_MERGED": str(event["merged"]),
            }
        )
        how = ""
        try:
            program = Program(list(command), env, f"{json.dumps(event)}\n".encode())
        except (OSError, ValueError) as error:
            LOG.error("an alert's program cannot be run", how=str(error), **_about(event))
            return
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await program.wait()
            if status:
                how = f"status {status}: {program.first_line}"
        except TimeoutError:
            how = f"killed after {TIMEOUT_S:g} s"
        except ProbeError as error:
            how = f"killed: {error}"
        await program.gone()
        if how:
            LOG.error("an alert's program failed", command=command[0], how=how, **_about(event))


def _about(event: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the backend or pool whose health has changed."""
    return {key: event[key] for key in ("backend", "pool") if key in event}
