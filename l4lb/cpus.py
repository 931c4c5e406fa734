"""The number of CPUs that this process may use: its CPU affinity, reduced by quotas of control
groups.

A quota is CPU time in each period, for all processes of the group together. Every group on the way
to the root has a quota of its own, and the smallest is in force. The files are those of cgroups(7),
version 2 (`cpu.max`) and version 1 (`cpu.cfs_quota_us`). A file that cannot be read sets no limit.
Only the standard library is used.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

NEAR = 1e-9  # tolerance for rounding: a quota is a quotient of whole numbers


def usable_cpus(root: str = "", allowed: int | None = None) -> int:
    """Returns the number of usable CPUs, at least 1; a fraction of a CPU counts as one. root:
    prefix of every path. allowed: the affinity's number of CPUs (default: what the kernel says)."""
    count = len(os.sched_getaffinity(0)) if allowed is None else allowed
    quota = cpu_quota(root)
    return count if quota is None else max(1, min(count, math.ceil(quota - NEAR)))


def cpu_quota(root: str = "") -> float | None:
    """Returns the smallest quota from this process's control group up to the root, in CPUs; None:
    there is none. root: prefix of every path."""
    quotas = [one for folder in _folders(root) if (one := _quota(folder)) is not None]
    return min(quotas, default=None)


def _folders(root: str) -> Iterator[Path]:
    """Yields the folder of every control group that contains this process and may have a quota."""
    groups = {}
    for line in _lines(root + "/proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            groups["cgroup2"] = path
        elif "cpu" in controllers.split(","):
            groups["cgroup"] = path
    for kind, top, mounted in _mounts(root):
        if kind not in groups:
            continue
        # In a control group namespace, a path may begin with "/..": groups above what is mounted.
        parts = [one for one in Path(groups[kind]).parts[1:] if one != ".."]
        above = [one for one in Path(top).parts[1:] if one != ".."]
        if parts[: len(above)] == above:
            parts = parts[len(above) :]
        elif above:  # the process's group itself is what is mounted, under another name
            parts = []
        folder = Path(root + mounted)
        yield folder
        for part in parts:
            folder /= part
            yield folder


def _mounts(root: str) -> Iterator[tuple[str, str, str]]:
    """Yields kind (cgroup2, or cgroup with the cpu controller), the mounted part of the hierarchy,
    and the mount point. The format is that of proc_pid_mountinfo(5)."""
    found = False
    for line in _lines(root + "/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        words, rest = before.split(), after.split()
        if len(words) < 5 or len(rest) < 3:
            continue
        if rest[0] == "cgroup2" or (rest[0] == "cgroup" and "cpu" in rest[2].split(",")):
            found = True
            yield rest[0], words[3], words[4]
    if not found:  # the usual mount points
        yield "cgroup2", "/", "/sys/fs/cgroup"
        yield "cgroup", "/", "/sys/fs/cgroup/cpu"


def _quota(folder: Path) -> float | None:
    """Returns one group's quota in CPUs."""
    words = [*_lines(folder / "cpu.max"), ""][0].split()
    if not words:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        words = [line for name in names for line in _lines(folder / name)[:1]]
    if len(words) != 2 or not all(one.isascii() and one.isdigit() for one in words):
        return None  # "max", or -1
    if len(words[0]) > 18 or len(words[1]) > 18:
        return None
    quota, period = map(int, words)
    return quota / period if quota and period else None


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []
