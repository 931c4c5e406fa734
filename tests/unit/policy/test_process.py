"""The policy process with a gate of its own: what workers ask is answered, once, by the rules that
are in force."""

from __future__ import annotations

import asyncio
import base64
import mmap
import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from gate_memory import Found, Worker

from l4lb.clock import monotonic_ms
from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.native import gate
from l4lb.native.table import Table
from l4lb.policy.main import THREADS, Policy, PolicySetup
from l4lb.policy.names import Addresses
from l4lb.supervisor.access.gate import Gate
from l4lb.supervisor.table.membership import Membership

PATIENCE_S = 20.0


def config(forward: dict[str, Any], lists: dict[str, Any] | None = None) -> Config:
    listener = {"bind": ["127.0.0.1:3128"], "protocol": "http", "forward": "office"}
    data = {"listeners": {"proxy": listener}, "forward": {"office": forward}}
    return build({**data, **({"lists": lists} if lists else {})}, Origin())


class Process:
    """The policy of one service, in this process, and a worker that asks it."""

    def __init__(self, found: Config, stack: ExitStack) -> None:
        table = Table((2, 4, 4, 4, 16))
        Membership(table).start(found)
        for index in range(2):
            table.start_worker(index, pid=os.getpid(), cpu=0, now_ms=1)
        self.gate = Gate()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.area = mmap.mmap(self.gate.fd, gate.BYTES)
        stack.enter_context(ours)
        stack.enter_context(theirs)
        for fd in (*self.gate.fds, self.gate.tally_fd, self.gate.tops_fd):
            stack.callback(os.close, fd)
        self.worker = Worker(self.area)
        memory = (self.gate.fd, self.gate.wake_fd, self.gate.tally_fd, self.gate.tops_fd)
        self.setup = PolicySetup(table, theirs, *memory, found)
        self.start()

    def start(self) -> None:
        """A new process takes the place of the one before."""
        self.policy = Policy(self.setup)
        self.policy.load()

    async def answers(self, *keys: int) -> list[Found]:
        """Takes up what is asked, and returns the answers to these keys."""
        self.policy.take()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = [self.worker.find(key, monotonic_ms()) for key in keys]
                if None not in found:
                    return [one for one in found if one is not None]
                await asyncio.sleep(0.005)


def asked(
    forward: dict[str, Any],
    *questions: Callable[[Worker], int],
    lists: dict[str, Any] | None = None,
) -> list[Found]:
    """Returns the answers to questions."""

    async def ask(stack: ExitStack) -> list[Found]:
        process = Process(config(forward, lists), stack)
        return await process.answers(*(one(process.worker) for one in questions))

    with ExitStack() as stack:
        return asyncio.run(ask(stack))


def test_an_address_is_allowed_as_it_is() -> None:
    (found,) = asked({}, lambda worker: worker.ask("192.0.2.7"))
    assert (found.kind, found.addresses) == ("allow", ("192.0.2.7",))
    assert 1_000 <= found.left_ms <= 60_000


def test_ports_outside_those_of_the_proxy_are_denied() -> None:
    forward = {"ports": [80, 443], "connect_ports": [443]}
    answers = asked(
        forward,
        lambda worker: worker.ask("192.0.2.7", 80, row=0),
        lambda worker: worker.ask("192.0.2.7", 80, method="GET", path="/", row=1),
        lambda worker: worker.ask("192.0.2.7", 25, method="", socks=True, row=2),
    )
    assert [(one.kind, one.rule) for one in answers][::2] == [("deny", "ports"), ("deny", "ports")]
    assert answers[1].kind == "allow"


def test_the_first_rule_that_matches_is_named(tmp_path: Path) -> None:
    names = tmp_path / "ads"
    names.write_text("192.0.2.9\nads.example\n")
    rules = [
        {"name": "ads", "list": "ads", "action": "deny"},
        {"name": "inside", "source": "127.0.0.0/8", "action": "allow"},
    ]
    answers = asked(
        {"rules": rules},
        lambda worker: worker.ask("www.ads.example", row=0),
        lambda worker: worker.ask("192.0.2.7", row=1),
        lambda worker: worker.ask("192.0.2.7", source="10.0.0.1", row=2),
        lists={"ads": {"files": str(names)}},
    )
    assert [(one.kind, one.rule) for one in answers] == [
        ("deny", "ads"),
        ("allow", "inside"),
        ("deny", ""),
    ]


@pytest.mark.parametrize("socks", [False, True])
def test_users_prove_who_they_are(tmp_path: Path, socks: bool) -> None:
    users = tmp_path / "users"
    # openssl passwd -apr1 -salt saltsalt secret
    users.write_text("alice:$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0\n")
    right = b"alice\0secret" if socks else b"Basic YWxpY2U6c2VjcmV0"
    wrong = b"alice\0other" if socks else b"Basic YWxpY2U6b3RoZXI="
    answers = asked(
        {"auth": {"htpasswd": str(users), "realm": "here"}},
        lambda worker: worker.ask("192.0.2.7", credentials=right, socks=socks, row=0),
        lambda worker: worker.ask("192.0.2.7", credentials=wrong, socks=socks, row=1),
        lambda worker: worker.ask("192.0.2.7", socks=socks, row=2),
    )
    assert [(one.kind, one.user) for one in answers] == [
        ("allow", "alice"),
        ("auth", ""),
        ("auth", ""),
    ]
    assert answers[1].rule == "here"
    assert answers[1].left_ms <= 1_000


def test_a_question_is_answered_once() -> None:
    async def ask(stack: ExitStack) -> tuple[int, int]:
        process = Process(config({}), stack)
        key = process.worker.ask("192.0.2.7")
        await process.answers(key)
        before = gate.counts(process.area)[1]
        process.policy.take()
        await asyncio.sleep(0.05)
        return before, gate.counts(process.area)[1]

    with ExitStack() as stack:
        before, after = asyncio.run(ask(stack))
    assert before == after


def test_a_list_that_changes_ends_all_answers(tmp_path: Path) -> None:
    names = tmp_path / "ads"
    names.write_text("other.example\n")
    rules = [{"name": "ads", "list": "ads", "action": "deny"}, {"name": "all", "action": "allow"}]

    async def ask(stack: ExitStack) -> list[str]:
        found = config({"rules": rules}, {"ads": {"files": str(names)}})
        process = Process(found, stack)
        key = process.worker.ask("192.0.2.7")
        (before,) = await process.answers(key)
        names.write_text("other.example\n192.0.2.7\n")
        following = asyncio.create_task(process.policy.follow_files())
        async with asyncio.timeout(PATIENCE_S):
            while True:
                one = process.worker.find(key)
                if one is not None and one.kind != before.kind:
                    break
                await asyncio.sleep(0.01)
        following.cancel()
        return [before.kind, one.kind]

    with ExitStack() as stack:
        assert asyncio.run(ask(stack)) == ["allow", "deny"]


class SlowNames:
    """Names that are found when a test says so."""

    def __init__(self) -> None:
        self.asked, self.found = asyncio.Event(), asyncio.Event()

    async def resolve(self, _: str) -> Addresses:
        self.asked.set()
        await self.found.wait()
        return Addresses(("192.0.2.7",), float("inf"))


def test_what_was_judged_by_a_list_that_has_changed_since_is_no_answer(tmp_path: Path) -> None:
    names = tmp_path / "ads"
    names.write_text("other.example\n")
    rules = [{"name": "ads", "list": "ads", "action": "deny"}, {"name": "all", "action": "allow"}]

    async def ask(stack: ExitStack) -> tuple[Found, Found | None]:
        process = Process(config({"rules": rules}, {"ads": {"files": str(names)}}), stack)
        policy, slow = process.policy, SlowNames()
        for proxy in policy._proxies.values():
            proxy.judge.names = slow  # type: ignore[assignment]
        key = process.worker.ask("ads.example")
        policy.take()
        await slow.asked.wait()  # it is allowed, and its name is looked up
        names.write_text("ads.example\n")
        assert all(one.look() for one in policy._watched())
        policy.renew()
        (denied,) = await process.answers(key)
        slow.found.set()
        await asyncio.gather(*policy._tasks, return_exceptions=True)
        return denied, process.worker.find(key)

    with ExitStack() as stack:
        denied, at_last = asyncio.run(ask(stack))
    assert denied.kind == "deny"
    assert at_last is not None
    assert at_last.kind == "deny"


class SlowUsers:
    """Users whose passwords are checked when a test says so."""

    secret = b"secret"

    def __init__(self) -> None:
        self.checked, self.begun, self.goes_on = 0, threading.Event(), threading.Event()

    def verify(self, _user: str, _password: str) -> bool:
        self.checked += 1
        self.begun.set()
        return not self.goes_on.wait(PATIENCE_S)


def test_a_password_that_nobody_waits_for_any_more_is_not_checked(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("alice:$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0\n")
    slow = SlowUsers()

    async def ask(stack: ExitStack) -> None:
        process = Process(config({"auth": {"htpasswd": str(users), "realm": "here"}}), stack)
        policy = process.policy
        for proxy in policy._proxies.values():
            proxy.judge.users = lambda: slow  # type: ignore[assignment,return-value]
        for row in range(50):
            told = base64.b64encode(b"alice:%d" % row)
            process.worker.ask("192.0.2.7", credentials=b"Basic " + told, row=row)
        policy.take()
        await asyncio.to_thread(slow.begun.wait, PATIENCE_S)
        gate.forget(process.area, 0)  # as the worker does when its clients have gone
        policy.take()
        await asyncio.gather(*policy._tasks, return_exceptions=True)
        slow.goes_on.set()
        await asyncio.to_thread(policy._threads.shutdown)

    with ExitStack() as stack:
        asyncio.run(ask(stack))
    assert 1 <= slow.checked <= THREADS
