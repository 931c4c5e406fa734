"""The file of the state in an upgrade: plain data in an unnamed file in memory.

The state is a map with the key `format`; later versions add keys and never remove one. A descriptor
in it is a number that stays valid, because the new program replaces the old one in its process
(execve).
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from typing import Any

FORMAT = 1
VARIABLE = "L4LB_TAKEOVER"  # check:FD or run:FD; FD is the file with the state
STATE_MAX = 256 << 20
# Signals that are blocked over the exec, so that none is lost: the new program handles them when it
# is ready.
BLOCKED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}


def written(state: Mapping[str, Any]) -> int:
    """Writes the state to a file. The caller owns the descriptor. Raises OSError."""
    fd = os.memfd_create("l4lb-state", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(json.dumps({"format": FORMAT, **state}).encode())
    return fd


def read(fd: int) -> dict[str, Any]:
    """Returns the state in that file. Raises ValueError if this version cannot read it."""
    size = os.fstat(fd).st_size
    if size > STATE_MAX:
        raise ValueError("the state is too large")
    state = json.loads(os.pread(fd, size, 0))
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError("the state is of a format that this version does not know")
    return state


def asked(environ: Mapping[str, str]) -> tuple[str, int] | None:
    """Returns what the environment asks of this process: ("check" or "run", descriptor)."""
    what, _, number = environ.get(VARIABLE, "").partition(":")
    return (what, int(number)) if what in ("check", "run") and number.isdigit() else None
