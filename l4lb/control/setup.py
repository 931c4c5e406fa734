"""What the supervisor hands the control process."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from l4lb.native.table import Table

STALE_HEARTBEAT_MS = 3_000


@dataclass(frozen=True)
class WebSetup:
    """sock listens. token: what a change must bring; empty: nothing can be changed. hosts: names
    besides IP addresses and localhost under which the dashboard may be asked for."""

    sock: socket.socket
    token: str = ""
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class ControlSetup:
    """admin: the listening unix socket, the supervisor's; channel: to the supervisor, its end of
    file means that the supervisor is gone. started_ms is CLOCK_MONOTONIC; a checker that has not
    beaten for stale_heartbeat_ms is shown as stale. web: None, nothing is served over HTTP.
    discovery: what Sources.configure takes. events: those before its time, oldest first."""

    table: Table
    admin: socket.socket
    channel: socket.socket
    version: str
    supervisor_pid: int
    started_ms: int
    stale_heartbeat_ms: int = STALE_HEARTBEAT_MS
    web: WebSetup | None = None
    discovery: Mapping[str, Any] = field(default_factory=lambda: {"pools": {}, "own": {}})
    events: Sequence[Mapping[str, Any]] = ()
