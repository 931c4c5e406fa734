"""Jobs: the answer of the child and how it ended, whatever it does."""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Callable, Sequence

import pytest

from l4lb.supervisor.process import job
from l4lb.supervisor.process.job import Job, Outcome
from l4lb.supervisor.process.reactor import Reactor

MOST = 1 << 20
PATIENCE_MS = 60_000


def done(
    work: Callable[[int], int],
    then: Callable[[Job], None] = lambda _: None,
    timeout_ms: int = PATIENCE_MS,
    keep: Sequence[int] = (),
) -> Outcome:
    """Returns the outcome of a job. then: called with the job at once."""
    reactor, found = Reactor(), list[Outcome]()

    def end(outcome: Outcome) -> None:
        found.append(outcome)
        reactor.stop()

    it = Job(reactor, "test", work, end, keep=keep, timeout_ms=timeout_ms, max_bytes=MOST)
    assert not found, "not before it is made"
    reactor.after(0, lambda: then(it))
    reactor.after(PATIENCE_MS, reactor.stop)
    reactor.run()
    (outcome,) = found
    return outcome


def say(pipe: int, data: bytes) -> None:
    with os.fdopen(os.dup(pipe), "wb") as to:
        to.write(data)


def hang() -> int:
    while True:
        time.sleep(60)


@pytest.mark.parametrize("size", [0, 1, MOST])
def test_all_that_it_says_arrives(size: int) -> None:
    def work(pipe: int) -> int:
        say(pipe, b"x" * size)
        return 0

    outcome = done(work)
    assert (outcome.said, outcome.how) == (b"x" * size, "exited")
    assert outcome.took_ms >= 0


def test_its_status_is_told_with_what_it_said() -> None:
    def work(pipe: int) -> int:
        say(pipe, b"why")
        return 3

    outcome = done(work)
    assert (outcome.said, outcome.how) == (b"why", "exited with status 3")


def test_who_says_too_much_is_not_heard_to_the_end() -> None:
    def work(pipe: int) -> int:
        while True:
            os.write(pipe, bytes(4096))

    outcome = done(work)
    assert outcome.how.startswith("exited with status")  # nobody reads the pipe: it failed
    assert MOST < len(outcome.said) <= MOST + job.READ_BYTES


def test_who_hangs_is_killed() -> None:
    def work(pipe: int) -> int:
        say(pipe, b"before")
        return hang()

    outcome = done(work, timeout_ms=300)
    assert (outcome.said, outcome.how) == (b"before", "killed by SIGKILL")


def test_it_can_be_stopped() -> None:
    assert done(lambda _: hang(), Job.stop).how == "killed by SIGKILL"
    assert done(lambda _: hang(), Job.abandon).how == "killed by SIGKILL"
    assert done(lambda _: hang(), lambda it: os.kill(it.pid, signal.SIGKILL)).how == (
        "killed by SIGKILL"
    )


def test_what_it_has_started_itself_is_not_waited_for() -> None:
    beside, ours = os.pipe()

    def work(pipe: int) -> int:
        if os.fork() == 0:
            select.select([beside], [], [], PATIENCE_MS / 1000)
            os._exit(0)
        say(pipe, b"all")
        return 0

    outcome = done(work, keep=[beside])
    assert (outcome.said, outcome.how) == (b"all", "exited")
    os.close(ours)  # it ends now
    os.close(beside)


def test_where_there_is_no_process_it_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", none)
    outcome = done(lambda _: 0)
    assert (outcome.said, outcome.how) == (b"", f"not started: {os.strerror(errno.EAGAIN)}")
