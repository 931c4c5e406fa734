"""The control process's entry: what the supervisor hands it, and its life."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import setproctitle

from l4lb.control.channel import Channel
from l4lb.control.handlers import Handlers
from l4lb.control.serving.admin_socket import Server
from l4lb.control.sources import Sources
from l4lb.control.views import overview
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


async def _serve(setup: ControlSetup) -> None:
    channel = Channel(setup.channel)
    for event in setup.events:
        channel.note(event)
    channel.start()
    service = overview.Service(
        setup.version, setup.supervisor_pid, setup.started_ms, setup.stale_heartbeat_ms
    )
    sources = Sources(setup.table, channel)
    sources.configure(setup.discovery)
    channel.on_order = sources.configure
    handlers = Handlers(setup.table, channel, service, sources)
    serving = [asyncio.create_task(Server(setup.admin, handlers, os.getppid()).run())]
    if setup.web is not None:
        serving.append(asyncio.create_task(_serve_web(setup, setup.web, channel, handlers)))
    gone = asyncio.create_task(channel.closed.wait())
    retired = asyncio.create_task(channel.retired.wait())
    await asyncio.wait((*serving, gone, retired), return_when=asyncio.FIRST_COMPLETED)
    if retired.done():  # who comes waits for the successor; who is here is still answered
        for one in serving:
            one.cancel()
        await gone
    await sources.close()
    for one in serving:
        if one.done() and not one.cancelled():
            one.result()


async def _serve_web(
    setup: ControlSetup, web: WebSetup, channel: Channel, handlers: Handlers
) -> None:
    # why: here, so that a service without HTTP does not load the library.
    from l4lb.control.serving.dashboard import Live
    from l4lb.control.serving.http import Web
    from l4lb.metrics.collector import About, Collector

    service = overview.Service(
        setup.version, setup.supervisor_pid, setup.started_ms, setup.stale_heartbeat_ms
    )
    since_s = (time.monotonic_ns() // 1_000_000 - setup.started_ms) / 1000
    about = About(setup.version, round(time.time() - since_s, 3), setup.stale_heartbeat_ms)
    live = Live(setup.table, channel, handlers, service, can_change=bool(web.token))
    await Web(web, setup.table, Collector(setup.table, about), handlers, live).run()


def run(setup: ControlSetup) -> int:
    """Serves until the supervisor is gone. Returns the exit status."""
    setproctitle.setproctitle("l4lb: control")
    gc.freeze()
    asyncio.run(_serve(setup))
    return 0
