"""The stream of a check: a connection, with or without TLS, read within the limits of limits.py.

A stream that has exchanged data is closed in order, after the outcome is known (Attempt.ends). A
mere connection, and a stream that failed, is reset, which leaves no TIME_WAIT.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import math
import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Protocol, TypeVar

from l4lb.checker.limits import (
    FIN_AFTER_S,
    FINISH_BYTES_MAX,
    FINISH_S,
    HANDSHAKE_BYTES_MAX,
    PAUSE_SHARE,
    READ_BYTES,
    WIRE_BYTES_MAX,
)
from l4lb.checker.types import Attempt, Outcome, ProbeError, Settings, Target, Way
from l4lb.native import egress
from l4lb.native.results import Result
from l4lb.native.rows import Address

T = TypeVar("T")

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 s
NO_LINGER = struct.pack("ii", 0, 0)
# The PROXY header of a connection without a client ("I am a health check").
PROXY_LOCAL = {
    "off": b"",
    "v1": b"PROXY UNKNOWN\r\n",
    "v2": b"\r\n\r\n\0\r\nQUIT\n" + bytes((0x20, 0, 0, 0)),
}
OWN_FAULTS = frozenset(
    (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EAGAIN)
)
RESULTS = {
    errno.ECONNREFUSED: Result.REFUSED,
    errno.ENOENT: Result.REFUSED,
    errno.ECONNRESET: Result.RESET,
    errno.EPIPE: Result.RESET,
    errno.EHOSTUNREACH: Result.UNREACHABLE,
    errno.ENETUNREACH: Result.UNREACHABLE,
    errno.ETIMEDOUT: Result.TIMEOUT,
    errno.ENOTCONN: Result.TIMEOUT,  # a unix socket whose backlog is full: see connect
}


def outcome_of(error: OSError) -> Outcome:
    """Returns what a network error says about the backend; an error of this host says nothing."""
    number = error.errno or 0
    result = Result.NO_SOCKET if number in OWN_FAULTS else RESULTS.get(number, Result.ERROR)
    return Outcome(result, number, os.strerror(number) if number else str(error))


def family_of(target: Address) -> socket.AddressFamily:
    if target.path:
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in target.host else socket.AF_INET


def take_way(sock: socket.socket, way: Way) -> None:
    """Sets the socket options, and binds the first local address of the socket's family. Raises
    OSError."""
    if way.options:
        egress.apply(sock, way.options)
    for source in way.sources:
        if (":" in source) == (sock.family == socket.AF_INET6):
            sock.bind((source, 0))
            return


async def connect(target: Address, way: Way, until_s: float) -> socket.socket:
    """Returns a connected socket that sends a reset when it is closed. Raises OSError."""
    family = family_of(target)
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            take_way(sock, way)
        where = target.path or (target.host, target.port)
        async with asyncio.timeout_at(until_s):
            await asyncio.get_running_loop().sock_connect(sock, where)
        if target.path:
            sock.getpeername()  # why: asyncio treats a unix socket's EAGAIN as success
    except BaseException:
        sock.close()
        raise
    return sock


class Wire(Protocol):
    """A connected stream."""

    async def send(self, data: bytes) -> None:
        """Sends data. Raises OSError, ProbeError."""

    async def receive(self, until_s: float = math.inf) -> bytes:
        """Returns at most READ_BYTES; b"" at the end. Raises OSError, ProbeError, and TimeoutError
        at until_s. At the end of the check's time the stream is closed then."""


class Plain:
    """A stream without TLS. until_s: the event loop's time at which every wait ends."""

    def __init__(self, sock: socket.socket, until_s: float) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._until_s = until_s
        self.taken = 0  # bytes read so far

    async def send(self, data: bytes) -> None:
        try:
            async with asyncio.timeout_at(self._until_s):
                await self._loop.sock_sendall(self._sock, data)
        except BaseException:
            self.close()
            raise

    async def receive(self, until_s: float = math.inf) -> bytes:
        if self.taken >= WIRE_BYTES_MAX:
            self.close()
            raise ProbeError(Result.ANSWER, f"no end in {WIRE_BYTES_MAX} bytes")
        try:
            return await self._read(min(until_s, self._until_s))
        except BaseException as error:
            # why: a caller that waited for less than the whole time may go on.
            if not isinstance(error, TimeoutError) or self._loop.time() >= self._until_s:
                self.close()
            raise

    async def _read(self, until_s: float) -> bytes:
        async with asyncio.timeout_at(until_s):
            if self.taken:
                # why: a socket that always has data never lets other checks run by itself.
                await asyncio.sleep(round(PAUSE_SHARE * (self._loop.time() - self._began_s), 3))
            data = await self._loop.sock_recv(self._sock, READ_BYTES)
        self.taken += len(data)
        return data

    async def finish(self) -> None:
        """Closes the connection in order, so the peer's log has no reset. A peer that does not
        close soon, or that sends much more, is reset."""
        if self._sock.fileno() < 0:
            return
        self._began_s = self._loop.time()
        try:
            if not await self._ends(self._began_s + FIN_AFTER_S):
                self._sock.shutdown(socket.SHUT_WR)
                if not await self._ends(self._began_s + FINISH_S):
                    return
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        except OSError:
            return
        finally:
            self.close()

    async def _ends(self, until_s: float) -> bool:
        """Reads on. Returns True if the peer's end comes before until_s. Raises OSError."""
        maximum = self.taken + FINISH_BYTES_MAX
        try:
            while self.taken < maximum:
                if not await self._read(until_s):
                    return True
        except TimeoutError:
            pass
        return False

    def close(self) -> None:
        """Closes at once, with a reset."""
        self._sock.close()


class _EndedError(ProbeError):
    """The stream below TLS has ended."""


class Tls:
    """A stream with TLS."""

    def __init__(self, below: Plain, context: ssl.SSLContext, name: str | None) -> None:
        self._below = below
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._shaking = True

    @property
    def certificate(self) -> bytes | None:
        """The target's certificate, in DER."""
        return self._tls.getpeercert(binary_form=True)

    @property
    def version(self) -> str:
        return self._tls.version() or "?"

    async def handshake(self) -> None:
        try:
            await self._until_done(self._tls.do_handshake)
        except ssl.SSLCertVerificationError as error:
            await self._flush()  # the alert for it
            raise ProbeError(Result.TLS, f"certificate: {error.verify_message}") from error
        self._shaking = False

    async def send(self, data: bytes) -> None:
        await self._until_done(lambda: self._tls.write(data))

    async def receive(self, until_s: float = math.inf) -> bytes:
        try:
            data = await self._until_done(lambda: self._tls.read(READ_BYTES), until_s)
        except _EndedError:
            return b""
        while data and len(data) < READ_BYTES:  # data of small records
            try:
                more = self._tls.read(READ_BYTES - len(data))
            except ssl.SSLError:
                break  # the error stays: the next read reports it
            if not more:
                break
            data += more
        return data

    async def finish(self) -> None:
        """Ends TLS, then closes the connection as Plain.finish does."""
        with contextlib.suppress(OSError, ProbeError):
            if not self._shaking:
                with contextlib.suppress(ssl.SSLError):
                    self._tls.unwrap()
            await self._flush()
        await self._below.finish()

    async def _until_done(self, step: Callable[[], T], until_s: float = math.inf) -> T:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take(until_s)
            except ssl.SSLCertVerificationError:
                raise
            except ssl.SSLError as error:
                raise ProbeError(Result.TLS, f"TLS: {error.reason or error}") from error
            else:
                await self._flush()
                return done

    async def _take(self, until_s: float) -> None:
        if self._shaking and self._below.taken > HANDSHAKE_BYTES_MAX:
            raise ProbeError(Result.TLS, f"TLS: a handshake of over {HANDSHAKE_BYTES_MAX} bytes")
        data = await self._below.receive(until_s)
        if not data:
            raise _EndedError(Result.CLOSED, "closed during TLS")
        self._in.write(data)

    async def _flush(self) -> None:
        data = self._out.read()
        if data:
            await self._below.send(data)


@functools.lru_cache(maxsize=1024)
def tls_context(
    verify: bool,
    ca: str | None,
    by_name: bool,
    pair: tuple[str | None, str | None],
    _: tuple[int, ...],
) -> ssl.SSLContext:
    """Makes a TLS context. verify: the certificate's chain must lead to ca (a file; None: the
    system's). by_name: it must be valid for the name that is asked for. pair: client certificate
    and key, if any. The last argument has the files' times: at other times they are read again.
    Raises OSError."""
    context = ssl.create_default_context(cafile=ca)
    cert, key = pair
    if cert:
        context.load_cert_chain(cert, key, password=b"")  # nobody can type a password
    context.check_hostname = verify and by_name
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    return context


async def open_plain(target: Target, settings: Settings, attempt: Attempt) -> Plain:
    """Connects and sends the PROXY header."""
    sock = await connect(target.address, settings.way, attempt.until_s)
    wire = Plain(sock, attempt.until_s)
    attempt.ends.push_async_callback(wire.finish)
    header = PROXY_LOCAL[settings.send_proxy]
    if header:
        await wire.send(header)
    return wire


def tls_name(target: Target, settings: Settings) -> str | None:
    """Returns the name that TLS asks for and verifies, or an IP address, which is only verified;
    None: none. If it is the name of the pool's sessions, each backend has its own."""
    if settings.sni:
        return settings.sni
    if settings.as_sessions:
        return target.asked or target.address.host or None
    return (settings.host or "").partition(":")[0] or None


async def open_tls(target: Target, settings: Settings, attempt: Attempt) -> Tls:
    """Connects, sends the PROXY header and makes the TLS handshake."""
    name = tls_name(target, settings)
    pair = (settings.cert, settings.key)
    files = [path for path in (settings.ca, *pair) if path]
    try:
        changed_ns = tuple(os.stat(path).st_mtime_ns for path in files)
        context = tls_context(settings.verify, settings.ca, bool(name), pair, changed_ns)
    except OSError as error:
        said = f"cannot read {' or '.join(files)}: {error}"
        raise ProbeError(Result.NO_SOCKET, said) from error
    below = await open_plain(target, settings, attempt)
    wire = Tls(below, context, name)
    attempt.ends.push_async_callback(wire.finish)
    await wire.handshake()
    return wire
