"""The entry of the recorder process, which keeps chosen requests and answers in folders.

    rings of the workers --> pieces --> recordings in memory --> masked --> files

No client waits for it. What it cannot keep is counted, and told once. Nothing is on a disk before
its secrets are masked.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import setproctitle

import l4lb.log
from l4lb import tally
from l4lb.config.model import Config
from l4lb.config.tables.record import Record
from l4lb.config.values.http import error_statuses
from l4lb.frames import Inbox
from l4lb.native import record as native
from l4lb.native.session_stats import LogReader
from l4lb.native.table import Table
from l4lb.record.assembly import Assembly, Recording
from l4lb.record.folder import Folder
from l4lb.record.masks import Masks
from l4lb.record.rings import Rings

BUSY_S = 0.01  # before the next look while requests end
IDLE_S = 0.1  # ... and while none do; workers wake this process when much waits
TELL_EVERY_S = 1.0  # how often the counts are written while nothing comes
LOG_EVERY_S = 60.0  # how often a folder that fails, or a full ring, is reported
FAREWELL_S = 1.5  # for what is left when the service ends
RESULTS = ("kept", "cut", "skipped", "failed")
LOG = l4lb.log.get("recorder")


@dataclass(frozen=True)
class RecorderSetup:
    """channel: to the supervisor; its end of file ends this process. fd: the rings of the workers.
    wake_fd: an eventfd that workers write to. tally_fd: what is counted here. folders: the folders
    of records, open, by path."""

    table: Table
    channel: socket.socket
    fd: int
    wake_fd: int
    tally_fd: int
    folders: Mapping[str, int]
    config: Config


@dataclass
class Keeper:
    """One record. folder: None if it cannot be read. results: requests by what became of them."""

    record: Record
    folder: Folder | None
    results: dict[str, int]
    error: str | None = None
    told_at: float | None = None
    statuses: frozenset[int] = field(default_factory=frozenset)

    def keep(self, recording: Recording) -> None:
        """Writes a recording, if the status of its answer is one of those that are kept."""
        if self.statuses and recording.about.get("status") not in self.statuses:
            self.results["skipped"] += 1
            return
        try:
            if self.folder is None:
                raise OSError("it could not be read at the start")
            before = self.folder.kept
            self.folder.keep(recording, time.time_ns())
        except OSError as error:
            self._failed(error.strerror or str(error))
            return
        if self.folder.kept == before:
            self._failed("a request is larger than max_size")
            return
        self.results["cut" if recording.cut else "kept"] += 1
        if self.error is not None:
            LOG.info("requests are kept again", target=self.record.name)
        self.error = self.told_at = None

    def _failed(self, why: str) -> None:
        self.results["failed"] += 1
        self.error = why
        now = time.monotonic()
        if self.told_at is None or now - self.told_at >= LOG_EVERY_S:
            self.told_at = now
            LOG.error(
                "requests cannot be kept; they go on, and are counted",
                target=self.record.name,
                folder=self.record.folder,
                error=why,
            )

    def told(self) -> dict[str, Any]:
        used = 0 if self.folder is None else self.folder.used
        return {"results": self.results, "bytes": used, "error": self.error}


class Recorder:
    """All records of a configuration."""

    def __init__(self, setup: RecorderSetup) -> None:
        log = setup.config.process.log
        lines = LogReader(setup.table, style="json")
        lines.set_privacy(query=log.query, mask=log.mask_client)
        self._table = setup.table
        self._area = mmap.mmap(setup.fd, native.BYTES)
        self._rings = Rings(
            native.Reader(self._area), lines.line_of, setup.table.capacities.sessions
        )
        self._assembly = Assembly()
        self._tally = mmap.mmap(setup.tally_fd, tally.BYTES)
        before = tally.read(setup.tally_fd)
        self._keepers = {
            name: _keeper(one, setup.folders, before.get("records", {}).get(name, {}))
            for name, one in setup.config.record.items()
        }
        self._dropped_before: int = before.get("dropped", 0) - before.get("in_rings", 0)
        self._told_at = self._warned_at = 0.0
        self._warned = self._dropped()

    def _dropped(self) -> int:
        """Returns how many requests were chosen and cannot be kept, because something of them found
        no room or came to a process before this one."""
        here = self._assembly.refused + self._assembly.lost
        return self._dropped_before + native.refused(self._area) + here

    def turn(self) -> bool:
        """Takes what is there. Returns whether there was something."""
        pieces = self._rings.take(self._table.workers())
        for piece in pieces:
            for recording in self._assembly.take(piece):
                self._keep(recording)
        now = time.monotonic()
        if pieces or now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            self.tell()
            self._warn(now)
        return bool(pieces)

    def _keep(self, recording: Recording) -> None:
        keeper = self._keepers.get(recording.record)
        if keeper is not None:  # else the record was removed
            keeper.keep(recording)

    def farewell(self, *, another: bool) -> None:
        """Keeps what is left. another: another recorder takes over, and counts what is in progress
        as dropped; else no worker runs any more."""
        end = time.monotonic() + FAREWELL_S
        while time.monotonic() < end and self.turn():
            pass
        for piece in () if another else self._rings.end():
            for recording in self._assembly.take(piece):
                self._keep(recording)
        self.tell()

    def tell(self) -> None:
        """Writes what metrics and operators are shown."""
        tally.write(self._tally, {
            "records": {name: one.told() for name, one in self._keepers.items()},
            "dropped": self._dropped(),
            "in_rings": native.refused(self._area),
        })  # fmt: skip

    def _warn(self, now: float) -> None:
        dropped = self._dropped()
        if dropped > self._warned and now - self._warned_at >= LOG_EVERY_S:
            LOG.warning(
                "requests were chosen and are not kept: more come than can be written, or another"
                " recorder took over meanwhile",
                requests=dropped - self._warned,
                remedy="choose fewer by conditions or `percent`, or a smaller max_body",
            )
            self._warned, self._warned_at = dropped, now


def _keeper(record: Record, folders: Mapping[str, int], before: Mapping[str, Any]) -> Keeper:
    counted = before.get("results", {})
    keeper = Keeper(
        record,
        None,
        {key: counted.get(key, 0) for key in RESULTS},
        statuses=error_statuses(record.statuses or ()),
    )
    try:
        fields = frozenset(name.encode() for name in record.mask_fields)
        masks = Masks(fields, frozenset(record.mask_values))
        keeper.folder = Folder(folders[record.folder], record.max_size, masks)
    except OSError as error:
        keeper.error = error.strerror or str(error)
        LOG.error("the folder of a record cannot be read", target=record.name, error=keeper.error)
    return keeper


def run(setup: RecorderSetup) -> int:
    """Records until the supervisor has gone, or wants another process. Returns the exit status."""
    setproctitle.setproctitle("l4lb: recorder")
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.dont_write_bytecode = True
    gc.freeze()
    recorder, inbox = Recorder(setup), Inbox(setup.channel)
    poll = select.poll()
    poll.register(setup.channel.fileno(), select.POLLIN)
    poll.register(setup.wake_fd, select.POLLIN)
    another = False  # takes over
    while not inbox.ended:
        busy = recorder.turn()
        for fd, _ in poll.poll((BUSY_S if busy else IDLE_S) * 1_000):
            if fd == setup.wake_fd:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(fd)
            else:
                another = (inbox.take() or {}).get("op") == "leave" or another
    recorder.farewell(another=another)
    return 0
