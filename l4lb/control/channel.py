"""The control process's end of its channel to the supervisor: requests go out, answers, events and
orders come in."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import l4lb.log
from l4lb import frames
from l4lb.clock import monotonic_ms
from l4lb.control.cause import CURRENT, Cause
from l4lb.control.commands import OPERATIONS
from l4lb.control.events import Events
from l4lb.errors import AdminError

LOG = l4lb.log.get("control")


def dated(event: Mapping[str, Any], at_now_ms: int, now_s: float) -> dict[str, Any]:
    """Returns the event with `at`, the time of day (UTC) that belongs to its at_ms. now_s: the time
    of day at the moment at_now_ms."""
    at_ms = event.get("at_ms")
    if not isinstance(at_ms, int):
        return dict(event)
    when = datetime.fromtimestamp(now_s - (at_now_ms - at_ms) / 1000, UTC)
    return {"at": when.isoformat(timespec="milliseconds"), **event}


class Channel:
    """Asks the supervisor, and keeps the events that it reports. `closed` is set when the
    supervisor has gone. `retired` is set when another process is to answer all later clients.
    on_order is called with each other order of the supervisor."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.events = Events()
        self.closed = asyncio.Event()
        self.retired = asyncio.Event()
        self.on_order: Callable[[Mapping[str, Any]], None] = lambda _: None  # {op, ...}
        self._sending = asyncio.Lock()
        self._inbox = frames.Inbox(sock)

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._receive)

    def _receive(self) -> None:
        try:
            message = self._inbox.take()
            if message is not None:
                self._take(message)
        except Exception as error:  # why: a wrong message must not lose the next one
            LOG.error("a message of the supervisor failed", error=repr(error), exc_info=True)
        if self._inbox.ended:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self.closed.set()

    def _take(self, message: Mapping[str, Any]) -> None:
        """Handles an event, an order or an answer."""
        if "event" in message:
            self.note(message["event"])
        elif message.get("op") == "retire":
            self.retired.set()
        elif "op" in message:
            self.on_order(message)
        else:
            answer = self._waiting.pop(message.get("id", 0), None)
            if answer is not None and not answer.done():
                answer.set_result(dict(message))

    async def _send(self, message: Mapping[str, Any]) -> None:
        """Sends one request. Raises OSError."""
        async with self._sending:  # parts of two requests must not mix
            for frame in frames.packed(message):
                await asyncio.get_running_loop().sock_sendall(self._sock, frame)

    def note(self, event: Mapping[str, Any]) -> None:
        """Keeps one more event; it has at_ms."""
        self.events.append(dated(event, monotonic_ms(), time.time()))

    async def refused(self, cause: Cause, error: AdminError) -> None:
        """Tells the supervisor about a command that was refused before the supervisor was asked.
        Nobody waits for an answer."""
        args = {"code": error.code, "message": error.message}
        with contextlib.suppress(OSError):
            await self._send({"op": "refused", "args": args, "cause": cause.plain()})

    async def ask(
        self,
        op: str,
        args: Mapping[str, Any],
        cause: Cause | None = None,
    ) -> Any:
        """Returns the supervisor's result. op: a row of OPERATIONS, which also sets the time to
        wait. cause: the cause of the change (default: that of the command being carried out).
        Raises AdminError: the supervisor's own, or `timeout`."""
        message: dict[str, Any] = {"op": op, "args": dict(args)}
        cause = cause or CURRENT.get()
        if cause is not None:
            cause.passed_on = True
            message["cause"] = cause.plain()
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._send({"id": number, **message})
            message = await asyncio.wait_for(answer, OPERATIONS[op].timeout_s)
        except (TimeoutError, OSError) as error:
            raise AdminError("timeout", "the supervisor did not answer; try again") from error
        finally:
            self._waiting.pop(number, None)
        if message["ok"]:
            return message["result"]
        raise AdminError(message["error"]["code"], message["error"]["message"])
