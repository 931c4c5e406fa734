"""A check's stream: connected, perhaps under TLS, read within bounds, closed by a reset.

The reset leaves no TIME_WAIT behind, however many checks there are.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Protocol, TypeVar

from l4lb.checker.types import Outcome, ProbeError, Settings, Target, Way
from l4lb.native import egress
from l4lb.native.results import Result
from l4lb.native.rows import Address

T = TypeVar("T")

READ_BYTES = 16 << 10  # one read
ANSWER_BYTES_MAX = 64 << 10  # of an answer that are looked at
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 s
# "I am a health check": the PROXY header of a connection that no client is behind.
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
    """What an error of the network says about the backend; one of this host says nothing."""
    number = error.errno or 0
    result = Result.NO_SOCKET if number in OWN_FAULTS else RESULTS.get(number, Result.ERROR)
    return Outcome(result, number, os.strerror(number) if number else str(error))


def family_of(target: Address) -> socket.AddressFamily:
    if target.path:
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in target.host else socket.AF_INET


def take_way(sock: socket.socket, way: Way) -> None:
    """Sets its options, and binds the first local address of the socket's family. Raises
    OSError."""
    if way.options:
        egress.apply(sock, way.options)
    for source in way.sources:
        if (":" in source) == (sock.family == socket.AF_INET6):
            sock.bind((source, 0))
            return


async def connect(target: Address, way: Way) -> socket.socket:
    """A connected socket that will reset when closed. Raises OSError."""
    family = family_of(target)
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            take_way(sock, way)
        where = target.path or (target.host, target.port)
        await asyncio.get_running_loop().sock_connect(sock, where)
        if target.path:
            sock.getpeername()  # why: asyncio takes a unix socket's EAGAIN for a success
    except BaseException:
        sock.close()
        raise
    return sock


class Wire(Protocol):
    """A connected stream."""

    async def send(self, data: bytes) -> None:
        """Raises OSError, ProbeError."""

    async def receive(self) -> bytes:
        """At most READ_BYTES; b"" at the end. Raises OSError, ProbeError."""

    def close(self) -> None: ...


class Plain:
    """A stream as it is."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._sock, READ_BYTES)

    def close(self) -> None:
        self._sock.close()


class Tls:
    """The same under TLS."""

    def __init__(self, below: Plain, context: ssl.SSLContext, name: str | None) -> None:
        self._below = below
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)

    @property
    def certificate(self) -> bytes | None:
        """The target's, in DER."""
        return self._tls.getpeercert(binary_form=True)

    @property
    def version(self) -> str:
        return self._tls.version() or "?"

    async def handshake(self) -> None:
        try:
            await self._until_done(self._tls.do_handshake)
        except ssl.SSLCertVerificationError as error:
            raise ProbeError(Result.TLS, f"certificate: {error.verify_message}") from error

    async def send(self, data: bytes) -> None:
        await self._until_done(lambda: self._tls.write(data))

    async def receive(self) -> bytes:
        return await self._until_done(lambda: self._tls.read(READ_BYTES))

    def close(self) -> None:
        self._below.close()

    async def _until_done(self, step: Callable[[], T]) -> T:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._below.receive()
                if not data:
                    raise ProbeError(Result.CLOSED, "closed during TLS") from None
                self._in.write(data)
            except ssl.SSLCertVerificationError:
                raise
            except ssl.SSLError as error:
                raise ProbeError(Result.TLS, f"TLS: {error.reason or error}") from error
            else:
                await self._flush()
                return done

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
    """verify: its chain must lead to ca (a file; None: the system's). by_name: and be for the name
    that is asked for. pair: certificate and key to show, if any. The last one is the files' times:
    at others they are read anew. Raises OSError."""
    context = ssl.create_default_context(cafile=ca)
    cert, key = pair
    if cert:
        context.load_cert_chain(cert, key, password=b"")  # nobody is there to be asked for one
    context.check_hostname = verify and by_name
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    return context


async def open_plain(target: Target, settings: Settings) -> Plain:
    """Connected, and the PROXY header sent."""
    wire = Plain(await connect(target.address, settings.way))
    header = PROXY_LOCAL[settings.send_proxy]
    if header:
        try:
            await wire.send(header)
        except BaseException:
            wire.close()
            raise
    return wire


async def open_tls(target: Target, settings: Settings) -> Tls:
    """The same with the TLS handshake done."""
    name = settings.sni or (settings.host or "").partition(":")[0] or None
    pair = (settings.cert, settings.key)
    files = [path for path in (settings.ca, *pair) if path]
    try:
        changed_ns = tuple(os.stat(path).st_mtime_ns for path in files)
        context = tls_context(settings.verify, settings.ca, bool(name), pair, changed_ns)
    except OSError as error:
        said = f"cannot read {' or '.join(files)}: {error}"
        raise ProbeError(Result.NO_SOCKET, said) from error
    below = await open_plain(target, settings)
    try:
        wire = Tls(below, context, name)
        await wire.handshake()
    except BaseException:
        below.close()
        raise
    return wire
