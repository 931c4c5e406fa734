"""The dashboard's data as JSON: made once a second while a dashboard is open, and shared by all."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from l4lb.clock import monotonic_ms
from l4lb.control.channel import Channel
from l4lb.control.handlers import Handlers
from l4lb.control.views import forward, overview, web
from l4lb.errors import AdminError
from l4lb.native import http
from l4lb.native.table import Table

EVERY_S = 1.0
EVENTS_SHOWN = 50
SESSIONS_SHOWN = 20
ROUTES_SHOWN = 100
TOPS_EVERY_S = 5.0  # between two questions to the policy process
TOPS = {"users": "user", "domains": "domain", "denied": "denied"}  # tables that are shown
TOPS_SHOWN = 10  # rows of one table
FORWARDS_SHOWN = 8
SESSIONS_READ = 5_000  # sessions among which the largest are searched
# Commands whose answers are added to the state, with their arguments. One that is refused is left
# out.
EXTRAS: Mapping[str, dict[str, Any]] = {"talkers": {}, "certs": {}, "cache": {}}


class Live:
    """Makes the dashboard's states. `can_change` tells the page whether to ask for a token.
    policy_fd: the tally of the policy process."""

    def __init__(
        self,
        table: Table,
        channel: Channel,
        handlers: Handlers,
        service: overview.Service,
        *,
        can_change: bool,
        policy_fd: int = -1,
    ) -> None:
        self._table = table
        self._channel = channel
        self._handlers = handlers
        self._service = service
        self._can_change = can_change
        self._policy_fd = policy_fd
        self._tops: dict[str, Any] = {}
        self._tops_until = 0.0
        self._making: asyncio.Task[bytes] | None = None
        self._made_at = 0.0

    async def once(self) -> bytes:
        """Returns the state now, or one that is at most EVERY_S / 2 old."""
        now = asyncio.get_running_loop().time()
        if self._making is None or (self._making.done() and now - self._made_at > EVERY_S / 2):
            self._made_at = now
            self._making = asyncio.create_task(self._make())
        return await asyncio.shield(self._making)

    async def states(self) -> AsyncIterator[bytes]:
        """Yields a state each second, without end."""
        while True:
            yield await self.once()
            await asyncio.sleep(EVERY_S)

    async def _make(self) -> bytes:
        extras: dict[str, Any] = {"cache": []}
        for command, args in EXTRAS.items():
            try:
                extras[command] = await self._handlers.answer(command, args)
            except AdminError:
                continue
        extras["routes"] = await self._routes()
        extras |= forward.shown(self._policy_fd, monotonic_ms())
        await self._add_tops(extras["forwards"][:FORWARDS_SHOWN])
        events = list(self._channel.events)[-EVENTS_SHOWN:]
        return await asyncio.to_thread(self._encode, events, extras)

    async def _add_tops(self, forwards: list[dict[str, Any]]) -> None:
        """Adds to each forward proxy the users, hosts and refused hosts with the most requests."""
        now = asyncio.get_running_loop().time()
        if forwards and now >= self._tops_until:
            self._tops_until = now + TOPS_EVERY_S
            self._tops = {one["forward"]: await self._top(one["forward"]) for one in forwards}
        for one in forwards:
            one |= self._tops.get(one["forward"], {key: [] for key in TOPS})

    async def _top(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {key: [] for key in TOPS}
        with contextlib.suppress(AdminError):  # the process may be away
            for key, by in TOPS.items():
                args = {"action": "top", "forward": name, "by": by, "limit": TOPS_SHOWN}
                found[key] = (await self._handlers.answer("forward", args))["top"]
        return found

    async def _routes(self) -> list[dict[str, Any]]:
        """Returns the routes of HTTP listeners, with their hits."""
        found: list[dict[str, Any]] = []
        # why only these: the supervisor is asked for each.
        rows = [row for row in self._table.listeners() if http.slots(self._table, row.index)]
        for name in {row.name: None for row in rows}:
            if len(found) >= ROUTES_SHOWN:
                break
            with contextlib.suppress(AdminError):  # a reload may have removed it
                routes = await self._handlers.answer("routes", {"listener": name, "hits": True})
                found += [{"listener": name, **route} for route in routes]
        return found[:ROUTES_SHOWN]

    def _encode(self, events: list[dict[str, Any]], extras: dict[str, Any]) -> bytes:
        table, now = self._table, monotonic_ms()
        state = {
            "at_ms": now,
            "can_change": self._can_change,
            "status": overview.status(table, self._service, now),
            "stats": overview.stats(table),
            "pools": overview.pools(table),
            "backends": overview.backends(table, now),
            "workers": overview.workers(table, now),
            "sessions": self._sessions(now),
            "events": events,
            "latency": overview.latency(table),
            "web": web.listeners(table),
            "inspections": web.inspections(table),
            **extras,
        }
        return json.dumps(state, separators=(",", ":"), default=str).encode()

    def _sessions(self, now: int) -> list[dict[str, Any]]:
        found = self._table.sessions(now, SESSIONS_READ)
        found.sort(key=lambda row: row.bytes_in + row.bytes_out, reverse=True)
        return [row._asdict() for row in found[:SESSIONS_SHOWN]]
