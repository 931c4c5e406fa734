"""Half a minute of fuzzing, two seconds for each target; scripts/fuzz does it for longer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


@pytest.mark.xdist_group("c")
def test_the_parsers_of_what_comes_from_outside_hold() -> None:
    if not (shutil.which("clang") or shutil.which("clang-14")):
        pytest.skip("clang is not installed")
    done = subprocess.run(
        [str(TOP / "scripts" / "fuzz"), "2"],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
