"""Destinations of lines: a stream, a file, syslog, journald; one class each.

A sink's `write` takes whole lines and returns how many it is done with. It raises OSError if it can
take none now; the caller tries again with the rest. It never waits longer than WAIT_S. The caller
decides what happens to lines that a sink does not take.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import select
import socket
from collections.abc import Sequence
from typing import Any, Protocol

from l4lb import owned
from l4lb.access_log.ready import readable, writable
from l4lb.access_log.settings import FACILITIES, Settings

WAIT_S = 0.5
INFORMATIONAL = 6
APPLICATION = "l4lb"
JOURNAL = "/run/systemd/journal/socket"
# What stands before the 24 characters of a line's time: csrc/core/logline.h. A line in the formats
# of other programs has its time in another form.
BEFORE_TIME = (b"ts=", b'{"ts":"')
TIME_CHARACTERS = 24


class Sink(Protocol):
    """Takes lines, each with its newline."""

    def write(self, lines: Sequence[bytes]) -> int:
        """Returns how many of the lines were taken. Raises OSError if none can be taken now."""
        ...

    def reopen(self) -> None:
        """Opens again: the file that has the name now, or another connection."""
        ...

    def close(self) -> None: ...


class _Unbroken:
    """Computes which lines are done after a partial write; a line that was begun is always
    finished."""

    def __init__(self) -> None:
        self.rest = b""  # of a line that was begun

    def after(self, lines: Sequence[bytes], wrote: int) -> int:
        """Returns how many lines are done or begun, when `wrote` bytes of rest and lines were
        taken."""
        if wrote < len(self.rest):
            self.rest = self.rest[wrote:]
            return 0
        wrote -= len(self.rest)
        self.rest = b""
        for taken, line in enumerate(lines):
            if wrote < len(line):
                if not wrote:
                    return taken
                self.rest = line[wrote:]
                return taken + 1
            wrote -= len(line)
        return len(lines)


class Stream:
    """An open descriptor, stdout. It is never made non-blocking, because other processes share
    it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._unbroken = _Unbroken()

    def write(self, lines: Sequence[bytes]) -> int:
        if not writable(self._fd, WAIT_S):
            return 0
        # why so few: a write of no more than PIPE_BUF bytes does not wait after poll(2).
        few = lines[: max(1, select.PIPE_BUF // 128)]
        data = (self._unbroken.rest + b"".join(few))[: select.PIPE_BUF]
        return self._unbroken.after(few, os.write(self._fd, data))

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        while self._unbroken.rest and self.write(()) == 0:
            if not writable(self._fd, WAIT_S):
                return


class File:
    """A file by its name; it is opened again when another file has the name, or none."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._unbroken = _Unbroken()

    def write(self, lines: Sequence[bytes]) -> int:
        self._follow()
        return self._unbroken.after(
            lines, os.write(self._fd, self._unbroken.rest + b"".join(lines))
        )

    def _follow(self) -> None:
        if self._fd >= 0:
            ours = os.fstat(self._fd)
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(self._path)
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    return
        self.reopen()
        self._fd = owned.open_log(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def reopen(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.write(self._fd, self._unbroken.rest)
            self._unbroken.rest = b""
            os.close(self._fd)
            self._fd = -1

    def close(self) -> None:
        self.reopen()


class Syslog:
    """RFC 5424 to a local or remote syslog server: a datagram for each line (RFC 5426), or over TCP
    each line after its length (RFC 6587, octet counting)."""

    def __init__(self, settings: Settings) -> None:
        self._target = settings.syslog
        priority = FACILITIES.index(settings.facility) * 8 + INFORMATIONAL
        self._before = f"<{priority}>1 ".encode()
        host = socket.gethostname() or "-"
        self._after = f" {host} {APPLICATION} {os.getpid()} access - ".encode()
        self._sock: socket.socket | None = None
        self._rest = b""

    def _message(self, line: bytes) -> bytes:
        return self._before + _time_of(line) + self._after + line.rstrip(b"\n")

    def write(self, lines: Sequence[bytes]) -> int:
        sock = self._connected()
        try:
            if sock.type == socket.SOCK_STREAM:
                return self._stream(sock, lines)
            for taken, line in enumerate(lines):
                try:
                    sock.send(self._message(line))
                except (BlockingIOError, TimeoutError):
                    return taken
            return len(lines)
        except OSError:
            self.reopen()
            raise

    def _stream(self, sock: socket.socket, lines: Sequence[bytes]) -> int:
        taken = 0
        while taken < len(lines) or self._rest:
            if not self._rest:
                message = self._message(lines[taken])
                self._rest = str(len(message)).encode() + b" " + message
                taken += 1
            try:
                self._rest = self._rest[sock.send(self._rest) :]
            except TimeoutError:
                break
        return taken

    def _connected(self) -> socket.socket:
        if self._sock is None:
            self._sock = connect(self._target)
        elif self._sock.type == socket.SOCK_STREAM and _ended(self._sock):
            self.reopen()
            raise ConnectionResetError("syslog closed the connection")
        return self._sock

    def reopen(self) -> None:
        self._rest = b""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def close(self) -> None:
        self.reopen()


def _ended(sock: socket.socket) -> bool:
    """True if the other side has closed a connection on which it never sends data."""
    return readable(sock.fileno(), 0) and not sock.recv(4096)


def connect(target: str) -> socket.socket:
    """Returns a socket to unix:/PATH (a datagram socket, else a stream), udp:// or
    tcp://HOST:PORT."""
    if target.startswith("unix:"):
        path = target.removeprefix("unix:")
        try:
            return _connect(socket.AF_UNIX, socket.SOCK_DGRAM, path)
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:
                raise
            return _connect(socket.AF_UNIX, socket.SOCK_STREAM, path)
    scheme, _, rest = target.partition("://")
    host, _, port = rest.rpartition(":")
    kind = socket.SOCK_STREAM if scheme == "tcp" else socket.SOCK_DGRAM
    # why blocking: no traffic waits for this process.
    family, _, _, _, to = socket.getaddrinfo(host.strip("[]"), int(port), type=kind)[0]
    return _connect(family, kind, to)


def _connect(
    family: socket.AddressFamily, kind: socket.SocketKind, to: str | tuple[Any, ...]
) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.settimeout(WAIT_S)
        sock.connect(to)
    except BaseException:
        sock.close()
        raise
    return sock


class Journald:
    """The journal's native protocol: a datagram of fields for each line
    (systemd.journal-fields(7))."""

    def __init__(self, path: str = JOURNAL) -> None:
        self._path = path
        self._sock: socket.socket | None = None

    def write(self, lines: Sequence[bytes]) -> int:
        if self._sock is None:
            self._sock = _connect(socket.AF_UNIX, socket.SOCK_DGRAM, self._path)
        head = f"PRIORITY={INFORMATIONAL}\nSYSLOG_IDENTIFIER={APPLICATION}\nL4LB_LOG=access\n"
        try:
            for taken, line in enumerate(lines):
                try:
                    self._sock.send(head.encode() + b"MESSAGE=" + line)
                except (BlockingIOError, TimeoutError):
                    return taken
        except OSError:
            self.reopen()
            raise
        return len(lines)

    def reopen(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def close(self) -> None:
        self.reopen()


def sink_for(settings: Settings) -> Sink:
    """Returns the sink of these settings."""
    if settings.target == "stdout":
        return Stream(1)
    if settings.target == "syslog":
        return Syslog(settings)
    if settings.target == "journald":
        return Journald()
    return File(settings.target)


def _time_of(line: bytes) -> bytes:
    """Returns a line's time in the form of RFC 5424; the present time if it has none in that
    form."""
    for start in BEFORE_TIME:
        if line.startswith(start):
            return line[len(start) : len(start) + TIME_CHARACTERS]
    now = datetime.datetime.now(datetime.UTC)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
