"""A helper process's channel: what becomes of messages that the child does not read."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from l4lb import frames
from l4lb.supervisor.process import helper
from l4lb.supervisor.process.child import Child
from l4lb.supervisor.process.helper import Helper
from l4lb.supervisor.process.reactor import Reactor


class Timers:
    """Stands where the reactor does; `due` are the calls that wait for their time."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def watch(self, _fd: int, _call: Callable[[], None]) -> None: ...

    def unwatch(self, _fd: int) -> None: ...

    def after(self, _delay_ms: int, call: Callable[[], None]) -> None:
        self.due.append(call)


class Process:
    """A child that runs for as long as the test."""

    pid, pidfd = 1, -1


def test_messages_that_a_child_does_not_read_wait_up_to_a_limit_and_losses_are_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    kept = theirs.dup()
    monkeypatch.setattr(helper, "WAITING_MAX", 1 << 20)
    monkeypatch.setattr(helper, "channel", lambda: (ours, theirs))
    monkeypatch.setattr(helper, "fork", lambda *_, **__: cast(Child, Process()))
    monkeypatch.setattr(helper.LOG, "error", lambda text, **_: told.append(text))
    timers = Timers()
    one = Helper(
        cast(Reactor, timers), "control", lambda _: 0, keep=[],
        on_message=lambda _: None, on_start=lambda _: None,
    )  # fmt: skip
    with ours, kept:
        one.start()
        sent = 0
        while one.send(message(sent)):
            sent += 1
        assert not one.send(message(sent))
        assert told == ["a process does not read; messages to it are lost"]
        inbox = frames.Inbox(kept)
        kept.setblocking(False)
        read: list[Any] = []
        while len(read) < sent:
            while (found := inbox.take()) is not None:
                read.append(found["number"])
            for call in [*timers.due]:
                timers.due.remove(call)
                call()
        assert read == list(range(sent))
        assert one.send(message(sent))


def test_a_start_that_was_put_off_starts_no_second_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has started the process meanwhile, such as a reload."""
    forks: list[Child] = []

    def fork(*_: object, **__: object) -> Child:
        if not forks:
            forks.append(cast(Child, None))
            raise OSError("no more processes")
        forks.append(cast(Child, Process()))
        return forks[-1]

    monkeypatch.setattr(helper, "fork", fork)
    monkeypatch.setattr(helper.LOG, "error", lambda *_, **__: None)
    timers = Timers()
    one = Helper(
        cast(Reactor, timers), "recorder", lambda _: 0, keep=[],
        on_message=lambda _: None, on_start=lambda _: None,
    )  # fmt: skip
    one.start()
    assert (len(timers.due), one.alive) == (1, False)
    one.start()
    first = one.fileno()
    timers.due.pop()()
    assert (len(forks), one.fileno()) == (2, first)
    one.stop()


def message(number: int) -> Mapping[str, Any]:
    """One of some size."""
    return {"number": number, "text": "x" * 10_000}
