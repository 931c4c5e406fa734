"""CPU, memory and descriptors of the service's own processes, as the kernel counts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

TITLE = "l4lb: "


@dataclass(frozen=True)
class Usage:
    """process: "worker", "checker", "control", ...; worker: its number, "" for the others.

    cpu_seconds: user and system, since it was started. fds is None where its owner may not look.
    """

    process: str
    worker: str
    pid: int
    cpu_seconds: float
    resident_bytes: int
    fds: int | None


def usages(supervisor: int | None = None) -> Iterator[Usage]:
    """Of the supervisor and its children. supervisor: its pid; None: of the process that asks.

    A process that ends meanwhile is left out."""
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
