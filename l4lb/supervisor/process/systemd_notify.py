"""Messages to the service manager (sd_notify(3)): ready, reloading, stopping, alive, and the
status.

A failure here never fails the service: a message that no manager receives is lost. Socket and
watchdog are read from the environment once. The variables are then removed, so that children do not
send messages in the service's name.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, MutableMapping

PATIENCE_S = 1.0  # time to wait for a slow manager with messages that it must not miss
NAMES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Speaks to the service manager named by the environment, if there is one."""

    def __init__(self, environ: MutableMapping[str, str], pid: int) -> None:
        found = {name: environ.pop(name, "") for name in NAMES}
        self.address = _address(found["NOTIFY_SOCKET"])
        self.watchdog_ms = _watchdog_ms(found, pid) if self.address else 0

    def environment(self) -> dict[str, str]:
        """Returns the environment variables that let the next program talk to the same manager."""
        if not self.address:
            return {}
        shown = self.address.decode()
        return {"NOTIFY_SOCKET": "@" + shown[1:] if shown[0] == "\0" else shown} | (
            {"WATCHDOG_USEC": str(self.watchdog_ms * 1_000)} if self.watchdog_ms else {}
        )

    def ready(self, status: str = "") -> None:
        """Says that the service has started, or that a reload has ended, well or not."""
        self._send("READY=1", *_status(status), patience_s=PATIENCE_S)

    def reloading(self) -> None:
        """Says that a reload begins; ready() must follow. Type=notify-reload asks for the time in
        it."""
        stamp = f"MONOTONIC_USEC={time.monotonic_ns() // 1_000}"
        self._send("RELOADING=1", stamp, patience_s=PATIENCE_S)

    def stopping(self, status: str = "") -> None:
        self._send("STOPPING=1", *_status(status), patience_s=PATIENCE_S)

    def status(self, text: str) -> None:
        """Sends one line for `systemctl status`."""
        self._send(*_status(text))

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def beat(self, every: Callable[[int, Callable[[], None]], None]) -> None:
        """Sends alive now and then by a timer, twice in each watchdog period."""
        if self.watchdog_ms:
            self.alive()
            every(max(1, self.watchdog_ms // 2), self.alive)

    def _send(self, *lines: str, patience_s: float = 0.0) -> None:
        """Sends lines as one message. patience_s: how long to wait for a manager whose queue is
        full."""
        if not self.address:
            return
        with contextlib.suppress(OSError), socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
        ) as sock:  # fmt: skip
            sock.settimeout(patience_s)
            sock.sendto("\n".join(lines).encode(), self.address)


def _status(text: str) -> list[str]:
    return [f"STATUS={' '.join(text.split())}"] if text else []


def _address(name: str) -> bytes:
    """Returns the address of a socket, given as a path or as @NAME for an abstract socket; empty if
    there is none."""
    if name.startswith("@"):
        return b"\0" + os.fsencode(name[1:])
    return os.fsencode(name) if name.startswith("/") else b""


def _watchdog_ms(found: MutableMapping[str, str], pid: int) -> int:
    usec, of_pid = found["WATCHDOG_USEC"], found["WATCHDOG_PID"]
    if not usec.isascii() or not usec.isdigit() or of_pid not in ("", str(pid)):
        return 0
    return max(1, int(usec) // 1_000)
