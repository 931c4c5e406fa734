"""The default admin socket of this machine: one balancer of the tests at a time has it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SOCKET_OF_ROOT = "/run/l4lb/admin.sock"


@contextlib.contextmanager
def default_socket() -> Iterator[None]:
    """Reserves the default admin socket: balancers of all runs on this machine take turns with it.

    Skips the test if another l4lb has it.
    """
    lock = Path(tempfile.gettempdir()) / f"l4lb-test-default-socket-{os.getuid()}"
    with lock.open("wb") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        with socket.socket(socket.AF_UNIX) as probe:
            if os.getuid() == 0 and probe.connect_ex(SOCKET_OF_ROOT) == 0:
                pytest.skip(f"another l4lb uses {SOCKET_OF_ROOT} on this machine")
        yield
