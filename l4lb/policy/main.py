"""The entry of the policy process: it answers what workers ask for clients of forward proxies.

It has no part in the bytes of anybody: a death leaves tunnels as they are, and answers that were
given hold until their time. Other rules come with another process (supervisor/policing.py), whose
first act is that no answer holds any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import mmap
import os
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgpack
import setproctitle

import l4lb.log
from l4lb import tally
from l4lb.clock import monotonic_ms
from l4lb.config.model import Config, Forward
from l4lb.config.tables.forward import pool_name
from l4lb.config.values.forward import spans_of
from l4lb.discovery.resolver import system_servers
from l4lb.errors import AdminError
from l4lb.frames import Inbox
from l4lb.native import gate
from l4lb.native.questions import Question
from l4lb.native.table import Table
from l4lb.policy.compiled import rules_of
from l4lb.policy.explaining import explain
from l4lb.policy.files import Books, Watched, list_of, users_of
from l4lb.policy.judge import Judge, Terms, Verdict
from l4lb.policy.local import Local
from l4lb.policy.names import Names, Settings

THREADS = 2  # for passwords; a flood of log-ins takes no more
LOOK_S = 1.0  # between two looks at files, and for questions whose ring was lost
SILENCE_S = 30.0  # a worker without a sign of life for so long has ended
LOG = l4lb.log.get("policy")
Place = tuple[int, int]  # of a question: a worker, and one of its rows


@dataclass(frozen=True)
class PolicySetup:
    """channel: to the supervisor; its end of file ends this process. gate_fd: the gate's memory.
    wake_fd: an eventfd that workers write to when they have asked. tally_fd: what is counted here,
    which goes on when a process takes another one's place."""

    table: Table
    channel: socket.socket
    gate_fd: int
    wake_fd: int
    tally_fd: int
    config: Config


@dataclass
class Proxy:
    """One forward proxy."""

    judge: Judge
    books: Books


def _binds(config: Config) -> tuple[tuple[str, int], ...]:
    """Returns address and port of each listener."""
    binds = (bind for one in config.listeners.values() for bind in one.bind)
    return tuple((bind.host, bind.port) for bind in binds if bind.port)


class Policy:
    """All forward proxies of a configuration."""

    def __init__(self, setup: PolicySetup) -> None:
        self._table = setup.table
        self._area = mmap.mmap(setup.gate_fd, gate.BYTES)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="log-in")
        self._files = ThreadPoolExecutor(1, thread_name_prefix="files")
        self._local = Local(_binds(setup.config))
        self._lists = {name: list_of(name, one) for name, one in setup.config.lists.items()}
        self._forwards = setup.config.forward
        self._proxies = {
            pool_name(name): self._proxy(name, one) for name, one in setup.config.forward.items()
        }
        self._tally = mmap.mmap(setup.tally_fd, tally.BYTES)
        self._results: dict[str, int] = tally.read(setup.tally_fd).get("results", {})
        self._pools: dict[int, str] = {}  # names of pools, by the number of the proxy
        self._asked: dict[Place, tuple[int, asyncio.Task[None]]] = {}  # with their serials
        self._tasks: set[asyncio.Task[None]] = set()
        self.retired = False  # another program has taken over, and this one's workers leave

    def _proxy(self, name: str, forward: Forward) -> Proxy:
        auth, resolve = forward.auth, forward.resolve
        users = users_of(name, auth.htpasswd, auth.groups) if auth else None
        books = Books(users, self._lists)
        servers = [(one.host, one.port) for one in resolve.servers] or system_servers()
        terms = Terms(
            name=name,
            rules=rules_of(forward.rules, forward.otherwise),
            ports=spans_of(forward.ports),
            connect_ports=spans_of(forward.connect_ports),
            realm=auth.realm if auth else None,
            remember_s=auth.remember_ms / 1000 if auth else 60.0,
            known_only=auth is not None and not forward.rules,
        )
        settings = Settings(
            servers=servers,
            timeout_s=resolve.timeout_ms / 1000,
            family=resolve.family,
            min_ttl_s=resolve.min_ttl_ms / 1000,
            max_ttl_s=resolve.max_ttl_ms / 1000,
        )
        judge = Judge(
            terms=terms,
            names=Names(settings),
            facts=books,
            users=lambda: users.value if users else None,
            own=self._local.own,
            threads=self._threads,
        )
        return Proxy(judge, books)

    # ---- files ---------------------------------------------------------------------------------

    def _watched(self) -> list[Watched[object]]:
        users = [one.books.users for one in self._proxies.values() if one.books.users]
        return [*self._lists.values(), *users]  # type: ignore[list-item]

    def load(self) -> None:
        """Reads all files, before the first answer."""
        for one in self._watched():
            one.look()
        self.renew()

    def renew(self) -> None:
        """No answer holds any more; what is asked now is answered anew."""
        gate.renew(self._area)
        for place in list(self._asked):
            self._give_up(place)

    def tell(self) -> None:
        """Writes what metrics show."""
        lists = {name: one.value.names for name, one in self._lists.items() if one.value}
        tally.write(self._tally, {"results": self._results, "lists": lists})

    async def follow_files(self) -> None:
        """Looks for changes of files, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_S)
            for one in self._watched():
                if await loop.run_in_executor(self._files, one.look):
                    LOG.info("read again", what=one.name)
                    self.renew()
            self.take()
            self.tell()

    # ---- operators -----------------------------------------------------------------------------

    def told(self, message: Mapping[str, Any], send: Callable[[bytes], object]) -> None:
        """Takes a message of the supervisor: a question of an operator."""
        if message.get("op") == "retire":
            self.retired = True
        elif message.get("op") == "check":
            task = asyncio.create_task(self._check(message, send))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _check(self, message: Mapping[str, Any], send: Callable[[bytes], object]) -> None:
        answer: dict[str, Any] = {"number": message.get("number")}
        try:
            answer["result"] = await self._explained(message["args"])
        except AdminError as error:
            answer["error"] = [error.code, error.message]
        except Exception:
            LOG.exception("an operator's question could not be answered")
            answer["error"] = ["internal", "a fault of l4lb: see the log"]
        with contextlib.suppress(OSError):  # the asker is told that nobody answers
            send(msgpack.packb(answer))

    async def _explained(self, args: Mapping[str, Any]) -> dict[str, Any]:
        names = list(self._forwards)
        name = str(args.get("forward") or (names[0] if len(names) == 1 else ""))
        if name not in self._forwards:
            known = f"one of {', '.join(names)}, with --forward"
            raise AdminError("not_found", f"which forward proxy? {known}")
        proxy = self._proxies[pool_name(name)]
        return await explain(proxy.judge, proxy.books, self._forwards[name], args)

    # ---- questions -----------------------------------------------------------------------------

    def take(self) -> None:
        """Takes up all questions that are new."""
        live = set()
        for worker in self._table.workers():
            for question in gate.questions(self._area, worker.index):
                place = (question.worker, question.row)
                live.add(place)
                if place in self._asked and self._asked[place][0] == question.serial:
                    continue
                self._give_up(place)
                task = asyncio.create_task(self._answer(question))
                self._asked[place] = question.serial, task
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        for gone in self._asked.keys() - live:
            self._give_up(gone)

    def _give_up(self, place: Place) -> None:
        """Nobody waits for this answer any more, or it would be by files that have changed. A
        check of a password that waits for its turn is not made."""
        if place in self._asked:
            self._asked.pop(place)[1].cancel()

    async def _answer(self, question: Question) -> None:
        try:
            proxy = self._proxies.get(self._pool(question.forward))
            verdict = (
                Verdict("deny", 1.0, "unknown")
                if proxy is None
                else await proxy.judge.judge(question)
            )
        except Exception:
            LOG.exception("a question could not be judged")
            verdict = Verdict("deny", 1.0, "fault")
        self._results[verdict.kind] = self._results.get(verdict.kind, 0) + 1
        gate.put(
            self._area,
            question.key,
            kind=verdict.kind,
            until_ms=monotonic_ms() + int(verdict.ttl_s * 1000),
            rule=verdict.rule,
            user=verdict.user,
            addresses=verdict.addresses,
        )

    def _pool(self, number: int) -> str:
        """Returns the pool of a forward proxy; its number is that of the pool's row, from 1."""
        if number not in self._pools:
            self._pools = {row.index + 1: row.name for row in self._table.pools()}
        return self._pools.get(number, "")

    async def outlast_workers(self) -> None:
        """Returns when no worker asks any more, after an upgrade. Connections with TLS stay with
        the old workers, and their clients' requests with this process."""
        while any(
            monotonic_ms() - row.beat_ms < SILENCE_S * 1000
            for row in self._table.workers()
            if row.state != "off"
        ):
            await asyncio.sleep(LOOK_S)


async def _serve(setup: PolicySetup) -> None:
    policy, gone, inbox = Policy(setup), asyncio.Event(), Inbox(setup.channel)
    loop = asyncio.get_running_loop()
    policy.load()

    def rung() -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(setup.wake_fd)
        policy.take()

    def told() -> None:
        message = inbox.take()
        if message is not None:
            policy.told(message, setup.channel.send)
        if inbox.ended:
            loop.remove_reader(setup.channel.fileno())
            gone.set()

    loop.add_reader(setup.wake_fd, rung)
    loop.add_reader(setup.channel.fileno(), told)
    policy.take()
    following = asyncio.create_task(policy.follow_files())

    async def until_nobody_asks() -> None:
        await gone.wait()
        if policy.retired:
            await policy.outlast_workers()

    waiting = asyncio.create_task(until_nobody_asks())
    await asyncio.wait((following, waiting), return_when=asyncio.FIRST_COMPLETED)
    if following.done():
        following.result()
    following.cancel()


def run(setup: PolicySetup) -> int:
    """Answers until the supervisor is gone. Returns the exit status."""
    setproctitle.setproctitle("l4lb: policy")
    gc.freeze()
    asyncio.run(_serve(setup))
    return 0
