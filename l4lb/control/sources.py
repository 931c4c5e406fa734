"""Discovery in the control process: the sources are followed here, the supervisor applies what they
find, and operators see the state of each source."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import l4lb.log
from l4lb.clock import monotonic_ms
from l4lb.config.tables.discovery import Discovery
from l4lb.control.cause import Cause
from l4lb.control.channel import Channel
from l4lb.discovery.follower import State, World
from l4lb.discovery.runner import Runner
from l4lb.discovery.types import Member
from l4lb.errors import AdminError
from l4lb.native.table import Table

LOG = l4lb.log.get("control")

Settings = Mapping[str, Any]  # a pool's discovery settings as plain data


def row(pool: str, state: State, at_ms: int) -> dict[str, Any]:
    """Returns the state of one pool's source as operators see it."""
    return {
        "pool": pool,
        "type": state.type,
        "found": len(state.found),
        "backends": len(state.members),
        "held": list(state.held),
        "unreachable": list(state.unreachable),
        "incomplete": list(state.faults),
        "answers": state.answers,
        "failures": state.failures,
        "error": state.error or None,
        "answer_age_ms": at_ms - state.answered_ms if state.answered_ms else None,
    }


class Sources:
    """The sources of all pools. own: by pool, the names of backends that were not found by a
    source."""

    def __init__(self, table: Table, channel: Channel) -> None:
        self._table = table
        self._channel = channel
        self._own: Mapping[str, Sequence[str]] = {}
        self._since: Mapping[str, int] = {}
        self._waiting: set[asyncio.Task[None]] = set()  # tasks that wait for first answers
        self._runner = Runner(
            World(self._apply, self._tell, self._health, self._known, monotonic_ms, (AdminError,))
        )

    def configure(self, message: Mapping[str, Any]) -> None:
        """Follows other sources. message: {pools: settings by pool, own: names by pool, number: of
        this order, since: by pool, the number of the order that began its source}. Tells the
        supervisor when each source has answered or failed once: a start or a reload may wait for
        that."""
        self._own, self._since = message["own"], message["since"]
        self._runner.configure(
            {name: Discovery.model_validate(one) for name, one in message["pools"].items()}
        )
        task = asyncio.create_task(self._tell_when_tried(list(message["pools"]), message["number"]))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _tell_when_tried(self, pools: Sequence[str], number: int) -> None:
        await self._runner.all_tried()
        with contextlib.suppress(AdminError):  # a service that ends does not wait any more
            await self._channel.ask("all_answered", {"pools": pools, "number": number})

    async def close(self) -> None:
        for task in self._waiting:
            task.cancel()
        await self._runner.close()

    def shown(self) -> list[dict[str, Any]]:
        """Returns one map for each pool that has a source."""
        now = monotonic_ms()
        return [row(name, state, now) for name, state in self._runner.states()]

    async def _apply(self, pool: str, backends: Sequence[Mapping[str, Any]]) -> object:
        line = f"{len(backends)} backends found for {pool}"
        cause = Cause({"via": "discovery"}, "discovered", {"pool": pool}, line=line)
        args = {"pool": pool, "backends": list(backends), "number": self._since.get(pool, 0)}
        return await self._channel.ask("discovered", args, cause)

    def _tell(self, event: Mapping[str, Any]) -> None:
        fields = {key: value for key, value in event.items() if key not in ("at_ms", "kind")}
        LOG.warning(str(event["kind"]), **fields)
        self._channel.note(event)

    def _health(self, pool: str) -> Mapping[str, str]:
        return {row.name: row.health for row in self._table.backends() if row.pool == pool}

    def _known(self, pool: str) -> list[Member]:
        """Returns the backends that an earlier control process found: all in force that are not
        among the pool's own."""
        own = set(self._own.get(pool, ()))
        return [
            Member(str(row.address), row.name, row.weight, row.max_connections, row.backup)
            for row in self._table.backends()
            if row.pool == pool and row.name not in own
        ]
