"""The hardening options of compiler and linker, as seen in the installed files."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

import l4lb

FOLDER = Path(l4lb.__file__).parent
BUILT = sorted(FOLDER.glob("native/*.so")) + sorted(FOLDER.glob("bin/l4lb-loadgen"))


def read(path: Path, *what: str) -> str:
    if shutil.which("readelf") is None:
        pytest.skip("readelf (Debian: binutils) is not installed")
    done = subprocess.run(
        ["readelf", "--wide", *what, str(path)], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_there_is_something_to_look_at() -> None:
    assert len(BUILT) > 5
    assert BUILT[-1].name == "l4lb-loadgen"


@pytest.mark.parametrize("path", BUILT, ids=lambda path: path.name.partition(".")[0])
def test_tables_are_read_only_and_bound_at_start_and_no_stack_can_be_run(path: Path) -> None:
    headers = read(path, "--program-headers")
    assert "GNU_RELRO" in headers
    assert "NOW" in read(path, "--dynamic")
    (stack,) = [line.split() for line in headers.splitlines() if "GNU_STACK" in line]
    assert stack[6] == "RW"


@pytest.mark.parametrize("name", ["loop", "sticky", "l4lb-loadgen"])
def test_stacks_and_copies_are_checked(name: str) -> None:
    (path,) = [one for one in BUILT if one.name.partition(".")[0] == name]
    symbols = read(path, "--dyn-syms")
    assert "__stack_chk_fail" in symbols
    assert "_chk@" in symbols.replace("__stack_chk_fail@", "")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86 has it")
@pytest.mark.parametrize("path", BUILT, ids=lambda path: path.name.partition(".")[0])
def test_functions_begin_where_an_indirect_jump_may_land(path: Path) -> None:
    """Each function begins with endbr64, which control-flow enforcement requires."""
    assert path.read_bytes().count(b"\xf3\x0f\x1e\xfa") > 20
