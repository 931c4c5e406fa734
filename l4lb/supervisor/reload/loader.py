"""Reads a configuration in a child process, so that a slow disk, a slow name server or a fault in a
parser does not stop the service.

The child sends the configuration as carried data (config/plain.py), or the problems. The supervisor
makes a Config of the data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from l4lb.config.model import Config
from l4lb.config.plain import carried, of_carried
from l4lb.errors import AdminError, ConfigError, L4lbError
from l4lb.supervisor.process.faults import fault
from l4lb.supervisor.process.job import Job, Outcome
from l4lb.supervisor.process.reactor import Reactor

LOAD_TIMEOUT_MS = 30_000
RESULT_MAX = 64 << 20  # bytes of plain data; a file has at most 8 MiB

Read = Callable[[], Config]
OnConfig = Callable[[Config, list[str]], None]
OnFault = Callable[[AdminError], None]


def _outcome(read: Read) -> dict[str, Any]:
    try:
        config = read()
        return carried(config) | {"warnings": list(map(str, config.warnings))}
    except ConfigError as error:
        fault = AdminError("bad_configuration", error.message)
    except L4lbError as error:
        fault = AdminError("bad_argument", error.message)
    return {"code": fault.code, "message": fault.message}


def _write(read: Read, fd: int) -> int:
    with os.fdopen(fd, "wb") as pipe:
        pipe.write(json.dumps(_outcome(read)).encode())
    return 0


class Loader:
    """Reads one configuration. Later exactly one of on_config (with the warnings) and on_fault is
    called."""

    def __init__(
        self, reactor: Reactor, read: Read, on_config: OnConfig, on_fault: OnFault
    ) -> None:
        self._on_config = on_config
        self._on_fault = on_fault
        self._job = Job(
            reactor, "loader", lambda pipe: _write(read, pipe), self._end,
            timeout_ms=LOAD_TIMEOUT_MS, max_bytes=RESULT_MAX,
        )  # fmt: skip

    def stop(self) -> None:
        """Stops reading; on_fault is called."""
        self._job.stop()

    def _end(self, outcome: Outcome) -> None:
        try:
            found = json.loads(outcome.said)
        except ValueError:
            self._on_fault(_failed(f"the process that read it was {outcome.how}"))
            return
        if "plain" not in found:
            self._on_fault(AdminError(found["code"], found["message"]))
            return
        try:
            self._deliver(found)
        except Exception:
            self._on_fault(fault("reading a configuration"))

    def _deliver(self, found: Mapping[str, Any]) -> None:
        try:
            config = of_carried(found)
        except ValueError as error:
            self._on_fault(_failed(str(error)))
            return
        self._on_config(config, found["warnings"])


def _failed(reason: str) -> AdminError:
    return AdminError("internal", f"the configuration could not be read: {reason}")
