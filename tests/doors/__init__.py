"""Parts of csrc/ that only tests call: Cython modules of the tests, built when first asked for.

They stand on what scripts/run has built of this tree: csrc/ as one library, and l4lb/native. Tests
that run side by side build once.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILT = TOP / "build" / "tests"


def _library() -> Path:
    """csrc/ as the installed program has it."""
    found = sorted(TOP.glob("build/temp.*/libl4.a"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise RuntimeError("csrc/ is not built: scripts/run does it")
    return found[-1]


def _module(source: Path, folder: Path) -> None:
    made = folder / f"{source.stem}.c"
    cython = [sys.executable, "-m", "cython", "-3", "-I", str(TOP), str(source), "-o", str(made)]
    subprocess.run(cython, check=True)
    target = folder / f"{source.stem}{sysconfig.get_config_var('EXT_SUFFIX')}"
    includes = [f"-I{TOP}/csrc", f"-I{sysconfig.get_path('include')}"]
    link = [str(_library()), "-lssl", "-lcrypto", "-lnghttp2"]
    compiler = ["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", *includes]
    subprocess.run([*compiler, str(made), *link, "-o", str(target)], check=True)


def _built() -> Path:
    sources = sorted(HERE.glob("*.pyx"))
    known = hashlib.sha256(_library().read_bytes())
    for path in [*sources, *sorted(TOP.glob("l4lb/native/**/*.pxd"))]:
        known.update(path.read_bytes())
    BUILT.mkdir(parents=True, exist_ok=True)
    folder = BUILT / f"doors-{known.hexdigest()[:16]}"
    with (BUILT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            folder.mkdir(exist_ok=True)
            for source in sources:
                _module(source, folder)
            (folder / "whole").touch()
    return folder


__path__.append(str(_built()))
