"""Reads facts for the doctor from /proc, /sys, and the limits of this process. It changes
nothing."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass, field
from pathlib import Path

UNLIMITED = 1 << 62
CAP_NET_BIND_SERVICE = 10  # linux/capability.h
CAP_NET_ADMIN = 12
CAP_SYS_RESOURCE = 24
CAP_BPF = 39


def _limit(kind: int) -> int:
    """Returns the hard limit; the service raises its soft limit to it."""
    _, hard = resource.getrlimit(kind)
    return UNLIMITED if hard == resource.RLIM_INFINITY else hard


@dataclass(frozen=True)
class Host:
    """One machine as one process sees it. root is put before every path."""

    root: str = ""
    cpus: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    open_files: int = field(default_factory=lambda: _limit(resource.RLIMIT_NOFILE))
    processes: int = field(default_factory=lambda: _limit(resource.RLIMIT_NPROC))
    seccomp: str | None = None  # why there can be no filters of system calls; "": there can be
    is_root: bool = field(default_factory=lambda: os.geteuid() == 0)

    def text(self, path: str) -> str | None:
        """Returns a file's content without its last newline; None if it cannot be read."""
        try:
            return Path(self.root + path).read_text(errors="replace").strip()
        except OSError:
            return None

    def numbers(self, path: str) -> list[int]:
        """Returns the whole numbers of a file; none if it cannot be read."""
        words = (self.text(path) or "").split()
        return [int(word) for word in words if word.isascii() and word.isdigit()]

    def sysctl(self, name: str) -> int | None:
        """Returns the first number of a kernel setting; None if this kernel has none of that
        name."""
        found = self.numbers("/proc/sys/" + name.replace(".", "/"))
        return found[0] if found else None

    def may(self, capability: int) -> bool:
        """True if this process has a capability in force."""
        for line in (self.text("/proc/self/status") or "").splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> capability & 1)
        return False

    def cgroup(self, name: str) -> str | None:
        """Returns a control file of this process's control group (version 2), or of the nearest
        group above it that has a limit in this file; None if there is no limit."""
        line = next(
            (
                one
                for one in (self.text("/proc/self/cgroup") or "").splitlines()
                if one[:3] == "0::"
            ),
            None,
        )
        group = line[3:] if line else "/"
        while True:
            found = self.text(f"/sys/fs/cgroup{group.rstrip('/')}/{name}")
            if found and not found.startswith("max"):
                return found
            if group in ("/", ""):
                return None
            group = os.path.dirname(group)
