"""The settings that the supervisor gives the control process at its start."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from l4lb.native.table import Table

STALE_HEARTBEAT_MS = 3_000


@dataclass(frozen=True)
class WebSetup:
    """The HTTP server. sock: its listening socket. token: the token that a change must carry;
    empty: nothing can be changed. hosts: host names, besides IP addresses and localhost, under
    which the dashboard is served."""

    sock: socket.socket
    token: str = ""
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class ControlSetup:
    """The settings of the control process. admin: the listening admin socket, owned by the
    supervisor. channel: the channel to the supervisor; its end of file means that the supervisor
    has gone. started_ms: CLOCK_MONOTONIC. stale_heartbeat_ms: age from which the checker's
    heartbeat is shown as stale. web: None, nothing is served over HTTP. discovery: the argument of
    Sources.configure. events: events from before this process, oldest first. cache_fd: the memory
    of all caches. disks: the bytes of the disks of caches, by name. policy_fd, record_fd,
    shield_fd, packets_fd: the tallies of the policy process, of the recorder, of the shield and of
    the packet path; -1: there is none."""

    table: Table
    admin: socket.socket
    channel: socket.socket
    version: str
    supervisor_pid: int
    started_ms: int
    stale_heartbeat_ms: int = STALE_HEARTBEAT_MS
    web: WebSetup | None = None
    discovery: Mapping[str, Any] = field(
        default_factory=lambda: {"pools": {}, "own": {}, "number": 0, "since": {}}
    )
    events: Sequence[Mapping[str, Any]] = ()
    cache_fd: int = -1
    disks: Mapping[str, int] = field(default_factory=dict)
    policy_fd: int = -1
    record_fd: int = -1
    shield_fd: int = -1
    packets_fd: int = -1
