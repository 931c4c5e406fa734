"""A worker's mailbox: messages of the supervisor that can carry a descriptor. csrc/run/mailbox.h
says what each message means.

Messages for a worker that reads slowly wait here, in order, until there is room.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque

from l4lb.supervisor.process.child import channel
from l4lb.supervisor.process.reactor import Reactor

LISTEN, UNLISTEN, RELABEL, LEAVE, GIVE, TAKE, GIVE_FLOWS = 1, 2, 3, 4, 5, 6, 7
ALL = 0xFFFFFFFF
FOR_GOOD = 1  # argument of LEAVE: the sessions go to another program
MESSAGE = struct.Struct("=6I")
RETRY_MS = 20


def message(op: int, *, row: int = 0, arg: int = 0, number: int = 0, tag: int = 0) -> bytes:
    """Returns one message in the form that workers read."""
    return MESSAGE.pack(MESSAGE.size, op, row, arg, number, tag)


class Mailbox:
    """The supervisor's end of one worker's mailbox. theirs: the worker's end, until the worker is
    forked."""

    def __init__(self, reactor: Reactor, ours: socket.socket | None = None) -> None:
        self._reactor = reactor
        self.theirs: socket.socket | None = None
        if ours is None:
            ours, self.theirs = channel()
        self._ours = ours
        self._waiting: deque[tuple[bytes, int]] = deque()

    def fileno(self) -> int:
        return self._ours.fileno()

    @property
    def closed(self) -> bool:
        """Returns whether the mailbox is closed, so that nothing can be sent."""
        return self._ours.fileno() < 0

    def forked(self) -> None:
        """Closes the worker's end here: the worker has it now."""
        if self.theirs is not None:
            self.theirs.close()
            self.theirs = None

    def send(
        self, op: int, *, row: int = 0, arg: int = 0, number: int = 0, tag: int = 0, fd: int = -1
    ) -> None:
        """Sends one message; fd, if given, still belongs to the caller. A message to a worker that
        has gone is lost."""
        packed = message(op, row=row, arg=arg, number=number, tag=tag)
        self._waiting.append((packed, os.dup(fd) if fd >= 0 else -1))
        if len(self._waiting) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._waiting:
            packed, fd = self._waiting[0]
            try:
                socket.send_fds(self._ours, [packed], [fd] if fd >= 0 else [])
            except BlockingIOError:
                self._reactor.after(RETRY_MS, self._flush)
                return
            except OSError:
                self.close()
                return
            self._waiting.popleft()
            if fd >= 0:
                os.close(fd)

    def close(self) -> None:
        self.forked()
        self._ours.close()
        for _, fd in self._waiting:
            if fd >= 0:
                os.close(fd)
        self._waiting.clear()
