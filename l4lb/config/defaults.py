"""Defaults that depend on the machine and on who runs the service. Standard library only."""

from __future__ import annotations

import os

from l4lb.config.bounds import WORKERS
from l4lb.cpus import usable_cpus


def default_admin_path() -> str:
    """Returns the default path of the admin socket for this user on this machine."""
    if made := os.environ.get("RUNTIME_DIRECTORY"):  # systemd's RuntimeDirectory=, possibly several
        return f"{made.partition(':')[0]}/admin.sock"
    if os.geteuid() == 0:
        return "/run/l4lb/admin.sock"
    run = os.environ.get("XDG_RUNTIME_DIR")
    return f"{run}/l4lb/admin.sock" if run else f"/tmp/l4lb-{os.geteuid()}/admin.sock"


def default_workers() -> int:
    """Returns one worker for each CPU that this process may use."""
    return min(usable_cpus(), WORKERS[1])
