"""The entry of the checker process: its setup by the supervisor, its channel, its end."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack
import setproctitle

from l4lb.checker.checker import Checker
from l4lb.checker.plan import Plan
from l4lb.frames import Inbox
from l4lb.native.table import Table

UNSENT_MAX = 4096  # messages kept while the supervisor does not read
SEND_AGAIN_S = 0.1


@dataclass(frozen=True)
class CheckerSetup:
    """plans: by pool; a pool without a plan has no checks. channel: to the supervisor; its end of
    file means that the supervisor is gone. pools_down: pools that were reported as down."""

    table: Table
    channel: socket.socket
    plans: Mapping[str, Plan]
    pools_down: frozenset[str] = frozenset()


class Channel:
    """The checker's end of the channel: sends messages in order; messages that do not fit now
    wait."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._unsent: deque[bytes] = deque(maxlen=UNSENT_MAX)
        self._plans: dict[str, Plan] = {}
        self._inbox = Inbox(sock)
        self.gone = asyncio.Event()

    def tell(self, message: Mapping[str, Any]) -> None:
        self._unsent.append(msgpack.packb(message))
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._unsent:
            try:
                self._sock.send(self._unsent[0])
            except BlockingIOError:
                asyncio.get_running_loop().call_later(SEND_AGAIN_S, self._flush)
                return
            except OSError:
                self._unsent.clear()
                return
            self._unsent.popleft()

    def receive(self, checker: Checker) -> None:
        """Takes one message: plans, of which more may follow; or the end."""
        message = self._inbox.take()
        if self._inbox.ended:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self.gone.set()
        if message is None:
            return
        if message.get("op") == "plans":
            self._plans |= {name: Plan.from_map(one) for name, one in message["pools"].items()}
            if "count" in message:
                plans, self._plans = self._plans, {}
                if len(plans) != message["count"]:
                    raise SystemExit("plans were lost on the way: a new process has them all")
                checker.configure(plans)


async def _serve(setup: CheckerSetup) -> None:
    channel = Channel(setup.channel)
    checker = Checker(setup.table, setup.plans, channel.tell, setup.pools_down)
    loop = asyncio.get_running_loop()
    loop.add_reader(setup.channel.fileno(), channel.receive, checker)
    checking = asyncio.create_task(checker.run())
    waiting = asyncio.create_task(channel.gone.wait())
    await asyncio.wait((checking, waiting), return_when=asyncio.FIRST_COMPLETED)
    if checking.done():
        checking.result()


def run(setup: CheckerSetup) -> int:
    """Checks until the supervisor is gone. Returns the exit status."""
    setproctitle.setproctitle("l4lb: checker")
    gc.freeze()
    asyncio.run(_serve(setup))
    return 0
