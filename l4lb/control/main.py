"""Entry and life of the control process."""

from __future__ import annotations

import asyncio
import gc
import os
import time

import setproctitle

from l4lb.clock import monotonic_ms
from l4lb.control.channel import Channel
from l4lb.control.handlers import Handlers
from l4lb.control.serving.admin_socket import Server
from l4lb.control.setup import ControlSetup, WebSetup
from l4lb.control.sources import Sources
from l4lb.control.views import overview


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
    handlers = Handlers(setup.table, channel, service, sources, setup.cache_fd, setup.disks)
    serving = [asyncio.create_task(Server(setup.admin, handlers, os.getppid()).run())]
    if setup.web is not None:
        serving.append(
            asyncio.create_task(_serve_web(setup, setup.web, service, channel, handlers))
        )
    gone = asyncio.create_task(channel.closed.wait())
    retired = asyncio.create_task(channel.retired.wait())
    await asyncio.wait((*serving, gone, retired), return_when=asyncio.FIRST_COMPLETED)
    if retired.done():  # new clients wait for the successor; connected ones are still answered
        for one in serving:
            one.cancel()
        await gone
    await sources.close()
    for one in serving:
        if one.done() and not one.cancelled():
            one.result()


async def _serve_web(
    setup: ControlSetup,
    web: WebSetup,
    service: overview.Service,
    channel: Channel,
    handlers: Handlers,
) -> None:
    # why: imported here, so that a service without HTTP does not load the library.
    from l4lb.control.serving.dashboard import Live
    from l4lb.control.serving.http import Web
    from l4lb.metrics.collector import About, Collector

    since_s = (monotonic_ms() - setup.started_ms) / 1000
    about = About(setup.version, round(time.time() - since_s, 3), setup.stale_heartbeat_ms)
    live = Live(
        setup.table, channel, handlers, service, can_change=bool(web.token),
        policy_fd=setup.policy_fd,
    )  # fmt: skip
    collector = Collector(
        setup.table,
        about,
        setup.cache_fd,
        setup.disks,
        setup.policy_fd,
        setup.record_fd,
        setup.shield_fd,
        setup.packets_fd,
    )
    await Web(web, setup.table, collector, handlers, live).run()


def run(setup: ControlSetup) -> int:
    """Serves until the supervisor has gone. Returns the exit status."""
    setproctitle.setproctitle("l4lb: control")
    gc.freeze()
    asyncio.run(_serve(setup))
    return 0
