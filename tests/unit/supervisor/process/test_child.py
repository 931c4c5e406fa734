"""Children: what they inherit, how their end is reported, and what their faults cost."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable

import pytest

from l4lb.supervisor.process.child import CRASHED, Child, channel, fork


def run(main: Callable[[], int], keep: tuple[int, ...] = ()) -> str:
    """Forks a child. Returns how it ended."""
    child = fork("test", main, keep=keep, now_ms=7)
    wait_for_end(child)
    return child.reap()


def wait_for_end(child: Child) -> None:
    """Waits until its pidfd is readable. A child that does not end is killed and reaped."""
    poll = select.poll()
    poll.register(child.pidfd, select.POLLIN)
    if not poll.poll(20_000):
        child.kill()
        pytest.fail(f"the child does not end: {child.reap()}")


def told(main: Callable[[], bytes]) -> bytes:
    """Returns the result of main, which runs in a child, over a pipe that the child keeps."""
    reader, writer = os.pipe()

    def tell() -> int:
        os.write(writer, main())
        return 0

    try:
        assert run(tell, keep=(writer,)) == "exited"
        os.close(writer)
        return os.read(reader, 1 << 16)
    finally:
        os.close(reader)


def wait_for_a_signal() -> int:
    while True:
        signal.pause()


@pytest.mark.parametrize(
    ("status", "how"),
    [(0, "exited"), (1, "exited with status 1"), (255, "exited with status 255")],
)
def test_a_child_that_returns_ends_with_its_status(status: int, how: str) -> None:
    assert run(lambda: status) == how


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_child_that_is_killed_is_told_with_the_signals_name(number: signal.Signals) -> None:
    child = fork("test", wait_for_a_signal, keep=(), now_ms=0)
    child.kill(number)
    wait_for_end(child)
    assert child.reap() == f"killed by {number.name}"


@pytest.mark.parametrize("fault", [ZeroDivisionError, MemoryError, SystemExit, KeyboardInterrupt])
def test_a_fault_of_the_childs_function_is_a_status_and_never_the_parents(
    fault: type[BaseException],
) -> None:
    def main() -> int:
        raise fault

    assert run(main) == f"exited with status {CRASHED}"


def test_a_child_knows_its_name_and_start() -> None:
    child = fork("worker 3", lambda: 0, keep=(), now_ms=7)
    assert (child.name, child.started_ms) == ("worker 3", 7)
    wait_for_end(child)
    child.reap()
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)
    with pytest.raises(OSError):
        os.fstat(child.pidfd)


def test_a_child_has_only_the_descriptors_it_was_given() -> None:
    mine, other = socket.socketpair()

    def look() -> bytes:
        fds = {int(name) for name in os.listdir("/proc/self/fd")}
        return repr(sorted(fds)).encode()

    with mine, other:
        found = eval(told(look))
        assert {0, 1, 2} <= set(found)
        assert mine.fileno() not in found
        # Descriptors 0, 1, 2, the pipe, and that of the listing itself.
        assert len(found) == 5


def test_a_descriptor_that_is_kept_works_on_the_other_side() -> None:
    ours, theirs = channel()

    def main() -> int:
        theirs.send(b"from the child")
        return 0

    with ours, theirs:
        assert run(main, keep=(theirs.fileno(),)) == "exited"
        assert ours.recv(100) == b"from the child"


def test_the_parents_signals_do_not_end_a_child() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

    def main() -> bytes:
        for number in numbers:
            os.kill(os.getpid(), number)
        return b"alive"

    assert told(main) == b"alive"


def test_a_childs_signals_do_not_wake_the_parent() -> None:
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno())
    try:
        run(lambda: os.kill(os.getpid(), signal.SIGUSR1) or 0, keep=(writer.fileno(),))
        with pytest.raises(BlockingIOError):
            reader.recv(1)
    finally:
        signal.set_wakeup_fd(before)
        reader.close()
        writer.close()


def test_text_that_waits_to_be_written_is_written_once(capfd: pytest.CaptureFixture[str]) -> None:
    sys.stdout.write("once")
    run(lambda: 0)
    sys.stdout.flush()
    assert capfd.readouterr().out == "once"


def test_a_channel_keeps_the_bounds_of_messages_and_does_not_block() -> None:
    ours, theirs = channel()
    with ours, theirs:
        theirs.send(b"one")
        theirs.send(b"two")
        assert [ours.recv(100), ours.recv(100)] == [b"one", b"two"]
        with pytest.raises(BlockingIOError):
            ours.recv(100)


def test_the_end_of_a_child_is_the_end_of_its_channel() -> None:
    ours, theirs = channel()
    child = fork("test", wait_for_a_signal, keep=(theirs.fileno(),), now_ms=0)
    theirs.close()
    with ours:
        child.kill()
        wait_for_end(child)
        child.reap()
        assert ours.recv(100) == b""


def test_no_process_more_is_the_callers_to_handle(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "no more processes")

    monkeypatch.setattr(os, "fork", refuse)
    started = time.monotonic()
    with pytest.raises(OSError, match="no more processes"):
        fork("test", lambda: 0, keep=(), now_ms=0)
    assert time.monotonic() - started < 20
