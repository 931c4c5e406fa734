"""Where the installed program is, and running it once.

L4LB_BIN names the folder of another build of it: the one with sanitizers (scripts/test --sanitize).
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
    """How to start the l4lb that is installed beside this Python."""
    beside = str(Path(sys.executable).parent)
    for folder in (_BIN or sysconfig.get_path("scripts"), beside):
        script = Path(folder) / "l4lb"
        if script.exists():
            return [str(script)]
    return [sys.executable, "-m", "l4lb"]


def python() -> str:
    """The Python that the installed program runs in."""
    return str(Path(_BIN) / "python") if _BIN else sys.executable


def run(
    *args: str, timeout_s: float = 30.0, command: Sequence[str] = (), cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `l4lb ARGS` to its end, with its output as text and no input."""
    return subprocess.run(
        [*(command or program()), *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s * SLOWNESS,
        check=False,
        cwd=cwd,
    )
