"""Reading a configuration beside the service: in a child, so that a slow disk, a slow name server
or a broken parser costs nobody anything.

The child sends plain data (config/plain.py) or the problems; the supervisor makes a Config of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import setproctitle

from l4lb.config.model import Config
from l4lb.config.plain import to_plain
from l4lb.errors import AdminError, ConfigError, L4lbError
from l4lb.supervisor.child import fork
from l4lb.supervisor.reactor import Reactor, monotonic_ms

LOAD_TIMEOUT_MS = 30_000
RESULT_MAX = 64 << 20  # bytes of plain data; a file has at most 8 MiB
READ_BYTES = 1 << 20

Read = Callable[[], Config]
OnConfig = Callable[[Config, list[str]], None]
OnFault = Callable[[AdminError], None]


def _outcome(read: Read) -> dict[str, Any]:
    try:
        config = read()
        return {"plain": to_plain(config), "warnings": list(map(str, config.warnings))}
    except ConfigError as error:
        fault = AdminError("bad_configuration", error.message)
    except L4lbError as error:
        fault = AdminError("bad_argument", error.message)
    return {"code": fault.code, "message": fault.message}


def _write(read: Read, fd: int) -> int:
    setproctitle.setproctitle("l4lb: loader")
    with os.fdopen(fd, "wb") as pipe:
        pipe.write(json.dumps(_outcome(read)).encode())
    return 0


class Loader:
    """Reads one configuration; exactly one of on_config (with its warnings) and on_fault is called,
    later."""

    def __init__(
        self, reactor: Reactor, read: Read, on_config: OnConfig, on_fault: OnFault
    ) -> None:
        self._reactor = reactor
        self._on_config = on_config
        self._on_fault = on_fault
        self._data = bytearray()
        self._ended = True
        self._fd, theirs = os.pipe()
        os.set_blocking(self._fd, False)
        try:
            self._child = fork(
                "loader", lambda: _write(read, theirs), keep=[theirs], now_ms=monotonic_ms()
            )
        except OSError as error:
            os.close(self._fd)
            fault = _failed(f"no process: {error.strerror}")
            reactor.after(0, lambda: on_fault(fault))
            return
        finally:
            os.close(theirs)
        self._ended = False
        reactor.watch(self._fd, self._receive)
        reactor.watch(self._child.pidfd, self._reap)
        reactor.after(LOAD_TIMEOUT_MS, self.stop)

    def _receive(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        self._data += data
        if not data or len(self._data) > RESULT_MAX:
            self._reactor.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1

    def stop(self) -> None:
        """Gives up reading; on_fault is called."""
        if not self._ended:
            self._child.kill()

    def _reap(self) -> None:
        while self._fd >= 0 and not self._ended:
            self._receive()  # what it wrote before it ended; then the end of file
        self._ended = True
        self._reactor.unwatch(self._child.pidfd)
        how = self._child.reap()
        try:
            outcome = json.loads(bytes(self._data))
        except ValueError:
            self._on_fault(_failed(f"the process that read it was {how}"))
            return
        if "plain" not in outcome:
            self._on_fault(AdminError(outcome["code"], outcome["message"]))
            return
        self._deliver(outcome)

    def _deliver(self, outcome: Mapping[str, Any]) -> None:
        try:
            config = Config.model_validate(outcome["plain"])
        except ValueError as error:
            self._on_fault(_failed(str(error)))
            return
        self._on_config(config, outcome["warnings"])


def _failed(reason: str) -> AdminError:
    return AdminError("internal", f"the configuration could not be read: {reason}")
