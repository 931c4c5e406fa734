"""Where the installed program is, and running it once."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path


def program() -> list[str]:
    """How to start the l4lb that is installed beside this Python."""
    for folder in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent)):
        script = Path(folder) / "l4lb"
        if script.exists():
            return [str(script)]
    return [sys.executable, "-m", "l4lb"]


def run(
    *args: str, timeout_s: float = 30.0, command: Sequence[str] = (), cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `l4lb ARGS` to its end, with its output as text and no input."""
    return subprocess.run(
        [*(command or program()), *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        cwd=cwd,
    )
