"""The entry of the policy process: it answers what workers ask for clients of forward proxies.

It has no part in the bytes of anybody: a death leaves tunnels as they are, and answers that were
given hold until their time. Other rules come with another process (supervisor/policing.py), whose
first act is that no answer holds any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import mmap
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import setproctitle

import l4lb.log
from l4lb import frames
from l4lb.clock import monotonic_ms
from l4lb.config.model import Config, Forward
from l4lb.config.tables.forward import pool_name
from l4lb.config.values.common import FORWARD_POOL
from l4lb.config.values.forward import spans_of
from l4lb.discovery.resolver import system_servers
from l4lb.errors import AdminError
from l4lb.frames import Inbox
from l4lb.native import gate
from l4lb.native.questions import Question, Subject
from l4lb.native.table import Table
from l4lb.policy.compiled import rules_of
from l4lb.policy.counts import VERDICTS, Counts
from l4lb.policy.explaining import is_refused
from l4lb.policy.files import Books, Watched, list_of, users_of
from l4lb.policy.judge import Judge, Terms, Verdict
from l4lb.policy.local import Local
from l4lb.policy.names import Names, Settings
from l4lb.policy.operators import Operators, Proxy, shown

THREADS = 2  # for passwords; a flood of log-ins takes no more
LOOK_S = 1.0  # between two looks at files, and for questions whose ring was lost
SILENCE_S = 30.0  # a worker without a sign of life for so long has ended
LOG = l4lb.log.get("policy")
Place = tuple[int, int]  # of a question: a worker, and one of its rows
Send = Callable[[bytes], Awaitable[object]]


@dataclass(frozen=True)
class PolicySetup:
    """channel: to the supervisor; its end of file ends this process. gate_fd: the gate's memory.
    wake_fd: an eventfd that workers write to when they have asked. tally_fd, tops_fd: what is
    counted here, totals and tables, which go on when a process takes another one's place."""

    table: Table
    channel: socket.socket
    gate_fd: int
    wake_fd: int
    tally_fd: int
    tops_fd: int
    config: Config


def _binds(config: Config) -> tuple[tuple[str, int], ...]:
    """Returns address and port of each listener."""
    binds = (bind for one in config.listeners.values() for bind in one.bind)
    return tuple((bind.host, port) for bind in binds for port in bind.ports)


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
        self.counts = Counts(self._area, setup.tally_fd, setup.tops_fd, self._forwards, self._lists)
        self._operators = Operators(
            self._forwards, self._proxies, self._lists, self.counts, self._files, self.renew
        )
        self._sending = asyncio.Lock()
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
        """Counts what workers have used, and writes what metrics and the dashboard show."""
        self.counts.take()
        asked, answered = gate.counts(self._area)
        self.counts.write({
            "lists": {name: shown(one) for name, one in self._lists.items()},
            "pid": os.getpid(),
            "at_ms": monotonic_ms(),
            "asked": asked,
            "answered": answered,
            "waiting": len(self._asked),
        })  # fmt: skip

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

    def told(self, message: Mapping[str, Any], send: Send) -> None:
        """Takes a message of the supervisor: a question of an operator. send: sends one frame."""
        if message.get("op") == "retire":
            self.retired = True
            return
        task = asyncio.create_task(self._reply(message, send))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, message: Mapping[str, Any], send: Send) -> None:
        answer: dict[str, Any] = {"number": message.get("number")}
        try:
            answer["result"] = await self._operators.answer(message["op"], message["args"])
        except AdminError as error:
            answer["error"] = [error.code, error.message]
        except Exception:
            LOG.exception("an operator's question could not be answered")
            answer["error"] = ["internal", "a fault of l4lb: see the log"]
        async with self._sending:  # parts of two answers must not mix
            with contextlib.suppress(OSError):  # the asker is told that nobody answers
                for frame in frames.packed(answer):
                    await send(frame)

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
        pool = self._pool(question.forward)
        try:
            proxy = self._proxies.get(pool)
            verdict = (
                Verdict("deny", 1.0, "unknown")
                if proxy is None
                else await proxy.judge.judge(question)
            )
        except Exception:
            LOG.exception("a question could not be judged")
            verdict = Verdict("deny", 1.0, "fault")
        self.counts.results[verdict.kind] += 1
        before = gate.put(
            self._area,
            question.key,
            self._subject(pool, question, verdict),
            kind=verdict.kind,
            until_ms=monotonic_ms() + int(verdict.ttl_s * 1000),
            rule=verdict.rule,
            user=verdict.user,
            addresses=verdict.addresses,
        )
        self.counts.add(before)

    def _subject(self, pool: str, question: Question, verdict: Verdict) -> Subject:
        """Returns what the uses of an answer are counted for. An address that is inside is refused
        by the worker that would connect to it."""
        name, word = pool.removeprefix(FORWARD_POOL), verdict.kind
        forward = self._forwards.get(name)
        if verdict.addresses and forward is not None:
            inside = all(is_refused(one, forward) for one in verdict.addresses)
            word = "private" if inside else word
        host = question.host.decode("ascii", "replace")
        return Subject(name, VERDICTS.index(word), host, verdict.list)

    def _pool(self, number: int) -> str:
        """Returns the pool of a forward proxy; its number is that of the pool's row, from 1."""
        if number not in self._pools:
            self._pools = {row.index + 1: row.name for row in self._table.pools()}
        return self._pools.get(number, "")

    async def outlast_workers(self) -> None:
        """Returns when no worker asks any more, after an upgrade. Connections with TLS stay with
        the old workers, and their clients' requests with this process."""
        parent = os.getppid()  # the same process, with another program; its end ends all workers
        while os.getppid() == parent and any(
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
            policy.told(message, functools.partial(loop.sock_sendall, setup.channel))
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
    policy.tell()
    policy.counts.save()


def run(setup: PolicySetup) -> int:
    """Answers until the supervisor is gone. Returns the exit status."""
    setproctitle.setproctitle("l4lb: policy")
    gc.freeze()
    asyncio.run(_serve(setup))
    return 0
