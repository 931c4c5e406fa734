"""How many CPUs this process may use: those it may run on, less where a control group has a quota.

A quota is of CPU time in each period, of every process of the group together; each group on the
way to the root has its own and the least holds. Files are those of cgroups(7), version 2
(`cpu.max`) and version 1 (`cpu.cfs_quota_us`); what cannot be read limits nothing. Standard library
only.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

NEAR = 1e-9  # quotas are quotients of whole numbers


def usable_cpus(root: str = "", allowed: int | None = None) -> int:
    """At least 1; a part of a CPU counts as one. root stands before every path; allowed: how many
    CPUs it may run on, if not what the kernel says."""
    count = len(os.sched_getaffinity(0)) if allowed is None else allowed
    quota = cpu_quota(root)
    return count if quota is None else max(1, min(count, math.ceil(quota - NEAR)))


def cpu_quota(root: str = "") -> float | None:
    """The least quota from this process's control group to the root, in CPUs; None: there is none.
    root stands before every path."""
    quotas = [one for folder in _folders(root) if (one := _quota(folder)) is not None]
    return min(quotas, default=None)


def _folders(root: str) -> Iterator[Path]:
    """Of every control group that holds this process and may have a quota."""
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
        # In a namespace of its own a group may see more above it than is mounted: "/..".
        parts = [one for one in Path(groups[kind]).parts[1:] if one != ".."]
        above = [one for one in Path(top).parts[1:] if one != ".."]
        if parts[: len(above)] == above:
            parts = parts[len(above) :]
        elif above:  # the group is seen under another name than its own: this one is mounted
            parts = []
        folder = Path(root + mounted)
        yield folder
        for part in parts:
            folder /= part
            yield folder


def _mounts(root: str) -> Iterator[tuple[str, str, str]]:
    """Kind (cgroup2, or cgroup with the cpu controller), what of the hierarchy is mounted, and
    where. proc_pid_mountinfo(5)."""
    found = False
    for line in _lines(root + "/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        words, rest = before.split(), after.split()
        if len(words) < 5 or len(rest) < 3:
            continue
        if rest[0] == "cgroup2" or (rest[0] == "cgroup" and "cpu" in rest[2].split(",")):
            found = True
            yield rest[0], words[3], words[4]
    if not found:  # where they are unless told
        yield "cgroup2", "/", "/sys/fs/cgroup"
        yield "cgroup", "/", "/sys/fs/cgroup/cpu"


def _quota(folder: Path) -> float | None:
    """Of one group, in CPUs."""
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
