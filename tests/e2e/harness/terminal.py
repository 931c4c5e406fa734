"""The installed program at a terminal of a given width, and the text that it draws there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from typing import NamedTuple

from .deadline import PATIENCE_S
from .program import program

SGR = re.compile(r"\x1b\[[0-9;]*m")


class Drawn(NamedTuple):
    """The exit status, and the lines without colours and without spaces at their end."""

    status: int
    raw: str

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in SGR.sub("", self.raw).split("\n")]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).strip("\n")


def at_terminal(*args: str, columns: int = 80, timeout_s: float = 30.0, **env: str) -> Drawn:
    """Runs `l4lb ARGS` to its end with a terminal for its input, output and errors."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    given = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, ours)
        process = stack.enter_context(
            subprocess.Popen(
                [*program(), *args],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
                env={**given, "TERM": "xterm-256color", **env},
            )
        )
        stack.callback(process.kill)
        os.close(theirs)
        said = b""
        end = time.monotonic() + timeout_s
        while select.select([ours], [], [], max(0.0, end - time.monotonic()))[0]:
            try:
                data = os.read(ours, 1 << 16)
            except OSError:  # EIO: the other end is closed
                break
            said += data
        assert time.monotonic() < end, f"l4lb {args} goes on after {timeout_s:g} s: {said!r}"
        status = process.wait(timeout=PATIENCE_S)
    return Drawn(status, said.decode().replace("\r\n", "\n"))
