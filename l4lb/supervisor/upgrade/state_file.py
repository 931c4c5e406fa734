"""What a program hands its successor: plain data in an unnamed file, and open descriptors.

The state is a map with a `format`; later versions add keys and leave out none. A descriptor is a
number that is the same in the successor, because it takes the place of this process (execve).
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from typing import Any

FORMAT = 1
VARIABLE = "L4LB_TAKEOVER"  # check:FD or run:FD, of the file with the state
STATE_MAX = 256 << 20
# Over the exec, so that none is lost: the successor takes them when it is ready to.
BLOCKED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}


def written(state: Mapping[str, Any]) -> int:
    """A file with the state; its descriptor is the caller's. Raises OSError."""
    fd = os.memfd_create("l4lb-state", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(json.dumps({"format": FORMAT, **state}).encode())
    return fd


def read(fd: int) -> dict[str, Any]:
    """The state in that file. Raises ValueError if it is none that this version knows."""
    size = os.fstat(fd).st_size
    if size > STATE_MAX:
        raise ValueError("the state is too large")
    state = json.loads(os.pread(fd, size, 0))
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError("the state is of a format that this version does not know")
    return state


def asked(environ: Mapping[str, str]) -> tuple[str, int] | None:
    """What the environment asks of this process: ("check" or "run", descriptor)."""
    what, _, number = environ.get(VARIABLE, "").partition(":")
    return (what, int(number)) if what in ("check", "run") and number.isdigit() else None
