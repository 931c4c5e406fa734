"""Alerts: a program of the operator's own is run when the health of a backend changes.

One runs at a time, and no more than the rate allows; meanwhile only a backend's last change waits,
with the number of those before it. So the last word on every backend is told, however it flaps.
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
LOG = l4lb.log.get("checker")


class Alerts:
    """Takes changes, runs programs. Times are the event loop's."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Sequence[str], Target, dict[str, Any]]] = {}
        self._tokens = float(BURST)
        self._filled_s = 0.0
        self._task: asyncio.Task[None] | None = None

    def put(self, command: Sequence[str], target: Target, event: Mapping[str, Any]) -> None:
        """To be run soon, instead of what waits for the same backend."""
        name = str(event["backend"])
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
        env = environment(target) | {
            "L4LB_EVENT": str(event["kind"]),
            "L4LB_HEALTH": str(event["health"]),
            "L4LB_WAS": str(event["was"]),
            "L4LB_TEXT": str(event.get("text", "")),
            "L4LB_MERGED": str(event["merged"]),
        }
        how = ""
        try:
            program = Program(list(command), env, f"{json.dumps(event)}\n".encode())
        except (OSError, ValueError) as error:
            LOG.error("an alert's program cannot be run", how=str(error), **_backend(event))
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
            LOG.error("an alert's program failed", command=command[0], how=how, **_backend(event))


def _backend(event: Mapping[str, Any]) -> dict[str, Any]:
    return {"backend": event["backend"]}
