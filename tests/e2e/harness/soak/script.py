"""A script in a process of its own, which the test process controls over a socket."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..deadline import PATIENCE_S
from ..processes import kill_and_wait

END_S = 10  # time for a process to end


class Script:
    """A running script. It answers each line with a line of JSON (serving.py), and ends when the
    socket is closed."""

    def __init__(self, script: Path, **spec: Any) -> None:
        """spec: what the script is told. It gets its end of the socket as `fd`."""
        ours, theirs = socket.socketpair()
        with theirs:
            told = json.dumps({"fd": theirs.fileno(), **spec})
            self.process = subprocess.Popen(
                [sys.executable, str(script), told], pass_fds=[theirs.fileno()]
            )
        self._socket = ours
        self._socket.settimeout(PATIENCE_S * 3)
        self._lines = ours.makefile("rb")

    def ask(self, line: str) -> Any:
        """Says a line. Returns the answer."""
        self._socket.sendall(f"{line}\n".encode())
        return self.answer()

    def answer(self) -> Any:
        """Returns the next line that the script says."""
        return json.loads(self._lines.readline())

    def close(self, *children: int) -> None:
        """Ends the process. children: its children, which end with it."""
        self._lines.close()
        self._socket.close()
        try:
            self.process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    kill_and_wait(pid)
            self.process.kill()
            self.process.wait(timeout=END_S)
