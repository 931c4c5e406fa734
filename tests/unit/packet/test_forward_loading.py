"""The program that forwards is taken by the kernel from a process with two rights."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

LOAD = """
from l4lb.native.bpf import Program
from l4lb.packet import program, tables
whole = program.OBJECT.with_name("forward.bpf.o").read_bytes()
Program.load(whole, tables.kind(1024, 1 << 12))
"""


@pytest.mark.usefixtures("_network_of_its_own")
@pytest.mark.parametrize(("rights", "works"), [("+bpf,+net_admin", True), ("+net_admin", False)])
def test_it_needs_two_rights_and_no_other(rights: str, works: bool) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("needs setpriv (Debian: util-linux)")
    alone = [setpriv, "--inh-caps=-all", f"--bounding-set=-all,{rights}"]
    done = subprocess.run([*alone, sys.executable, "-c", LOAD], cwd="/", capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (done.returncode == 0) == works, done.stderr
