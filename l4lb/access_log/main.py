"""The entry of the log writer process: its setup by the supervisor, its channel, its end.

    rings of the shared table --read--> lines --write--> sink, then entries leave the rings

Entries leave the rings after the sink has taken their lines. A writer that is killed therefore
loses none; the next one may write a few again. A sink that takes nothing (a reader that does not
read, a full disk, no syslog) is tried again and again. Meanwhile the rings fill, and workers drop
and count new entries. This process does nothing else, so it may wait for its sink: traffic never
waits for it.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import setproctitle

import l4lb.log
from l4lb.access_log.ready import readable
from l4lb.access_log.settings import Settings
from l4lb.access_log.sinks import Sink, sink_for
from l4lb.frames import Inbox
from l4lb.native import session_stats
from l4lb.native.table import Table

LINES_A_TURN = 4_096
BUSY_WAIT_S = 0.02  # before the next look while sessions end
IDLE_WAIT_S = 0.2  # ... and while none end; a ring holds far more than end in this time
FAILED_WAIT_S = 0.25
SCAN_EVERY_MS = 1_000  # how often live sessions are looked through, if they have lines
FAREWELL_S = 1.5  # for the rest in the rings when the service ends
TELL_EVERY_S = 60.0  # how often a failing sink is reported
LOG = l4lb.log.get("logger")


@dataclass(frozen=True)
class LoggerSetup:
    """channel: to the supervisor; its end of file means that there will be no more sessions."""

    table: Table
    channel: socket.socket
    settings: Settings


class Writer:
    """Moves lines from the table to a sink. clock gives seconds."""

    def __init__(
        self,
        reader: session_stats.LogReader,
        sink: Sink,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._sink = sink
        self._settings = settings
        self._clock = clock
        self._waiting: Sequence[bytes] = ()
        self._of_rings = 0  # number of the waiting lines that are from rings
        self._scanned_ms = int(clock() * 1000)
        self._told_at: float | None = None
        self._failing = False

    def turn(self) -> float:
        """Writes the present lines. Returns after how many seconds to call it again."""
        if not self._waiting:
            ended = self._reader.read(LINES_A_TURN)
            self._of_rings = len(ended)
            self._waiting = [*ended, *self._still_open()]
        if not self._waiting:
            return IDLE_WAIT_S
        try:
            taken = self._sink.write(self._waiting)
        except OSError as error:
            self._fail(error)
            return FAILED_WAIT_S
        if taken and self._failing:
            self._failing = False
            LOG.info("the access log is written again", target=self._settings.target)
        self._waiting = self._waiting[taken:]
        if self._waiting:
            return 0.0 if taken else BUSY_WAIT_S
        self._reader.commit(self._of_rings)
        return 0.0 if self._of_rings >= LINES_A_TURN // 2 else BUSY_WAIT_S

    def _still_open(self) -> list[bytes]:
        every_ms, now_ms = self._settings.open_every_ms, int(self._clock() * 1000)
        if not every_ms or now_ms - self._scanned_ms < SCAN_EVERY_MS:
            return []
        since_ms, self._scanned_ms = self._scanned_ms, now_ms
        return self._reader.still_open(since_ms, now_ms, every_ms, LINES_A_TURN)

    def _fail(self, error: OSError) -> None:
        self._reader.failed()
        self._failing = True
        now = self._clock()
        if self._told_at is None or now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            LOG.error(
                "the access log cannot be written; sessions go on, lines that do not fit the ring"
                " are counted as dropped",
                target=self._settings.target,
                error=os.strerror(error.errno) if error.errno else str(error),
            )

    def farewell(self) -> None:
        """Writes everything that is left, as far as the sink takes it within FAREWELL_S."""
        end = self._clock() + FAREWELL_S
        while self._clock() < end:
            wait_s = self.turn()
            if not self._waiting and wait_s >= BUSY_WAIT_S:
                break
            if wait_s:
                time.sleep(wait_s)
        lost = len(self._waiting) + sum(len(lines) for lines in iter(self._rest_of_rings, []))
        if lost:
            LOG.error("lines of the access log are lost", target=self._settings.target, lines=lost)
        self._sink.close()

    def _rest_of_rings(self) -> list[bytes]:
        return self._reader.read(LINES_A_TURN)

    def reopen(self) -> None:
        """Opens the sink again: another file may have the name now."""
        self._sink.reopen()

    def configure(self, settings: Settings) -> None:
        """Sets other settings; waiting lines keep their form."""
        if settings == self._settings:
            return
        self._sink.close()
        self._sink = sink_for(settings)
        self._reader.style = settings.style
        self._reader.set_privacy(query=settings.query, mask=settings.mask)
        self._settings = settings


def run(setup: LoggerSetup) -> int:
    """Writes until the supervisor has no more sessions. Returns the exit status."""
    setproctitle.setproctitle("l4lb: logger")
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    gc.freeze()
    settings = setup.settings
    reader = session_stats.LogReader(setup.table, style=settings.style)
    reader.set_privacy(query=settings.query, mask=settings.mask)
    writer = Writer(reader, sink_for(settings), settings)
    inbox = Inbox(setup.channel)
    while not inbox.ended:
        wait_s = writer.turn()
        if readable(setup.channel.fileno(), wait_s):
            _obey(inbox.take() or {}, writer)
    writer.farewell()
    return 0


def _obey(message: Mapping[str, Any], writer: Writer) -> None:
    if message.get("op") == "reopen":
        writer.reopen()
    elif message.get("op") == "settings":
        writer.configure(Settings.from_map(message["settings"]))
