"""What each admin command does: readers look at the table, changers ask the supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from l4lb.control import changing, choices, choosing, edge_views, tls_views, views
from l4lb.control.channel import Channel
from l4lb.control.clock import now_ms
from l4lb.control.commands import COMMANDS
from l4lb.control.conditions import condition
from l4lb.control.picks import picks
from l4lb.control.sources import Sources
from l4lb.control.why import why
from l4lb.errors import AdminError
from l4lb.native.health import health
from l4lb.native.table import Table

POLL_S = 0.05  # how often `wait` looks

PASSED_ON = ("block", "unblock", "access", "allow", "deny", "forget")  # as they are

Handler = Callable[[dict[str, Any]], Awaitable[Any]]


class Handlers:
    """Carries out one request at a time for each client, many clients side by side."""

    def __init__(
        self, table: Table, channel: Channel, service: views.Service, sources: Sources
    ) -> None:
        self._table = table
        self._channel = channel
        self._sources = sources
        # In a thread: a table of many rows must not keep other clients from their answers.
        self._views: dict[str, Callable[[dict[str, Any]], Any]] = {
            "status": lambda _: views.status(table, service, now_ms()),
            "listeners": lambda _: views.listeners(table),
            "pools": lambda _: views.pools(table),
            "backends": lambda _: views.backends(table, now_ms()),
            "sessions": lambda args: views.sessions(table, now_ms(), args),
            "picks": lambda args: picks(table, now_ms(), args),
            "workers": lambda _: views.workers(table, now_ms()),
            "explain": lambda args: _explained(table, args),
            "simulate": lambda args: choices.simulate(table, args),
            "blocks": lambda _: edge_views.blocked(table, now_ms()),
            "talkers": lambda _: edge_views.busiest(table, now_ms()),
            "stats": lambda _: views.stats(table),
        }
        self._others: dict[str, Handler] = {
            "events": self._events,
            "why": self._why,
            "discovery": self._discovery,
            "certs": lambda _: tls_views.certificates(self._channel),
            "drain": lambda args: self._state(args, "drain"),
            "ready": lambda args: self._state(args, "ready"),
            "maint": lambda args: self._state(args, "maint"),
            "weight": lambda args: self._channel.ask("weight", args),
            **{op: self._passed_on(op) for op in PASSED_ON},
            "kill": self._kill,
            "sticky": lambda args: choosing.sticky(table, channel, args),
            "wait": self._wait,
            **changing.handlers(table, channel),
        }

    async def answer(self, command: str, given: Mapping[str, Any]) -> Any:
        """The command's result, or an async iterator of the parts of one that goes on. Raises
        AdminError."""
        if command not in COMMANDS:
            known = ", ".join(COMMANDS)
            raise AdminError("unknown_command", f"no command {command!r}; one of {known}")
        args = COMMANDS[command].checked(given)
        if command in self._views:
            return await asyncio.to_thread(self._views[command], args)
        return await self._others[command](args)

    def _passed_on(self, op: str) -> Handler:
        return lambda args: self._channel.ask(op, args)

    async def _events(self, args: dict[str, Any]) -> Any:
        return self._channel.events.follow() if args["follow"] else list(self._channel.events)

    async def _why(self, args: dict[str, Any]) -> Any:
        pool, _, name = args["backend"].partition("/")
        for row in self._table.backends():
            known = health(self._table, row.index) if (row.pool, row.name) == (pool, name) else None
            if known is not None:
                settings = await self._channel.ask("checks", {"pool": pool})
                return why(row, known, settings, self._channel.events, now_ms())
        raise AdminError("not_found", f"no backend is named {args['backend']}")

    async def _discovery(self, _: dict[str, Any]) -> Any:
        return self._sources.shown()

    async def _state(self, args: dict[str, Any], state: str) -> Any:
        return await self._channel.ask("state", args | {"state": state})

    async def _kill(self, args: dict[str, Any]) -> Any:
        session, backend = args["session"], args["backend"]
        if (session is None) == (backend is None):
            raise AdminError("bad_argument", "name either a session or --backend POOL/NAME")
        if session is not None:
            return await self._channel.ask("kill", {"session": session})
        return await self._channel.ask("kill_backend", {"backend": backend})

    async def _wait(self, args: dict[str, Any]) -> Any:
        name, operand = args["condition"], args["operand"]
        holds = condition(name, operand)
        started = now_ms()
        while not holds(self._table):
            if now_ms() - started >= args["timeout_ms"]:
                raise AdminError(
                    "timeout", f"{name} {operand}: not so after {args['timeout_ms']} ms"
                )
            await asyncio.sleep(POLL_S)
        return {"condition": name, "operand": operand, "waited_ms": now_ms() - started}


def _explained(table: Table, args: dict[str, Any]) -> Any:
    """explain: of the next choice, or of those that were made lately."""
    if args["recent"]:
        return picks(table, now_ms(), args)
    if args["pool"] is None or args["client"] is None:
        raise AdminError("bad_argument", "name a pool and a client, or say --recent")
    return choices.explain(table, args)
