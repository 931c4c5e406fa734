"""The admin socket's server: many clients, each bounded in size, number and time.

The kernel tells who a peer is, and that decides whether it may ask. When MAX_CLIENTS are connected
and another client comes, the one that has been idle for longest is closed: idle clients cannot lock
an operator out. The rows of long answers that clients have not read yet are bounded over all
clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from typing import Any

import l4lb.log
from l4lb.control.cause import NOBODY, By
from l4lb.control.commands import SESSIONS_LIMIT
from l4lb.control.handlers import Handlers
from l4lb.control.serving import protocol
from l4lb.control.serving.peer import Peer, Users, by, is_own, may_ask
from l4lb.control.serving.protocol import Request, refusal
from l4lb.errors import AdminError

MAX_CLIENTS = 64
FRAME_TIMEOUT_S = 10.0  # time from a frame's first byte to its last
WRITE_TIMEOUT_S = 30.0  # time for a client to read an answer, all its parts
LAST_WORD_TIMEOUT_S = 1.0  # time for a client that is being closed to read the reason
HANGUP_POLL_S = 1.0  # time between looks whether a waiting client has left
READ_BYTES = 64 << 10
ROWS_A_FRAME = 500  # rows in one part of a long list
ROWS_ALWAYS = SESSIONS_LIMIT  # an answer with up to this many rows is never refused
ROWS_HELD_MAX = 200_000  # unread rows of longer answers, over all clients
LOG = l4lb.log.get("control")


class _Rows:
    """Counts the rows of answers that clients have not read yet."""

    def __init__(self) -> None:
        self._held = 0

    @contextlib.contextmanager
    def hold(self, result: object) -> Iterator[None]:
        """Counts the rows of an answer inside the block. Raises AdminError busy at too many
        rows."""
        count = len(result) if isinstance(result, list) else 0
        if count > ROWS_ALWAYS and self._held + count > ROWS_HELD_MAX:
            raise AdminError("busy", "too many long answers wait to be read; ask for fewer rows")
        self._held += count
        try:
            yield
        finally:
            self._held -= count


def _frames(number: object, result: object) -> Iterator[bytes]:
    """Yields an answer's frames. A long list comes in parts; all but the last are marked `more`.
    Raises AdminError for a value that no frame can hold."""
    if not isinstance(result, list) or not result:
        yield _frame(number, result)
        return
    start = 0
    while start < len(result):
        count = ROWS_A_FRAME
        while True:
            end = start + count
            more = {"more": True} if end < len(result) else {}
            try:
                yield _frame(number, result[start:end], **more)
                break
            except AdminError:
                if count == 1:
                    raise
                count //= 2  # the rows are large: fewer of them go into a frame
        start = end


def _frame(number: object, result: object, **more: bool) -> bytes:
    try:
        return protocol.encode({"id": number, "ok": True, "result": result, **more})
    except ValueError as error:
        raise AdminError("failed", f"the answer is too large: {error}") from error
    except (TypeError, OverflowError) as error:
        LOG.error("an answer cannot be sent", error=repr(error), exc_info=True)
        raise AdminError("internal", "the answer cannot be sent; see the log") from error


async def _next(parts: AsyncIterator[Any]) -> Any:
    return await anext(parts)


def _has_left(sock: socket.socket) -> bool:
    """Returns whether the peer has closed its socket. A peer that has only shut down its sending
    side may still read."""
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


class _Client:
    """One connection: it reads a request, answers it, and reads the next."""

    def __init__(
        self,
        sock: socket.socket,
        handlers: Handlers,
        rows: _Rows,
        users: Users,
        supervisor: int,
    ) -> None:
        self.sock = sock
        self._supervisor = supervisor
        self.last_active = time.monotonic()
        self.busy = False
        self.task: asyncio.Task[None] | None = None
        self._handlers = handlers
        self._rows = rows
        self._users = users
        self._by: By = NOBODY

    async def _send(self, frames: Iterable[bytes]) -> None:
        """Sends frames. Raises ConnectionError if the client does not read them in time: the answer
        is then cut short, and no other message can follow."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                for frame in frames:
                    await loop.sock_sendall(self.sock, frame)
                    await asyncio.sleep(0)  # why: a send may not yield; other clients get a turn
        except TimeoutError as error:
            raise ConnectionAbortedError("an answer was not read in time") from error

    async def _while_here(self, answer: Coroutine[Any, Any, Any]) -> Any:
        """Returns the answer. Raises ConnectionError if the client leaves before."""
        task = asyncio.create_task(answer)
        try:
            while not (await asyncio.wait((task,), timeout=HANGUP_POLL_S))[0]:
                if _has_left(self.sock):
                    raise ConnectionResetError("the client left")
            return task.result()
        finally:
            task.cancel()

    async def _answer(self, request: Request) -> None:
        try:
            result = await self._while_here(
                self._handlers.answer(request.command, request.args, self._by)
            )
            if isinstance(result, AsyncIterator):
                await self._stream(request.id, result)
                return
            with self._rows.hold(result):
                await self._send(_frames(request.id, result))
        except AdminError as error:
            await self._refuse(request.id, error.code, error.message)

    async def _refuse(self, number: object, code: str, message: str) -> None:
        await self._send((protocol.encode(refusal(number, code, message)),))

    async def _stream(self, number: object, parts: AsyncIterator[Any]) -> None:
        """Sends each part when it comes, until the client leaves. Raises ConnectionError."""
        while True:
            part = await self._while_here(_next(parts))
            await self._send((_frame(number, part, more=True),))

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        decoder = protocol.Decoder(protocol.ELEMENTS_MAX)
        began = time.monotonic()
        while True:
            left = began + FRAME_TIMEOUT_S - time.monotonic()
            async with asyncio.timeout(left if decoder.is_inside_frame else None):
                data = await loop.sock_recv(self.sock, READ_BYTES)
            if not data:
                return
            self.busy = True
            began = began if decoder.is_inside_frame else time.monotonic()
            for request in map(Request.of, decoder.feed(data)):
                await self._answer(request)
                began = time.monotonic()
            self.busy = False
            self.last_active = time.monotonic()

    async def run(self) -> None:
        """Serves until the client leaves or violates the protocol."""
        try:
            peer = Peer.of(self.sock)
            if is_own(peer, self._supervisor):
                LOG.error("a process of this service asked as an operator; refused", pid=peer.pid)
                await self._say("denied", "processes of the service may not ask it")
            elif may_ask(peer):
                self._by = await by(peer, self._users)
                await self._serve()
            else:
                await self._say("denied", f"uid {peer.uid} may not ask this service")
        except protocol.ProtocolError as error:
            await self._say("protocol", str(error))
        except TimeoutError:
            await self._say("timeout", f"a frame took more than {FRAME_TIMEOUT_S:g} s")
        except OSError:
            pass  # the client has gone
        except Exception as error:  # why: a fault of ours costs this client, not the service
            LOG.error("an admin client was lost", error=repr(error), exc_info=True)
            await self._say("internal", "a fault of the balancer's; see its log")

    async def _say(self, code: str, message: str) -> None:
        """Sends a last message to a client that may not read it."""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(LAST_WORD_TIMEOUT_S):
                await self._refuse(None, code, message)

    def make_room(self) -> None:
        """Closes the connection in favour of another. An idle client is told the reason."""
        if not self.busy:
            word = refusal(None, "too_many_clients", "closed: idle for longest when others came")
            with contextlib.suppress(OSError):
                self.sock.send(protocol.encode(word))
        if self.task is not None:
            self.task.cancel()


class Server:
    """Accepts clients on a listening socket. The socket belongs to the supervisor."""

    def __init__(self, listener: socket.socket, handlers: Handlers, supervisor: int) -> None:
        """supervisor: the supervisor's pid. Its child processes may not ask."""
        self._listener = listener
        self._supervisor = supervisor
        self._handlers = handlers
        self._rows = _Rows()
        self._users = Users()
        self._clients: set[_Client] = set()

    async def run(self) -> None:
        """Accepts clients without end."""
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        troubled = False
        while True:
            try:
                sock, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                if not troubled:
                    LOG.error("cannot accept admin clients, trying again", error=str(error))
                troubled = True
                await asyncio.sleep(0.1)
                continue
            troubled = False
            self._welcome(sock)
            await asyncio.sleep(0)  # why: an accept may not yield; other clients get a turn

    def _welcome(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        while len(self._clients) >= MAX_CLIENTS:
            oldest = min(self._clients, key=lambda one: (one.busy, one.last_active))
            self._clients.discard(oldest)
            oldest.make_room()
        client = _Client(sock, self._handlers, self._rows, self._users, self._supervisor)
        self._clients.add(client)
        client.task = asyncio.create_task(client.run())
        # The callback forgets the client, not run(): a task that is cancelled before its first step
        # runs none of its code.
        client.task.add_done_callback(lambda _: self._forget(client))

    def _forget(self, client: _Client) -> None:
        self._clients.discard(client)
        client.sock.close()
