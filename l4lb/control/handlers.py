"""Carries out the admin commands. A row of commands.py says who carries a command out:

"table"       a view of the shared table, made in a thread
"control"     a coroutine of this process, which may ask the supervisor
"supervisor"  passed on unchanged; some answers are converted
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import l4lb.log
from l4lb.clock import monotonic_ms
from l4lb.control import caches, names, sticky, toml
from l4lb.control.cause import CURRENT, NOBODY, By, Cause
from l4lb.control.channel import Channel
from l4lb.control.command import Command
from l4lb.control.commands import COMMANDS
from l4lb.control.sources import Sources
from l4lb.control.views import clients, explain, live_requests, overview, plan, requests, tls
from l4lb.control.views.conditions import condition
from l4lb.control.views.pick_trace import picks
from l4lb.control.views.why import why
from l4lb.errors import AdminError
from l4lb.metrics.processes import usages
from l4lb.native.caches import NO_DISKS
from l4lb.native.health import health
from l4lb.native.table import Table

LOG = l4lb.log.get("control")
POLL_S = 0.05  # time between two looks of `wait` at its condition

Handler = Callable[[dict[str, Any]], Awaitable[Any]]


class Handlers:
    """Carries out one request at a time for each client, and many clients at the same time."""

    def __init__(
        self,
        table: Table,
        channel: Channel,
        service: overview.Service,
        sources: Sources,
        cache_fd: int = -1,
        disks: Mapping[str, int] = NO_DISKS,
    ) -> None:
        self._table = table
        self._channel = channel
        self._sources = sources
        # Views run in a thread, so that a table of many rows does not delay other clients.
        self._views: dict[str, Callable[[dict[str, Any]], Any]] = {
            "status": lambda _: overview.status(table, service, monotonic_ms()),
            "listeners": lambda _: overview.listeners(table),
            "pools": lambda _: overview.pools(table),
            "backends": lambda _: overview.backends(table, monotonic_ms()),
            "sessions": lambda args: overview.sessions(table, monotonic_ms(), args),
            "requests": lambda args: live_requests.requests(table, monotonic_ms(), args),
            "spare": lambda _: live_requests.spare(table),
            "picks": lambda args: picks(table, monotonic_ms(), args),
            "workers": lambda _: overview.workers(table, monotonic_ms(), usages()),
            "explain": lambda args: _explained(table, args, cache_fd),
            "simulate": lambda args: explain.simulate(table, args),
            "blocks": lambda _: clients.blocked(table, monotonic_ms()),
            "talkers": lambda _: clients.busiest(table, monotonic_ms()),
            "stats": lambda _: overview.stats(table),
        }
        self._handlers: dict[str, Handler] = {
            "events": self._events,
            "audit": self._audit,
            "why": self._why,
            "discovery": self._discovery,
            "certs": lambda _: tls.certificates(channel),
            "drain": lambda args: self._state(args, "drain"),
            "ready": lambda args: self._state(args, "ready"),
            "maint": lambda args: self._state(args, "maint"),
            "kill": self._kill,
            "cache": lambda args: caches.cache(table, cache_fd, disks, channel, args),
            "sticky": lambda args: sticky.sticky(table, channel, args),
            "wait": self._wait,
            **{name: self._passed_on(name) for name in _names("supervisor")},
            "plan": self._passed_on("plan", lambda told: plan.told(table, told)),
            "save": self._passed_on("save", _as_text),
        }
        assert self._views.keys() == _names("table")
        assert self._handlers.keys() == _names("control", "supervisor")

    async def answer(self, command: str, given: Mapping[str, Any], by: By = NOBODY) -> Any:
        """Returns the command's result, or an async iterator over the parts of a stream. by: who
        asks. Raises only AdminError: any other exception is a fault of ours, is logged and becomes
        AdminError internal."""
        if command not in COMMANDS:
            known = ", ".join(COMMANDS)
            raise AdminError("unknown_command", f"no command {command!r}; one of {known}")
        row = COMMANDS[command]
        if row.is_recorded(given):
            return await self._recorded(row, given, by)
        with _told(command):
            result = await self._checked(row, given)
        return _parts(command, result) if isinstance(result, AsyncIterator) else result

    async def _recorded(self, command: Command, given: Mapping[str, Any], by: By) -> Any:
        """Carries out a command that goes into the record of changes. Its request to the supervisor
        carries its cause. The supervisor is also told of a command that was refused before it was
        asked."""
        cause = Cause.of(by, command.name, given)
        before = CURRENT.set(cause)
        try:
            with _told(command.name):
                return await self._checked(command, given)
        except AdminError as error:
            if not cause.passed_on:
                await self._channel.refused(cause, error)
            raise
        finally:
            CURRENT.reset(before)

    async def _checked(self, command: Command, given: Mapping[str, Any]) -> Any:
        """Checks the arguments and carries the command out. A command that finds nothing is refused
        if one of its names is unknown."""
        args = command.checked(given)
        try:
            result = await self._carried_out(command.name, args)
        except AdminError as error:
            if error.code == "not_found":
                names.check(self._table, command, args)
            raise
        if result == []:
            names.check(self._table, command, args)
        return result

    async def _carried_out(self, command: str, args: dict[str, Any]) -> Any:
        if command in self._views:
            return await asyncio.to_thread(self._views[command], args)
        return await self._handlers[command](args)

    def _passed_on(self, op: str, form: Callable[[Any], Any] | None = None) -> Handler:
        """Returns a handler that asks the supervisor. form: converts the supervisor's answer, in a
        thread."""

        async def ask(args: dict[str, Any]) -> Any:
            given = {key: value for key, value in args.items() if value is not None}
            told = await self._channel.ask(op, given)
            return told if form is None else await asyncio.to_thread(form, told)

        return ask

    async def _events(self, args: dict[str, Any]) -> Any:
        return self._channel.events.follow() if args["follow"] else list(self._channel.events)

    async def _audit(self, _: dict[str, Any]) -> Any:
        return [event for event in self._channel.events if event.get("kind") == "change"]

    async def _why(self, args: dict[str, Any]) -> Any:
        pool, _, name = args["backend"].partition("/")
        for row in self._table.backends():
            known = health(self._table, row.index) if (row.pool, row.name) == (pool, name) else None
            if known is not None:
                settings = await self._channel.ask("checks", {"pool": pool})
                return why(row, known, settings, self._channel.events, monotonic_ms())
        raise names.unknown(self._table, "backend", args["backend"])

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
        started = monotonic_ms()
        while not holds(self._table):
            if monotonic_ms() - started >= args["timeout_ms"]:
                raise AdminError(
                    "timeout", f"{name} {operand}: not so after {args['timeout_ms']} ms"
                )
            await asyncio.sleep(POLL_S)
        return {"condition": name, "operand": operand, "waited_ms": monotonic_ms() - started}


def _names(*who: str) -> set[str]:
    """Returns the names of all commands that one of `who` carries out."""
    return {name for name, row in COMMANDS.items() if row.by.who in who}


def _as_text(saved: dict[str, Any]) -> dict[str, Any]:
    """Converts the answer of `save`: the configuration becomes the text of a file."""
    stated = saved.pop("stated")
    return saved | {"text": toml.written(stated)}


@contextlib.contextmanager
def _told(command: str) -> Iterator[None]:
    """Logs any unexpected exception with its traceback, and raises AdminError `internal`
    instead."""
    try:
        yield
    except AdminError:
        raise
    except Exception as error:
        LOG.error("a command failed", command=command, error=repr(error), exc_info=True)
        raise AdminError("internal", "the command failed; see the log") from error


async def _parts(command: str, parts: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Yields the parts of a stream; a fault of ours becomes an AdminError."""
    with _told(command):
        async for part in parts:
            yield part


def _explained(table: Table, args: dict[str, Any], cache_fd: int) -> Any:
    """Carries out `explain`: for the next choice of a client, for a request, or for recent
    choices."""
    if args["request"] is not None:
        if args["pool"] is None or args["recent"]:
            raise AdminError("bad_argument", "name the listener before --request")
        return requests.explain(table, args, cache_fd)
    if args["recent"]:
        return picks(table, monotonic_ms(), args)
    if args["pool"] is None or args["client"] is None:
        raise AdminError("bad_argument", "name a pool and a client, or say --recent")
    return explain.explain(table, args)
