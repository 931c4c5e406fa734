"""Children under a filter of system calls, for tests: how they end, and what is told of it."""

from __future__ import annotations

import errno
import gc
import select
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from l4lb.supervisor.process import landlock, seccomp
from l4lb.supervisor.process.child import fork
from l4lb.supervisor.process.seccomp import Guard
from l4lb.supervisor.process.system_calls import KEEPER, RECORDER, Calls

why = seccomp.unavailable()
filtered = pytest.mark.skipif(bool(why), reason=why or "none")
Under = Callable[..., str]
RIGHTS = {id(KEEPER): landlock.KEPT, id(RECORDER): landlock.RECORDED}
Told = list[tuple[str, Mapping[str, Any]]]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def under(told: Told) -> Iterator[Under]:
    """Runs main in a child under a list. folders: where it may change files. Returns how it
    ended."""

    def run(what: Calls, main: Callable[[], int], folders: Sequence[int] = ()) -> str:
        made = Guard(
            what,
            lambda kind, fields: told.append((kind, fields)),
            folders,
            RIGHTS.get(id(what), landlock.STORED),
        )

        def alone() -> int:
            gc.disable()  # why: what other tests have left must not be finalised there
            return main()

        child = fork("worker 7", alone, keep=folders, now_ms=0, guard=made)
        poll = select.poll()
        poll.register(child.pidfd, select.POLLIN)
        if not poll.poll(20_000):
            child.kill()
        return child.reap()

    yield run
    assert all(kind == "call_refused" for kind, _ in told)


def refused(told: Told) -> str:
    """Returns the name of the only call that was reported."""
    ((_, fields),) = told
    assert fields["process"] == "worker 7"
    assert seccomp.REMEDY in fields["text"]
    return str(fields["call"])


def tried(work: Callable[[], object]) -> str:
    """Returns the name of the error that work raises; "" if it raises none."""
    try:
        work()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""
