"""The C-level tests: each ROOM/test_*.c is a program linked with all of csrc/. This module builds
and runs them. Each tests files of csrc/ROOM. The headers in this folder are shared by several
programs.

L4LB_SANITIZE=address builds the programs and csrc/ with AddressSanitizer and
UndefinedBehaviorSanitizer, L4LB_SANITIZE=thread with ThreadSanitizer. scripts/test --sanitize does
both.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TOP = HERE.parent.parent
SANITIZERS = {
    "": [],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    # why -Wno-tsan: ThreadSanitizer does not know fences. Ours order relaxed atomics, in which it
    # sees no races. Words between them that are not atomic are marked (shm/seq.h).
    "thread": ["-fsanitize=thread", "-Wno-tsan"],
}
SANITIZE = SANITIZERS[os.environ.get("L4LB_SANITIZE", "")]
LIBRARIES = ["-lssl", "-lcrypto", "-lnghttp2", "-lpthread"]
FLAGS = ["-std=c11", "-g", "-O1", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Werror"]
FLAGS += ["-D_GNU_SOURCE", *SANITIZE]


def programs() -> list[Path]:
    """Returns the programs to run. ThreadSanitizer has nothing to see in one with a single
    thread."""
    found = sorted(HERE.glob("*/test_*.c"))
    if os.environ.get("L4LB_SANITIZE") != "thread":
        return found
    return [source for source in found if "pthread" in source.read_text()]


def sanitized_library(sources: list[Path]) -> Path | None:
    """Returns the library of the build with the same sanitizers, which scripts/test has made; None:
    there is none, or it is older than a source."""
    if os.environ.get("L4LB_SANITIZE") != "address":
        return None
    changed = max(path.stat().st_mtime for path in (*sources, *TOP.glob("csrc/*/*.h")))
    found = TOP.glob("build/sanitized/temp.*/libl4.a")
    return next((path for path in found if path.stat().st_mtime > changed), None)


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Compiles csrc/ once for all processes of this run of tests, on all processors."""
    # csrc/packet has no C-level tests: its programs run in the kernel.
    sources = sorted(one for one in TOP.glob("csrc/*/*.c") if one.parent.name != "packet")
    library = sanitized_library(sources)
    if library is not None:
        return [str(library)]
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "csrc"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            compile_all(sources, folder)
            (folder / "complete").touch()
    return [str(path) for path in sorted(folder.glob("*.o"))]


def compile_all(sources: list[Path], folder: Path) -> None:
    def compiled(source: Path) -> None:
        target = folder / f"{source.parent.name}_{source.stem}.o"
        subprocess.run(
            ["cc", *FLAGS, f"-I{TOP}/csrc", "-c", str(source), "-o", str(target)], check=True
        )

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(compiled, sources))


def program_name(source: Path) -> str:
    return f"{source.parent.name}/{source.stem}"


@pytest.mark.parametrize("source", programs(), ids=program_name)
def test_program_passes(source: Path, objects: list[str], tmp_path: Path) -> None:
    program = tmp_path / source.stem
    includes = [f"-I{TOP}/csrc", f"-I{HERE}"]
    subprocess.run(
        ["cc", *FLAGS, *includes, str(source), *objects, "-o", str(program), *LIBRARIES],
        check=True,
    )
    ran = subprocess.run([program], capture_output=True, text=True, timeout=120, check=False)
    print(ran.stdout, ran.stderr)
    assert ran.returncode == 0, ran.stderr
    assert " 0 failed" in ran.stdout
