"""The admin socket's server: many clients, each bounded in size, number and time.

Who may ask is decided by the kernel's word on the peer (SO_PEERCRED). When MAX_CLIENTS are
connected, the one idle for longest makes room: idle peers cannot lock an operator out.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any

import l4lb.log
from l4lb.control import protocol
from l4lb.control.handlers import Handlers
from l4lb.errors import AdminError

MAX_CLIENTS = 64
FRAME_TIMEOUT_S = 10.0  # from a frame's first byte to its last
WRITE_TIMEOUT_S = 10.0  # for a client to take an answer
READ_BYTES = 64 << 10
ROWS_A_FRAME = 500  # of a list that is sent in parts
LOG = l4lb.log.get("control")


def _peer(sock: socket.socket) -> tuple[int, int, int]:
    """The peer's pid, uid and gid."""
    packed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", packed)
    return pid, uid, gid


def _groups_of(uid: int, gid: int) -> set[int]:
    """The peer's groups: its own and those its user is in."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return {gid}
    return {gid, *(group.gr_gid for group in grp.getgrall() if name in group.gr_mem)}


def may_ask(uid: int, gid: int) -> bool:
    """Root, this service's user, and members of its group may."""
    return uid in (0, os.geteuid()) or os.getegid() in _groups_of(uid, gid)


def _parts(number: object, result: object) -> Iterator[dict[str, Any]]:
    """An answer's frames: a long list comes in parts, all but the last marked `more`."""
    if not isinstance(result, list) or len(result) <= ROWS_A_FRAME:
        yield {"id": number, "ok": True, "result": result}
        return
    for start in range(0, len(result), ROWS_A_FRAME):
        part: dict[str, Any] = {
            "id": number, "ok": True, "result": result[start : start + ROWS_A_FRAME],
        }  # fmt: skip
        if start + ROWS_A_FRAME < len(result):
            part["more"] = True
        yield part


def refusal(number: object, code: str, message: str) -> dict[str, Any]:
    """An answer that says why not."""
    return {"id": number, "ok": False, "error": {"code": code, "message": message}}


class _Client:
    """One connection: reads a request, answers it, reads the next."""

    def __init__(self, sock: socket.socket, handlers: Handlers) -> None:
        self.sock = sock
        self.handlers = handlers
        self.last_active = time.monotonic()
        self.busy = False
        self.task: asyncio.Task[None] | None = None

    async def _send(self, message: Mapping[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        data = protocol.encode(message)
        await asyncio.wait_for(loop.sock_sendall(self.sock, data), WRITE_TIMEOUT_S)

    async def _answer(self, request: Mapping[str, Any]) -> None:
        number, command = request.get("id"), request.get("command")
        args = request.get("args") or {}
        if not isinstance(number, int | str | None) or not isinstance(args, dict):
            raise protocol.ProtocolError("a request is {id, command, args}")
        try:
            result = await self.handlers.answer(str(command), args)
        except AdminError as error:
            await self._send(refusal(number, error.code, error.message))
            return
        except Exception as error:
            LOG.error("a command failed", command=str(command)[:64], error=repr(error))
            await self._send(refusal(number, "internal", "the command failed; see the log"))
            return
        for part in _parts(number, result):
            await self._send(part)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        decoder = protocol.Decoder()
        began = time.monotonic()
        while True:
            left = began + FRAME_TIMEOUT_S - time.monotonic()
            limit = left if decoder.is_inside_frame else None
            data = await asyncio.wait_for(loop.sock_recv(self.sock, READ_BYTES), limit)
            if not data:
                return
            self.last_active = time.monotonic()
            self.busy = True
            began = began if decoder.is_inside_frame else time.monotonic()
            for request in decoder.feed(data):
                await self._answer(request)
                began = time.monotonic()
            self.busy = False
            self.last_active = time.monotonic()

    async def run(self) -> None:
        """Serves until the client leaves or breaks the rules."""
        try:
            _, uid, gid = _peer(self.sock)
            if not may_ask(uid, gid):
                await self._send(refusal(None, "denied", f"uid {uid} may not ask this service"))
                return
            await self._serve()
        except protocol.ProtocolError as error:
            await self._say(refusal(None, "protocol", str(error)))
        except TimeoutError:
            await self._say(refusal(None, "timeout", "a frame or an answer took too long"))
        except (OSError, ValueError):
            pass  # the client is gone
        finally:
            self.sock.close()

    async def _say(self, message: Mapping[str, Any]) -> None:
        """A last word to a client that may not listen."""
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._send(message), 1.0)


class Server:
    """Accepts clients on a listening socket that it does not own."""

    def __init__(self, listener: socket.socket, handlers: Handlers) -> None:
        self._listener = listener
        self._handlers = handlers
        self._clients: set[_Client] = set()

    async def run(self) -> None:
        """Accepts for ever."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        while True:
            try:
                sock, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                LOG.error("cannot accept an admin client", error=str(error))
                await asyncio.sleep(0.1)
                continue
            sock.setblocking(False)
            self._make_room()
            client = _Client(sock, self._handlers)
            self._clients.add(client)
            client.task = asyncio.create_task(self._serve(client))

    async def _serve(self, client: _Client) -> None:
        try:
            await client.run()
        finally:
            self._clients.discard(client)

    def _make_room(self) -> None:
        while len(self._clients) >= MAX_CLIENTS:
            oldest = min(self._clients, key=lambda one: (one.busy, one.last_active))
            self._clients.discard(oldest)
            if oldest.task is not None:
                oldest.task.cancel()
