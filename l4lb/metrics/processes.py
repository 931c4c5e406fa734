"""CPU, memory and descriptors of the service's own processes, as the kernel counts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

TITLE = "l4lb: "


@dataclass(frozen=True)
class Usage:
    """process: "worker", "checker", "control", ...; worker: its number, "" for other processes.

    cpu_seconds: user and system time since its start. fds is None if the kernel does not permit
    counting.
    """

    process: str
    worker: str
    pid: int
    cpu_seconds: float
    resident_bytes: int
    fds: int | None


def usages(supervisor: int | None = None) -> Iterator[Usage]:
    """Yields the usage of the supervisor and its children. supervisor: its pid; None: the calling
    process.

    A process that ends meanwhile is left out.
    """
    try:
        parent = psutil.Process(os.getppid() if supervisor is None else supervisor)
        family = [parent, *parent.children()]
    except psutil.Error:
        return
    for one in family:
        try:
            yield from _usage(one)
        except psutil.Error:
            continue


def _usage(one: psutil.Process) -> Iterator[Usage]:
    with one.oneshot():
        title = (one.cmdline() or [""])[0]
        if not title.startswith(TITLE):
            return
        process, _, worker = title.removeprefix(TITLE).strip().partition(" ")
        times = one.cpu_times()
        try:
            fds = one.num_fds()
        except psutil.AccessDenied:
            fds = None
        yield Usage(process, worker, one.pid, times.user + times.system, one.memory_info().rss, fds)
