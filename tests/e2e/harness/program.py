"""The installed program: where it is, and one run of it.

L4LB_BIN names the folder of another build: the one with sanitizers (scripts/test --sanitize).
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from .deadline import SLOWNESS

_BIN = os.environ.get("L4LB_BIN", "")


def program() -> list[str]:
    """Returns the command that starts the l4lb installed beside this Python."""
    beside = str(Path(sys.executable).parent)
    for folder in (_BIN or sysconfig.get_path("scripts"), beside):
        script = Path(folder) / "l4lb"
        if script.exists():
            return [str(script)]
    return [sys.executable, "-m", "l4lb"]


def python() -> str:
    """Returns the Python that the installed program runs in."""
    return str(Path(_BIN) / "python") if _BIN else sys.executable


def run(
    *args: str, timeout_s: float = 30.0, command: Sequence[str] = (), cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `l4lb ARGS` to its end without input. Its output is text."""
    return subprocess.run(
        [*(command or program()), *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s * SLOWNESS,
        check=False,
        cwd=cwd,
    )
