"""The checker process's entry: what the supervisor hands it, its channel, its life."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack
import setproctitle

from l4lb.checker.checker import Checker
from l4lb.checker.types import Settings
from l4lb.native.table import Table

MESSAGE_MAX = 64 << 10


@dataclass(frozen=True)
class CheckerSetup:
    """checks: settings by pool; a pool without is not checked. channel: to the supervisor, its end
    of file means that the supervisor is gone."""

    table: Table
    channel: socket.socket
    checks: Mapping[str, Settings]


async def _serve(setup: CheckerSetup) -> None:
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(event: Mapping[str, Any]) -> None:
        # A supervisor that does not read loses the news; the table has the state.
        with contextlib.suppress(OSError):
            setup.channel.send(msgpack.packb({"event": event}))

    checker = Checker(setup.table, setup.checks, tell)

    def receive() -> None:
        try:
            data = setup.channel.recv(MESSAGE_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            loop.remove_reader(setup.channel.fileno())
            gone.set()
            return
        message = msgpack.unpackb(data)
        if message.get("op") == "checks":
            pools = message["pools"]
            checker.configure({name: Settings.from_map(one) for name, one in pools.items()})

    loop.add_reader(setup.channel.fileno(), receive)
    checking = asyncio.create_task(checker.run())
    waiting = asyncio.create_task(gone.wait())
    await asyncio.wait((checking, waiting), return_when=asyncio.FIRST_COMPLETED)
    if checking.done():
        checking.result()


def run(setup: CheckerSetup) -> int:
    """Checks until the supervisor is gone. Returns the exit status."""
    setproctitle.setproctitle("l4lb: checker")
    gc.freeze()
    asyncio.run(_serve(setup))
    return 0
