"""The build with sanitizers is what its test run takes it for: each process has them, and each
report is seen."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ..harness import Backends, Balancer, until
from ..harness.program import python

pytestmark = pytest.mark.skipif(
    not os.environ.get("L4LB_REPORTS"), reason="not the build with sanitizers"
)


def test_every_process_runs_with_the_sanitizer(three: Backends) -> None:
    with Balancer.before(three.rows(), workers=2) as lb:
        until(lambda: len(lb.processes()) >= 5, "supervisor, workers, checker and control run")
        for process in lb.processes():
            maps = Path(f"/proc/{process.pid}/maps").read_text()
            assert "libasan" in maps, process


def test_a_wrong_free_is_reported_where_the_tests_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("L4LB_REPORTS", str(tmp_path))
    wrong = "import ctypes as c; f = c.CDLL(None).free; f.argtypes = [c.c_void_p]; f(64)"
    done = subprocess.run([python(), "-c", wrong], capture_output=True, check=False)
    assert done.returncode < 0
    assert "AddressSanitizer" in "".join(path.read_text() for path in tmp_path.iterdir())
