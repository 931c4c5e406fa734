"""What the balancer's processes have: which processes there are, their descriptors, their memory.

This must be about equal before and after a run of chaos, and no session may be left.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ..balancer import Balancer
from ..deadline import TooLateError, until
from ..processes import open_files

MIB = 1 << 20
SPARE_PIPES = 2 * 64  # descriptors of pipes that a worker keeps in its pool
GROWTH_RATIO, GROWTH_BYTES = 1.5, 24 * MIB


@dataclass(frozen=True)
class Belongings:
    """What one process has. files: numbers of descriptors by what they lead to."""

    files: Counter[str]
    rss: int

    @classmethod
    def of(cls, pid: int) -> Belongings:
        # Sockets, pipes and memory files are counted by kind.
        found = Counter(target.partition(":")[0] for target in open_files(pid))
        return cls(found, psutil.Process(pid).memory_info().rss)

    @property
    def total(self) -> int:
        return self.files.total()


def titles(lb: Balancer) -> Counter[str]:
    """Returns the number of processes by title."""
    return Counter(title for title, _ in pids(lb))


def pids(lb: Balancer) -> list[tuple[str, int]]:
    """Returns title and pid of each process."""
    return [(_title(process), process.pid) for process in lb.processes()]


def _title(process: psutil.Process) -> str:
    try:
        said = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return "ended"
    return said.strip().removeprefix("l4lb: ") if said.startswith("l4lb: ") else "supervisor"


def belongings(lb: Balancer) -> dict[str, Belongings]:
    """Returns what each process has, by title."""
    return {_title(process): Belongings.of(process.pid) for process in lb.processes()}


def counts(lb: Balancer) -> dict[str, Any]:
    """Returns all counts of sessions; each must be 0 when no client is left."""
    found: dict[str, Any] = {}
    for row in lb.ask("workers"):
        found |= {f"worker {row['index']} {key}": row[key] for key in ("active", "held")}
    found |= {f"listener {row['name']}": row["active"] for row in lb.ask("listeners")}
    for row in lb.ask("pools"):
        found[f"pool {row['name']} waits"] = row["waiting"]
    for row in lb.ask("backends"):
        found[f"backend {row['pool']}/{row['name']}"] = row["active"]
    found["sessions"] = len(lb.ask("sessions"))
    return found


def wait_until_empty(lb: Balancer, expected: Counter[str]) -> list[str]:
    """Waits until no session and no surplus process is left. Returns in words what is left at the
    end."""
    left: list[str] = []

    def empty() -> bool:
        left[:] = [f"{name}: {count}" for name, count in counts(lb).items() if count]
        now = titles(lb)
        if now != expected:
            left.append(f"processes: {dict(now)}, not {dict(expected)}")
        return not left

    try:
        until(empty, "nothing is left", timeout_s=60, every_s=0.1)
    except TooLateError:
        return left
    return []


def wait_until_back(
    lb: Balancer, before: dict[str, Belongings], memory: bool
) -> tuple[dict[str, Belongings], list[str]]:
    """Waits until the processes have what they had before. Returns what they then have, and in
    words what is too much, if it stays so. why one look decides: checks of health go on, so a later
    look may find a socket of theirs."""
    after: dict[str, Belongings] = {}

    def look() -> bool:
        after.clear()
        after.update(belongings(lb))
        return not grown(before, after, memory)

    with contextlib.suppress(TooLateError):
        until(look, "all is given back", every_s=0.2)
    return after, grown(before, after, memory)


def grown(before: dict[str, Belongings], after: dict[str, Belongings], memory: bool) -> list[str]:
    """Returns what a process has more of than allowed. memory: compares memory too."""
    wrong = []
    for title, now in after.items():
        was = before.get(title)
        if was is None:
            wrong.append(f"{title} was not there before")
            continue
        spare = SPARE_PIPES if title.startswith("worker") else 0
        more = now.files - was.files
        more["pipe"] -= spare
        if +more:
            wrong.append(f"{title} has open: {dict(+more)} more; before: {dict(was.files)}")
        if memory and now.rss > was.rss * GROWTH_RATIO + GROWTH_BYTES:
            wrong.append(f"{title} has {now.rss / MIB:.0f} MiB, had {was.rss / MIB:.0f}")
    return wrong


def told(before: dict[str, Belongings], after: dict[str, Belongings]) -> list[str]:
    """Returns a line for each process: descriptors and memory before and after."""
    return [
        f"{title}: {before[title].total} -> {now.total} descriptors,"
        f" {before[title].rss / MIB:.1f} -> {now.rss / MIB:.1f} MiB"
        for title, now in sorted(after.items())
        if title in before
    ]


def log_errors(path: Path) -> list[str]:
    """Returns the log's lines about errors, except deaths by SIGKILL: Balancer.faults checks
    whether a test sent that signal."""
    return [
        line
        for line in path.read_text(errors="replace").splitlines()
        if ("[error" in line or "[critical" in line) and "killed by SIGKILL" not in line
    ]
