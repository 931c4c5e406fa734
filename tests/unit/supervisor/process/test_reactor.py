"""The supervisor's loop: timers, descriptors, signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from l4lb.supervisor.process import reactor as module
from l4lb.supervisor.process.reactor import Reactor


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    """Yields a reactor. It restores the signal handlers, and ends by itself if the test's callbacks
    do not end it."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    wakeup = signal.set_wakeup_fd(-1)
    one = Reactor()
    one.after(20_000, one.stop)
    yield one
    signal.set_wakeup_fd(wakeup)
    for number, handler in kept.items():
        signal.signal(number, handler)
    one._selector.close()
    one._signal_reader.close()
    one._signal_writer.close()


def test_timers_run_in_the_order_of_their_time(reactor: Reactor) -> None:
    ran: list[str] = []
    reactor.after(30, lambda: ran.append("last"))
    reactor.after(30, reactor.stop)
    reactor.after(0, lambda: ran.append("first"))
    reactor.after(10, lambda: ran.append("second"))
    reactor.run()
    assert ran == ["first", "second", "last"]


def test_timers_of_the_same_time_run_in_the_order_they_were_set(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    now = module.monotonic_ms()
    with monkeypatch.context() as still:
        still.setattr(module, "monotonic_ms", lambda: now)
        for n in range(20):
            reactor.after(5, lambda n=n: ran.append(n))
        reactor.after(5, reactor.stop)
    reactor.run()
    assert ran == list(range(20))


def test_no_timer_runs_before_its_time(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    clock = [1_000]
    monkeypatch.setattr(module, "monotonic_ms", lambda: clock[0])
    reactor.after(50, lambda: ran.append(clock[0]))
    for clock[0] in (1_049, 1_050, 1_051):
        reactor._run_timers()
    assert ran == [1_050]


def test_a_timer_that_sets_another_is_followed_by_it(reactor: Reactor) -> None:
    ran: list[int] = []

    def tick() -> None:
        ran.append(len(ran))
        if len(ran) == 5:
            reactor.stop()
        else:
            reactor.after(1, tick)

    reactor.after(0, tick)
    reactor.run()
    assert ran == [0, 1, 2, 3, 4]


def test_a_watched_descriptor_is_called_for_until_it_is_unwatched(reactor: Reactor) -> None:
    reader, writer = os.pipe()
    got: list[bytes] = []

    def read() -> None:
        got.append(os.read(reader, 1))
        if len(got) == 2:
            reactor.unwatch(reader)
            reactor.after(0, reactor.stop)

    reactor.watch(reader, read)
    os.write(writer, b"abc")
    reactor.run()
    assert got == [b"a", b"b"]
    os.close(reader)
    os.close(writer)


def test_the_end_of_a_descriptor_is_called_for_as_well(reactor: Reactor) -> None:
    reader, writer = os.pipe()
    reactor.watch(reader, reactor.stop)
    os.close(writer)
    reactor.run()
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_one_that_was_unwatched_earlier_in_the_round_is_not_called(reactor: Reactor) -> None:
    pipes = [os.pipe() for _ in range(2)]
    called: list[int] = []

    def first_come(which: int) -> None:
        called.append(which)
        reactor.unwatch(pipes[1 - which][0])
        reactor.stop()

    for which, (reader, writer) in enumerate(pipes):
        reactor.watch(reader, lambda which=which: first_come(which))
        os.write(writer, b"x")
    reactor.run()
    assert len(called) == 1
    for fd in (fd for pipe in pipes for fd in pipe):
        os.close(fd)


def test_a_signal_is_handled_in_the_loop_and_not_where_it_struck(reactor: Reactor) -> None:
    handled: list[str] = []
    reactor.on_signals(
        {
            signal.SIGUSR1: lambda: handled.append("usr1"),
            signal.SIGUSR2: lambda: (handled.append("usr2"), reactor.stop()),
        }
    )
    os.kill(os.getpid(), signal.SIGUSR1)
    assert handled == []
    os.kill(os.getpid(), signal.SIGUSR2)
    reactor.run()
    assert sorted(handled) == ["usr1", "usr2"]


def test_a_signal_wakes_a_loop_that_waits(reactor: Reactor) -> None:
    reactor.on_signals({signal.SIGUSR1: reactor.stop})
    reactor.after(1, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    reactor.run()
    assert not reactor.running


def test_a_thousand_signals_are_no_fault(reactor: Reactor) -> None:
    handled: list[int] = []
    reactor.on_signals({signal.SIGUSR1: lambda: handled.append(1), signal.SIGUSR2: reactor.stop})
    for _ in range(1_000):
        os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR2)
    reactor.run()
    assert handled


def test_a_callback_that_raises_is_told_and_ends_nothing(
    reactor: Reactor, capfd: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []
    reader, writer = os.pipe()
    os.write(writer, b"x")

    def read() -> None:
        ran.append("read")
        if len(ran) == 1:
            raise ValueError("once")
        reactor.stop()

    reactor.after(0, lambda: 1 // 0)
    reactor.watch(reader, read)
    reactor.run()
    assert ran == ["read", "read"], "the descriptor is watched again"
    told = "".join(capfd.readouterr())
    assert "ZeroDivisionError" in told
    assert "ValueError: once" in told
    reactor.unwatch(reader)
    os.close(reader)
    os.close(writer)


def test_one_that_raised_can_be_unwatched_while_it_is_left_alone(reactor: Reactor) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"x")
    called: list[int] = []

    def read() -> None:
        called.append(1)
        raise ValueError

    reactor.watch(reader, read)
    reactor.after(10, lambda: reactor.unwatch(reader))
    reactor.after(module.FAULT_PAUSE_MS + 50, reactor.stop)
    reactor.run()
    assert called == [1]
    os.close(reader)
    os.close(writer)


def test_what_is_done_every_so_often_goes_on_after_a_fault(reactor: Reactor) -> None:
    ran: list[int] = []

    def tick() -> None:
        ran.append(1)
        if len(ran) == 3:
            reactor.stop()
        raise ValueError

    reactor.every(1, tick)
    reactor.run()
    assert len(ran) == 3
