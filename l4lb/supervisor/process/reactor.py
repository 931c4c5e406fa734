"""The supervisor's event loop: descriptors, signals and timers, on the standard library's
selectors.

The loop has no threads and uses no event loop library, because the supervisor forks. Signal
handlers only enqueue: the C-level handler writes the signal's number to a socket that this loop
reads.

An exception of a callback is logged, and the loop goes on. A descriptor whose callback raised is
not watched for FAULT_PAUSE_MS: it may still be readable, and the callback would raise at once
again.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import signal
import socket
from collections.abc import Callable, Iterable, Mapping

from l4lb.clock import monotonic_ms
from l4lb.supervisor.process.faults import contained, fault

FAULT_PAUSE_MS = 100


class Reactor:
    """Calls back when a descriptor is readable, a signal has come, or a time has come."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._signal_reader, self._signal_writer = socket.socketpair()
        for end in (self._signal_reader, self._signal_writer):
            end.setblocking(False)
        self._on_signal: dict[int, Callable[[], None]] = {}
        self._paused: dict[int, Callable[[], None]] = {}
        self.watch(self._signal_reader.fileno(), self._take_signals)
        self.running = False

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Calls callback whenever fd is readable (or at its end), until unwatch."""
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def unwatch(self, fd: int) -> None:
        if self._paused.pop(fd, None) is None:
            self._selector.unregister(fd)

    def after(self, delay_ms: int, callback: Callable[[], None]) -> None:
        """Calls callback once, delay_ms from now or a little later."""
        due = monotonic_ms() + delay_ms
        heapq.heappush(self._timers, (due, next(self._order), callback))

    def every(self, period_ms: int, callback: Callable[[], None]) -> None:
        """Calls callback each period_ms, first in period_ms, also after it has raised."""

        def again() -> None:
            self.after(period_ms, again)
            callback()

        self.after(period_ms, again)

    def on_signals(self, handlers: Mapping[int, Callable[[], None]]) -> None:
        """Handles these signals from now on."""
        self._on_signal.update(handlers)
        signal.set_wakeup_fd(self._signal_writer.fileno(), warn_on_full_buffer=False)
        for number in handlers:
            signal.signal(number, lambda *_: None)
        # A program that takes over from another starts with these signals blocked, so that none is
        # lost.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers)

    def _take_signals(self) -> None:
        try:
            numbers: Iterable[int] = self._signal_reader.recv(256)
        except BlockingIOError:
            return
        for number in numbers:
            if number in self._on_signal:
                with contained(f"on {signal.Signals(number).name}"):
                    self._on_signal[number]()

    def _wait_s(self) -> float | None:
        if not self._timers:
            return None
        return max(0, self._timers[0][0] - monotonic_ms()) / 1000

    def _run_timers(self) -> None:
        now = monotonic_ms()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2]
            with contained(_name(callback)):
                callback()

    def run(self) -> None:
        """Serves callbacks until stop."""
        self.running = True
        while self.running:
            ready = self._selector.select(self._wait_s())
            for key, _ in ready:
                # An earlier callback of this round may have unwatched this descriptor.
                if key.fd in self._selector.get_map():
                    self._call(key.fd, key.data)
            self._run_timers()

    def _call(self, fd: int, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            fault(_name(callback))
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
                self._paused[fd] = callback
                self.after(FAULT_PAUSE_MS, lambda: self._resume(fd, callback))

    def _resume(self, fd: int, callback: Callable[[], None]) -> None:
        if self._paused.get(fd) is callback:
            del self._paused[fd]
            self.watch(fd, callback)

    def stop(self) -> None:
        self.running = False


def _name(callback: Callable[[], None]) -> str:
    """Returns the callback's name for the log."""
    return getattr(callback, "__qualname__", repr(callback))
