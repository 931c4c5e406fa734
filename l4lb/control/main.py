"""The control process's entry: what the supervisor hands it, and its life."""

from __future__ import annotations

import asyncio
import gc
import socket
from dataclasses import dataclass

import setproctitle

from l4lb.control import views
from l4lb.control.channel import Channel
from l4lb.control.handlers import Handlers
from l4lb.control.server import Server
from l4lb.native.table import Table

STALE_HEARTBEAT_MS = 3_000


@dataclass(frozen=True)
class ControlSetup:
    """admin: the listening unix socket, the supervisor's; channel: to the supervisor, its end of
    file means that the supervisor is gone. started_ms is CLOCK_MONOTONIC; a checker that has not
    beaten for stale_heartbeat_ms is shown as stale."""

    table: Table
    admin: socket.socket
    channel: socket.socket
    version: str
    supervisor_pid: int
    started_ms: int
    stale_heartbeat_ms: int = STALE_HEARTBEAT_MS


async def _serve(setup: ControlSetup) -> None:
    channel = Channel(setup.channel)
    channel.start()
    service = views.Service(
        setup.version, setup.supervisor_pid, setup.started_ms, setup.stale_heartbeat_ms
    )
    server = Server(setup.admin, Handlers(setup.table, channel, service))
    serving = asyncio.create_task(server.run())
    gone = asyncio.create_task(channel.closed.wait())
    await asyncio.wait((serving, gone), return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()


def run(setup: ControlSetup) -> int:
    """Serves until the supervisor is gone. Returns the exit status."""
    setproctitle.setproctitle("l4lb: control")
    gc.freeze()
    asyncio.run(_serve(setup))
    return 0
