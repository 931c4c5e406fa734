"""The tests' quick start (harness/preload.py) gives the process that the installed script gives."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import psutil
import pytest

from ..harness import Backends, Balancer
from ..harness.preload import PRELOADED
from ..harness.program import program

# Of /proc/PID/status: what a parent hands on, and what a program sets for itself.
STATUS = (
    r"^(Umask|Uid|Gid|Groups|Seccomp|NoNewPrivs|SigBlk|SigIgn|SigCgt|CapEff|Threads):[ \t]*(.*)$"
)


def _kind(target: str, folder: Path) -> str:
    """Returns what a descriptor leads to, without what differs from run to run."""
    return re.sub(r"\d+", "N", target.replace(str(folder), "FOLDER"))


def _seen(process: psutil.Process, folder: Path) -> dict[str, object]:
    root = Path(f"/proc/{process.pid}")
    return {
        "title": " ".join(process.cmdline()).strip(),
        "status": dict(re.findall(STATUS, (root / "status").read_text(), re.MULTILINE)),
        "limits": (root / "limits").read_text(),
        "program": (root / "exe").readlink(),
        "folder": _kind(str((root / "cwd").readlink()), folder),
        "files": Counter(_kind(str(fd.readlink()), folder) for fd in (root / "fd").iterdir()),
        "nice": process.nice(),
        "cpus": process.cpu_affinity(),
    }


def _processes(command: list[str]) -> dict[object, dict[str, object]]:
    with Backends(1) as backends:
        lb = Balancer.before(backends.addresses)
        lb.command = command
        with lb:
            assert lb.status()["pid"] == lb.process.pid
            assert psutil.Process(lb.process.pid).terminal() is None
            seen = [_seen(process, lb.folder) for process in lb.processes()]
    return {one["title"]: one for one in seen}


def test_a_quick_start_gives_the_processes_of_the_installed_script() -> None:
    if not PRELOADED.can_start(program(), os.environ):
        pytest.skip("this build is never preloaded")
    interpreter = Path(program()[0]).read_text().splitlines()[0].removeprefix("#!")
    assert _processes(program()) == _processes([interpreter, *program()])
